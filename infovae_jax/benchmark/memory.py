"""Memory of each phase of a command, with its data resident and with `data.stream`.

    python -m infovae_jax.benchmark.memory                    # 60,000 examples
    python -m infovae_jax.benchmark.memory --rows=1000000 --rounds=3 --out=FILE.json
    python -m infovae_jax.benchmark.memory -- --config.train.batch_size=1000
    python -m infovae_jax.benchmark.memory --table=FILE.json  # Markdown

Random uint8 images are written to a file, and `infovae_jax.main` trains on it for an
epoch, evaluates and reports, in a process of its own with empty caches; resident and
streaming runs take turns. A phase has the greatest resident memory (of the process,
pages of mapped files included) of all its instants, as Linux counts it; elsewhere only
the speeds are measured. What a phase imports or compiles is its own:

  start     up to the data: mostly imports
  data      reading and checking them
  compile   the training's programs
  train     steps, their rows of metrics, the loop
  measure   figures of the test split between two epochs
  save      checkpoints
  evaluate  `evaluation.json`
  report    pictures and the page
  rest      what is left
"""

import argparse
import math
import os
import pathlib
import shutil
import statistics
import tempfile
from collections.abc import Callable

import numpy as np

from infovae_jax.benchmark import budget, command, race, start
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.evaluation.table import aligned
from infovae_jax.report import memory as report
from infovae_jax.report import record, summary
from infovae_jax.training import metrics, output

WAYS = {report.RESIDENT: [], report.STREAM: ["--config.data.stream=True"]}
ONE_EPOCH = "--config.train.num_epochs=1"
# Order of the table.
PHASES = (
    *(budget.START, "data", "compile", "train", "measure", "save"),
    *("evaluate", "report", budget.REST),
)
_CHUNK = 10_000


def write_images(path: pathlib.Path, num_rows: int, num_pixels: int) -> None:
    """Random images, a fifth of the pixels lit; square where they can be, else rows."""
    side = math.isqrt(num_pixels)
    shape = (side, side) if side**2 == num_pixels else (num_pixels,)
    rng = np.random.default_rng(0)
    plain = path.with_suffix(".npy")
    x = np.lib.format.open_memmap(plain, "w+", np.uint8, (num_rows, *shape))
    for begin in range(0, num_rows, _CHUNK):
        size = len(x[begin : begin + _CHUNK])
        lit = rng.random((size, *shape), np.float32) < 0.2
        x[begin : begin + size] = lit * rng.integers(1, 256, lit.shape, np.uint8)
    x.flush()
    if path != plain:
        np.savez(path, x=x)
        plain.unlink()


def one_run(
    way: str, source: pathlib.Path, config: str, flags: list[str]
) -> tuple[dict[str, int], float]:
    """Peaks by phase and examples a second of one run; see `start.run`."""
    with tempfile.TemporaryDirectory() as scratch:
        own = [f"--config.data.source={source}", f"--workdir={scratch}/run"]
        own += [ONE_EPOCH, *WAYS[way], *flags]
        folder = pathlib.Path(scratch)
        cost = start.run(start.ROOT, config, own, folder / "cache", True, True)
        return cost.inside["peaks"], speed(folder / "run")


def speed(workdir: pathlib.Path) -> float:
    """Examples a second of training, median of all blocks but those that compile."""
    rates = [row["time/examples_per_second"] for row in metrics.read_metrics(workdir)]
    return statistics.median(rates[1:] or rates)


def measure(rounds: int, run: Callable[[str], tuple[dict, float]]) -> dict[str, dict]:
    """`report.memory.Memory.ways` of so many rounds in turns; `run(way)` makes one."""
    ways = {way: {"peaks": {}, "examples_per_second": []} for way in WAYS}

    def turn(way):
        peaks, rate = run(way)
        ways[way]["examples_per_second"].append(rate)
        for phase in filter(peaks.get, PHASES):
            ways[way]["peaks"].setdefault(phase, []).append(peaks[phase])

    race.take_turns(lambda _: WAYS, turn, rounds)
    return ways


def make_parser() -> argparse.ArgumentParser:
    """Flags and their defaults."""
    parser = summary.Parser(prog="python -m infovae_jax.benchmark.memory")
    add = parser.add_argument
    add("--rows", type=int, default=60_000, help="examples; a fifth is held out")
    add("--pixels", type=int, default=784, help="of each")
    add("--file", default="npy", choices=("npy", "npz"), help="in which they lie")
    add("--config", default="vae:mnist", help="its name, with :preset perhaps")
    add("--rounds", type=int, default=1)
    add("--folder", type=pathlib.Path, help="for the file; default: a temporary one")
    add("--out", type=pathlib.Path, help="JSON file for the figures")
    add("--table", type=pathlib.Path, help="print the Markdown of such a file")
    add("flags", nargs="*", help="after --: of every run, as --config.KEY=VALUE")
    return parser


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line, checked.

    Raises:
      ConfigError: a number that is none, or a folder that is not there.
    """
    options = make_parser().parse_args(arguments)
    summary.require_place(options.out, "--out", ".json")
    for name, least in (("rows", 1000), ("pixels", 2), ("rounds", 1)):
        if getattr(options, name) < least:
            what = f"{getattr(options, name)} is too small"
            raise ConfigError(what, f"--{name}", f"give at least {least}")
    if options.folder is not None and not options.folder.is_dir():
        raise ConfigError(f"no folder '{options.folder}'", "--folder", "make it")
    _require_room(options)
    return options


def _require_room(options: argparse.Namespace) -> None:
    """Raises ConfigError where the images would not fit on the disk."""
    folder = options.folder or pathlib.Path(tempfile.gettempdir())
    # An archive is written beside the array that it is made of.
    needed = options.rows * options.pixels * (1 if options.file == "npy" else 2)
    free = shutil.disk_usage(folder).free
    if needed > free:
        what = f"{options.rows} rows need {needed / 2**30:,.0f} GiB"
        where = f"{folder}, where {free / 2**30:,.0f} GiB are free"
        raise ConfigError(what, where, "give fewer --rows, or another --folder")


def main(arguments: list[str] | None = None) -> None:
    """Measures, or prints what was measured."""
    with ending_in_one_line():
        options = parse_options(arguments)
        if options.table is not None:
            made = record.lines_of(options.table, report.read, report.table)
            print("\n".join(made))
            return
        start.prepare(start.ROOT)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            source = pathlib.Path(folder) / f"x.{options.file}"
            write_images(source, options.rows, options.pixels)

            def run(way):
                return one_run(way, source, options.config, options.flags)

            ways = measure(options.rounds, run)
        size = options.rows * options.pixels
        data = {"rows": options.rows, "pixels": options.pixels, "bytes": size}
        found = report.Memory(
            _command(options),
            record.environment(),
            data | {"file": options.file},
            ways,
        )
        if options.out is not None:
            record.write(found, options.out)
        if ways[report.RESIDENT]["peaks"]:
            print("\n".join(aligned(report.rows(found), (0,))))
        print(report.share(found))


def _command(options: argparse.Namespace) -> str:
    """The command for the reader, without folders of this machine."""
    names = ("rows", "pixels", "file", "config", "rounds")
    parts = [command.shown(make_parser(), options, names)]
    if options.flags:
        parts += ["--", *(flag for flag in options.flags if os.sep not in flag)]
    return " ".join(parts)


if __name__ == "__main__":
    output.keep_harmless()
    main()
