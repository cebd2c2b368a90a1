"""What the first command costs, from an empty compilation cache and from a full one.

    python -m infovae_jax.benchmark.start                      # every config, one round
    python -m infovae_jax.benchmark.start --configs=infocatvae --rounds=3
    python -m infovae_jax.benchmark.start --configs=infocatvae,vae --against=FOLDER
    python -m infovae_jax.benchmark.start --out=FILE.json -- --config.train.num_epochs=5
    python -m infovae_jax.benchmark.start --table=FILE.json    # Markdown

Every run is a process of its own that trains, evaluates and reports, as
`python -m infovae_jax.main --config=configs/<config>.py` does: cold in a cache folder
that is new, warm in the folder that the cold one left. With `--against` another
checkout of the project does the same in turns (its own code, its own configs), and our
CPU seconds are given as a share of its: of the operating system, user and system, all
threads, so that other work on the machine disturbs them less than wall seconds.

Phases, of which each instant belongs to the innermost:

  import    modules, whenever they are imported
  data      reading and checking them
  trace     functions to programs, before they are compiled
  compile   programs compiled, or read from the cache
  train     steps, their rows of metrics, the loop
  measure   figures of the test split between two epochs
  save      checkpoints
  evaluate  `evaluation.json`
  report    pictures and the page
  rest      the interpreter's start and end, and what is left
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from infovae_jax import config as config_lib
from infovae_jax.benchmark import budget
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.evaluation.table import aligned
from infovae_jax.report import record, start_costs, summary
from infovae_jax.report.start_costs import AGAINST, STARTS, Costs
from infovae_jax.training import output

ROOT = pathlib.Path(__file__).resolve().parents[2]
OURS, THEIRS = "ours", "theirs"
SLOWEST = 5
# Where JAX, its package and matplotlib would find what an earlier run left.
_CACHES = ("JAX_COMPILATION_CACHE_DIR", "MPLCONFIGDIR", "PYTHONDONTWRITEBYTECODE")
_FOLDERS = re.compile(r"=.*/")


class Cost(NamedTuple):
    """What one run took.

    Attributes:
      wall: seconds.
      cpu: seconds, user and system, of all threads.
      inside: what `budget` wrote of it, or None.
    """

    wall: float
    cpu: float
    inside: dict[str, Any] | None = None


def names() -> list[str]:
    """Of the package's configs."""
    folder = config_lib.packaged_configs()
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "base")


def run(
    root: pathlib.Path,
    name: str,
    flags: list[str],
    cache: pathlib.Path,
    inside: bool,
    peaks: bool = False,
) -> Cost:
    """One run of the command in a process of its own, and what it took.

    Args:
      root: of the checkout whose code it is.
      name: of its config, with `:preset` perhaps.
      flags: more of them.
      cache: folder of what is kept from one run to the next.
      inside: whether its phases are told apart; `root` must then be ours.
      peaks: and their memory too.

    Raises:
      ConfigError: the command failed; with its last line.
    """
    stem, colon, preset = name.partition(":")
    with tempfile.TemporaryDirectory() as scratch:
        told = pathlib.Path(scratch) / "budget.json"
        module = ["infovae_jax.main"]
        if inside:
            module = ["infovae_jax.benchmark.budget", str(told)]
            module += [budget.PEAKS] * peaks
        command = [sys.executable, "-m", *module]
        command += [f"--config=configs/{stem}.py{colon}{preset}"]
        command += [f"--workdir={scratch}/run", *flags]
        env = {k: v for k, v in os.environ.items() if k not in _CACHES}
        env |= {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(root)}
        began = time.perf_counter()
        with open(f"{scratch}/log", "w+") as log:
            process = subprocess.Popen(
                command,
                cwd=root,
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C is ours alone
            )
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                process.wait()
                raise
            process.returncode = os.waitstatus_to_exitcode(status)
            wall = time.perf_counter() - began
            log.seek(0)
            last = (log.read().strip().splitlines() or [""])[-1]
        if process.returncode:
            what = f"{name} ended with {process.returncode} ({last[:300]})"
            raise ConfigError(what, str(root), "run that command by itself")
        found = json.loads(told.read_text()) if inside else None
    return Cost(wall, usage.ru_utime + usage.ru_stime, found)


def prepare(root: pathlib.Path) -> None:
    """Compiles the sources, as an installation does: no run is to count that."""
    command = [sys.executable, "-m", "compileall", "-q", str(root / "infovae_jax")]
    subprocess.run(command, check=False)


