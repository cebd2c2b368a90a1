"""All tables of docs/benchmarks.md by one command, whatever the machine.

    python -m infovae_jax.benchmark.everything --data=mnist.npz
    python -m infovae_jax.benchmark.everything --data=mnist.npz --only=waits,memory
    python -m infovae_jax.report.pages                 # then makes the pages from them

Runs the parts of `commands` in order, each in a process of its own, and writes the
files of results/ from which the pages are made. A part that fails is told, and the
others go on; the exit code then is 2. On a CPU the parts of ACCELERATORS are left out
unless `--only` names them.
"""

import argparse
import pathlib
import subprocess
import sys

from infovae_jax.benchmark import command, waits
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.report import record, start_costs, step_speeds, summary
from infovae_jax.training import output

MODULE = "infovae_jax.benchmark"
# Parts that are for accelerators.
ACCELERATORS = ("steps", "bfloat16", "population", "clusters")
POPULATIONS = (8, 32, 128)
# Of MNIST: what an epoch costs is known from the steps.
SHORT = ("--config.train.num_epochs=2",)


def commands(
    data: str, folder: pathlib.Path, against: pathlib.Path | None = None
) -> dict[str, list[list[str]]]:
    """Name of a part -> its commands, each a module and its flags.

    Args:
      data: an npz file of MNIST.
      folder: what takes the place of results/.
      against: another checkout beside ours, see `benchmark.start`.
    """
    folder = folder.absolute()
    speed = folder / step_speeds.FOLDER.name
    costs = folder / start_costs.FOLDER.name
    other = [] if against is None else [f"--against={against}"]
    source = f"--config.data.source={pathlib.Path(data).absolute()}"
    starts = {
        "start": ["--configs=infocatvae", "--rounds=3", *other],
        "start_all": ["--rounds=1"],
        "start_mnist": ["--configs=infocatvae:mnist", *other, "--", source, *SHORT],
    }
    parts = {
        name: [[MODULE, *flags.split(), f"--out={speed / name}.json"]]
        for name, flags in step_speeds.FLAGS.items()
    }
    parts |= {
        name: [[f"{MODULE}.start", f"--out={costs / name}.json", *flags]]
        for name, flags in starts.items()
    }
    waiting = [f"--data={data}", "--peers", f"--out={speed / 'waits.json'}"]
    memory = ["--rows=1000000", "--rounds=3", f"--out={speed / 'memory.json'}"]
    parts |= {
        "profile": [[f"{MODULE}.profile", f"--out={speed / 'profile.json'}"]],
        "waits": [[f"{MODULE}.waits", *waiting]],
        "memory": [[f"{MODULE}.memory", *memory]],
        "population": [
            [
                f"{MODULE}.population",
                f"--members={members}",
                f"--out={speed / f'population{members}.json'}",
            ]
            for members in POPULATIONS
        ],
        "clusters": [[f"{MODULE}.clusters", f"--out={speed / 'clusters.json'}"]],
    }
    last = {name: parts.pop(name) for name in ACCELERATORS}
    return parts | last


def make_parser() -> argparse.ArgumentParser:
    """Flags and their defaults."""
    parser = summary.Parser(prog=f"python -m {MODULE}.everything")
    add = parser.add_argument
    names = ", ".join(commands("", pathlib.Path()))
    add("--data", required=True, help="an npz file of MNIST")
    add("--only", help=f"some of {names}")
    add("--against", type=pathlib.Path, help="another checkout, for the starts")
    add("--folder", type=pathlib.Path, default=record.FOLDER, help="of the results")
    return parser


def chosen(only: str | None, names: list[str], device: str) -> list[str]:
    """Names of the parts that are asked for, in their order.

    Raises:
      ConfigError: there is none of a name.
    """
    if only is None:
        on_cpu = device.startswith("cpu")
        return [name for name in names if not (on_cpu and name in ACCELERATORS)]
    wanted = only.split(",")
    for name in wanted:
        if name not in names:
            raise ConfigError(f"no part '{name}'", "--only", f"use {', '.join(names)}")
    return [name for name in names if name in wanted]


def run(parts: dict[str, list[list[str]]], execute=subprocess.run) -> list[str]:
    """Runs the commands of some parts; returns the names of those that failed."""
    failed = []
    for name, lines in parts.items():
        for line in lines:
            print(f"== {name}: python -m {' '.join(line)}", flush=True)
            done = execute([sys.executable, "-m", *line], check=False)
            if done.returncode and name not in failed:
                failed.append(name)
                print(f"== {name} failed, exit code {done.returncode}", flush=True)
    return failed


def main(arguments: list[str] | None = None) -> None:
    """Makes the files; see the module's docstring."""
    with ending_in_one_line():
        options = make_parser().parse_args(arguments)
        if not pathlib.Path(options.data).is_file():
            what = f"no file '{options.data}'"
            raise ConfigError(what, "--data", "give an npz file of MNIST")
        waits.require_images(options.data)
        parts = commands(options.data, options.folder, options.against)
        device = "" if options.only else command.probe(1)["device"]
        names = chosen(options.only, list(parts), device)
        for folder in (step_speeds.FOLDER, start_costs.FOLDER):
            (options.folder / folder.name).mkdir(parents=True, exist_ok=True)
        failed = run({name: parts[name] for name in names})
        print("the pages from them: python -m infovae_jax.report.pages")
        if failed:
            what = f"{', '.join(failed)} failed"
            fix = "see above; the others are done"
            raise ConfigError(what, "benchmark.everything", fix)


if __name__ == "__main__":
    output.keep_harmless()
    main()
