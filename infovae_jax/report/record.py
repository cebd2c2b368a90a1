"""The figures of finished runs as one file, from which tables and pages are made.

python -m infovae_jax.report.record NAME WORKDIR [WORKDIR ...] --command="..."
    [--folder=results] [--last_steps=500] [--add]

Writes `results/NAME.json`: what was run (command, config, seeds), by what (versions,
processor, commit), how long it took, and every figure of every run. With `--add` the
runs are further seeds of what `results/NAME.json` holds.
"""

import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

from infovae_jax.config import sealed
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.report import results, summary
from infovae_jax.training import files, identity, metrics, output, population

FORMAT = 1
FOLDER = pathlib.Path("results")
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")
NAME = re.compile(r"[a-z0-9_]+")


class Record(NamedTuple):
    """What `results/NAME.json` holds.

    Attributes:
      command: that makes the runs.
      config: that all runs share, resolved; without the seed.
      seeds: of the runs.
      figures: name -> one number a run, or None: from `evaluation.json`.
      training: likewise, means over the last training steps.
      minutes: of training, one a run; of a population that of all members.
      data: digests of the data as decoded.
      environment: versions, processor and commit.
    """

    command: str
    config: dict[str, Any]
    seeds: list[int]
    figures: dict[str, list[float | None]]
    training: dict[str, list[float | None]]
    minutes: list[float]
    data: dict[str, str]
    environment: dict[str, str]


def of_runs(workdirs: list[pathlib.Path], command: str, last_steps: int) -> Record:
    """The record of evaluated runs of one config.

    Args:
      workdirs: their folders, or that of one population.
      command: that made them, for the reader.
      last_steps: window of the figures of training.

    Raises:
      ConfigError: a folder without figures, or runs of different configs.
    """
    found = list(summary.read_figures(workdirs).values())
    configs = [results.config(folder) for folder in workdirs]
    seeds = [seed for config in configs for seed in _seeds(config)]
    plain = [_without_seeds(config) for config in configs]
    for folder, config in zip(workdirs, plain, strict=True):
        if config != plain[0]:
            what = f"not the config of {workdirs[0]}"
            raise ConfigError(what, str(folder), "record runs of one config together")
    if len(found) != len(seeds):
        what = f"{len(found)} of {len(seeds)} members have figures"
        raise ConfigError(what, str(workdirs[0]), "record runs that did not diverge")
    trained = []
    if not any(map(population.read, workdirs)):
        trained = [summary.last_steps(folder, last_steps) for folder in workdirs]
    return Record(
        command,
        plain[0],
        seeds,
        _columns(found),
        _columns(trained),
        [round(_minutes(f, c), 2) for f, c in zip(workdirs, configs, strict=True)],
        next(filter(None, map(_digests, workdirs)), {}),
        environment(),
    )


def extended(first: Record, more: Record) -> Record:
    """The runs of two records of one config and data, as one record of all seeds.

    Args:
      first: a record.
      more: of other seeds; its command, which makes the runs of both, is kept.

    Raises:
      ConfigError: another config or data, or a seed that both have.
    """
    for what, mine, other in (
        ("config", first.config, more.config),
        ("data", first.data, more.data),
    ):
        if mine != other:
            fix = "record them under another name"
            raise ConfigError(f"the {what} of the further runs differs", "--add", fix)
    if twice := sorted(set(first.seeds) & set(more.seeds)):
        raise ConfigError(f"seeds {twice} are there already", "--add", "leave them out")
    counts = len(first.seeds), len(more.seeds)
    # Of runs by several versions each is named, in the order of the runs.
    made_by = {
        name: ", ".join(dict.fromkeys((first.environment.get(name, "unknown"), value)))
        for name, value in more.environment.items()
    }
    return Record(
        more.command,
        more.config,
        first.seeds + more.seeds,
        _appended(first.figures, more.figures, counts),
        _appended(first.training, more.training, counts),
        first.minutes + more.minutes,
        more.data,
        made_by,
    )


def _appended(first, more, counts):
    """Columns of both; of a name that one of them lacks None stands there."""
    return {
        name: first.get(name, [None] * counts[0]) + more.get(name, [None] * counts[1])
        for name in sorted({*first, *more})
    }


def _digests(folder: pathlib.Path) -> dict[str, str]:
    stored = identity.stored(folder)
    return dict(stored[1].data) if stored else {}


def _seeds(config: dict[str, Any]) -> range:
    return range(config["seed"], config["seed"] + config["num_seeds"])


def _without_seeds(config: dict[str, Any]) -> dict[str, Any]:
    """Without what differs by seed and the folders of this machine, as JSON has it."""
    shared = {k: v for k, v in config.items() if k not in ("seed", "num_seeds")}
    data = dict(shared.get("data", {}))
    for key in ("source", "data_dir", "cache_dir"):
        if isinstance(data.get(key), str):
            data[key] = pathlib.Path(data[key]).name
    # A config holds tuples, a record that was read lists.
    return json.loads(json.dumps(shared | {"data": data}))