def measure(
    name: str,
    flags: list[str],
    rounds: int,
    against: pathlib.Path | None = None,
    runs: Callable[..., Cost] = run,
) -> dict[str, dict[str, Any]]:
    """Costs of the starts of one config; see `start_costs.Costs.configs`.

    In every round ours and the other's take turns, first cold and then warm.

    Args:
      name: of the config.
      flags: of every run.
      rounds: how many.
      against: root of the other checkout.
      runs: makes one run, see `run`.
    """
    sides = {OURS: ROOT} | ({THEIRS: against} if against is not None else {})
    for root in sides.values():
        prepare(root)
    taken: dict[tuple[str, str], list[Cost]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as caches:
            for start in STARTS:
                for side, root in sides.items():
                    cache = pathlib.Path(caches) / side
                    cost = runs(root, name, flags, cache, side == OURS)
                    taken.setdefault((start, side), []).append(cost)
    found = {start: _of_ours(taken[start, OURS]) for start in STARTS}
    for start in STARTS if against is not None else ():
        found[start][AGAINST] = _totals(taken[start, THEIRS])
    return found


def _totals(costs: list[Cost]) -> dict[str, list[float]]:
    return {
        side: [round(getattr(c, side), 3) for c in costs] for side in ("wall", "cpu")
    }


def _of_ours(costs: list[Cost]) -> dict[str, Any]:
    """The totals, with the phases; what no phase had is of the rest."""
    phases: dict[str, dict[str, list[float]]] = {}
    for phase in budget.PHASES:
        spent = {"wall": [], "cpu": []}
        for cost in costs:
            inside = cost.inside["phases"]
            for side, values in spent.items():
                value = inside.get(phase, {side: 0.0})[side]
                if phase == budget.REST:
                    known = sum(other[side] for other in inside.values())
                    value += getattr(cost, side) - known
                values.append(round(value, 3))
        phases[phase] = spent
    inner = [cost.inside for cost in costs]
    slowest = sorted(inner[-1]["programs"], key=lambda one: -one[1])[:SLOWEST]
    return {
        **_totals(costs),
        "phases": phases,
        "programs": [len(one["programs"]) for one in inner],
        "found": [one["found"] for one in inner],
        "slowest": [[name, round(took, 3)] for name, took in slowest],
    }


def make_parser() -> argparse.ArgumentParser:
    """Flags and their defaults."""
    parser = summary.Parser(prog="python -m infovae_jax.benchmark.start")
    add = parser.add_argument
    add("--configs", default=",".join(names()), help="names, with :preset perhaps")
    add("--rounds", type=int, default=1)
    add("--against", type=pathlib.Path, help="another checkout of the project")
    add("--out", type=pathlib.Path, help="JSON file, written after every config")
    add("--table", type=pathlib.Path, help="print the Markdown of such a file")
    add("flags", nargs="*", help="after --: of every run, as --config.KEY=VALUE")
    return parser


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line, checked.

    Raises:
      ConfigError: an unknown config, no round, or another folder than a checkout.
    """
    options = make_parser().parse_args(arguments)
    options.configs = options.configs.split(",")
    for name in options.configs:
        config_lib.find_config_file(f"configs/{name.partition(':')[0]}.py")
    summary.require_place(options.out, "--out", ".json")
    if options.rounds < 1:
        raise ConfigError("nothing to measure", "--rounds", "give at least 1")
    root = options.against
    if root is not None:
        options.against = root = root.resolve()
        if not (root / "infovae_jax" / "main.py").is_file():
            fix = "give the folder that holds infovae_jax/ and configs/"
            raise ConfigError("no checkout of the project", f"--against={root}", fix)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measures, or prints what was measured."""
    with ending_in_one_line():
        options = parse_options(arguments)
        if options.table is not None:
            made = record.lines_of(options.table, start_costs.read, start_costs.table)
            print("\n".join(made))
            return
        other = record.commit(options.against) if options.against else ""
        costs = Costs(
            _command(options), record.environment(), other, list(budget.PHASES), {}
        )
        for name in options.configs:
            starts = measure(name, options.flags, options.rounds, options.against)
            costs.configs[name] = starts
            only = costs._replace(configs={name: starts})
            print("\n".join(aligned(start_costs.rows(only))))
            for row in start_costs.ratio_rows(only)[1:]:
                print(f"of the CPU seconds of {other}: cold {row[1]}, warm {row[2]}")
            sys.stdout.flush()
            if options.out is not None:
                record.write(costs, options.out)


def _command(options: argparse.Namespace) -> str:
    """The command for the reader, without folders of this machine."""
    parts = ["python -m infovae_jax.benchmark.start"]
    if options.configs != names():
        parts.append(f"--configs={','.join(options.configs)}")
    parts.append(f"--rounds={options.rounds}")
    if options.against is not None:
        parts.append("--against=FOLDER")
    if options.flags:
        parts += ["--", *(_FOLDERS.sub("=", flag) for flag in options.flags)]
    return " ".join(parts)


if __name__ == "__main__":
    output.keep_harmless()
    main()