def _columns(runs: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Name -> one number a run, of the names that stand for numbers."""
    names = sorted({name for run in runs for name in run})
    columns = {name: [run.get(name) for run in runs] for name in names}

    def is_number(value):
        return value is None or isinstance(value, (int, float))

    return {
        name: values
        for name, values in columns.items()
        if all(map(is_number, values)) and any(v is not None for v in values)
    }


def _minutes(folder: pathlib.Path, config: dict[str, Any]) -> float:
    """Of training: examples over examples a second, block by block."""
    seconds, before = 0.0, 0
    members = config["num_seeds"]
    for row in metrics.read_metrics(folder):
        examples = (row["step"] - before) * config["train"]["batch_size"] * members
        seconds += examples / row["time/examples_per_second"]
        before = row["step"]
    return seconds / 60


def environment() -> dict[str, str]:
    """Versions of what computes, the processor, and the commit of the code."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        **versions,
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "commit": commit(),
    }


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(named, platform.machine())


def commit(root: pathlib.Path | None = None) -> str:
    """Of the checkout at `root`, by default of this code; with -dirty where changed."""
    root = root or pathlib.Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def write(fields: Any, path: pathlib.Path) -> None:
    """Writes a named tuple, such as a record, as JSON that `read_as` takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_record(path, {"format": FORMAT, **fields._asdict()})


def read(path: pathlib.Path) -> Record:
    """A record of `write`.

    Raises:
      ConfigError: there is none, or it is damaged.
    """
    return read_as(Record, path, "record", "make it again by report.record")


def read_as(kind: Any, path: pathlib.Path, what: str, fix: str) -> Any:
    """What `write` wrote of a kind of named tuple.

    Args:
      kind: of named tuple.
      path: of the file.
      what: it holds, in a word.
      fix: what to do where it does not.

    Raises:
      ConfigError: there is none, or it is damaged.
    """
    try:
        found = sealed.read(path)
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}")
        return kind(**{name: found[name] for name in kind._fields})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"no {what} ({error!r})", str(path), fix) from None


def spread(values: list[float | None]) -> tuple[float, float | None, int]:
    """Mean, standard deviation (None of one) and number of what is finite."""
    finite = [v for v in values if v is not None]
    deviation = statistics.stdev(finite) if len(finite) > 1 else None
    return statistics.fmean(finite), deviation, len(finite)


def told_of(place: dict[str, Any]) -> str:
    """An environment in words: commit, versions, device, processor and threads."""
    named = ("jax", "torch", "pythae")
    versions = [f"{name} {place[name]}" for name in named if place.get(name)]
    parts = [f"commit {place['commit']}", *versions]
    parts += [place[name] for name in ("precision",) if place.get(name)]
    if not place.get("device", "cpu").startswith("cpu"):
        parts.append(place["device"])
    count = place.get("threads")
    cores = f"{place['cores']} cores" if count is None else f"{count} threads"
    return ", ".join([*parts, place["processor"], cores])


def lines_of(path: pathlib.Path, read: Callable, table: Callable) -> list[str]:
    """Lines of `table(read(path))`.

    Raises:
      ConfigError: the file has other contents than such a table has.
    """
    found = read(path)
    try:
        return table(found)
    except (AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
        fix = "make it again by the command that wrote it"
        raise ConfigError(f"no table ({error!r})", str(path), fix) from None


def part(
    root: pathlib.Path, path: pathlib.Path, read: Callable, table: Callable
) -> list[str]:
    """Lines of a file's table; where no such file is, the command for it."""
    if (root / path).exists():
        return lines_of(root / path, read, table)
    command = "python -m infovae_jax.benchmark.everything --data=mnist.npz"
    return [f"Not measured yet: `{command} --only={path.stem}`."]


def mean_text(values: list[float | None], digits: int) -> str:
    """Mean of what is finite, with its deviation where there are several; or '-'."""
    if all(v is None for v in values):
        return "-"
    mean, deviation, _ = spread(values)
    around = "" if deviation is None else f" ± {deviation:.{digits}f}"
    return f"{mean:.{digits}f}{around}"


def markdown(rows: list[list[str]]) -> list[str]:
    """A head and rows of cells as the lines of a Markdown table."""
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return [
        f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |" for cells in lines
    ]


def main() -> None:
    """Writes the record of the runs on the command line."""
    parser = summary.Parser(prog="python -m infovae_jax.report.record")
    parser.add_argument("name")
    parser.add_argument("workdirs", nargs="+", type=pathlib.Path)
    parser.add_argument("--command", required=True)
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER)
    parser.add_argument("--last_steps", type=int, default=500)
    parser.add_argument("--add", action="store_true")
    with ending_in_one_line():
        options = parser.parse_args()
        if not NAME.fullmatch(options.name):
            fix = "use small letters, digits and _"
            raise ConfigError(f"the name '{options.name}'", "command line", fix)
        path = options.folder / f"{options.name}.json"
        found = of_runs(options.workdirs, options.command, options.last_steps)
        write(extended(read(path), found) if options.add else found, path)
        print(f"wrote {path}")


if __name__ == "__main__":
    output.keep_harmless()
    main()
