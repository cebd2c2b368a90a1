"""The command line of the benchmark."""

import argparse
import json
import os
import pathlib
import platform
from collections.abc import Sequence
from typing import NoReturn

from infovae_jax.benchmark import cases, race, tables, workers
from infovae_jax.errors import ConfigError, ending_in_one_line

# Flags that a command for the reader names.
_NAMED = (
    *("cases", "all", "recipes", "batch_sizes", "precision", "peers", "rounds"),
    *("turn_seconds", "case_seconds", "answer_seconds", "threads"),
)


def make_parser() -> argparse.ArgumentParser:
    """Flags and their defaults."""
    parser = argparse.ArgumentParser(prog="python -m infovae_jax.benchmark")
    parser.error = _refuse
    add = parser.add_argument
    add("--cases", help=f"default: {','.join(cases.DEFAULT)} (fewer with --quality)")
    add("--all", action="store_true", help="all objectives, networks and batches")
    add("--recipes", action="store_true", help="full recipes, each at its own batch")
    add("--batch_sizes", help=f"default: {cases.BATCH_SIZE}")
    add("--precision", default="float32", choices=("float32", "bfloat16"))
    add("--peers", action="store_true", help="PyTorch and pythae beside it")
    add("--rounds", type=int, help="default: 7 on CPU, 15 on an accelerator")
    add("--turn_seconds", type=float, help="of ours; default: 1.5 on CPU, else 0.5")
    add("--case_seconds", type=float, default=180.0, help="no further round after it")
    add("--answer_seconds", type=float, default=300.0, help="limit of a compilation")
    add("--threads", type=int, default=os.cpu_count())
    add("--quality", action="store_true", help="test ELBO after equal training")
    add("--data", default="digits", help="of --quality: digits or an npz file")
    add("--epochs", type=int, default=10, help="of --quality")
    add("--out", help="JSON file for the figures, written after every case")
    add("--resume", action="store_true", help="keep the cases that --out holds")
    add("--table", help="print the Markdown table of such a file")
    add("--serve", help=argparse.SUPPRESS)
    return parser


def _refuse(message: str) -> NoReturn:
    raise ConfigError(message, "command line", "see --help")


def _check(options) -> None:
    """Raises ConfigError for a number that is none, or a place of no file."""
    for name in ("rounds", "threads", "epochs", "turn_seconds", "answer_seconds"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise ConfigError(f"{value} is too small", f"--{name}", "give more than 0")
    if options.out and not _has_folder(pathlib.Path(options.out)):
        what = f"no folder for '{options.out}'"
        raise ConfigError(what, "--out", "make it")


def _has_folder(path: pathlib.Path) -> bool:
    """Whether a file can be written there; the project's own folder is made then."""
    from infovae_jax.report import step_speeds

    return path.absolute().parent.is_dir() or path.parent == step_speeds.FOLDER


def chosen_cases(options) -> list[cases.Case]:
    """The cases of a command line, small batches first.

    Raises:
      ConfigError: an unknown case, or a batch size that is none.
    """
    names = cases.DEFAULT
    if options.quality:
        from infovae_jax.benchmark import quality

        names = quality.DEFAULT
    if options.all:
        names = cases.all_names()
    if options.recipes:
        names = cases.RECIPES
    if options.cases:
        names = options.cases.split(",")
    sizes = (None,) if options.recipes else (cases.BATCH_SIZE,)
    if options.all:
        sizes = cases.ALL_BATCH_SIZES
    if options.batch_sizes:
        try:
            sizes = [int(size) for size in options.batch_sizes.split(",")]
        except ValueError:
            sizes = [0]
        if min(sizes) < 2:
            raise ConfigError(
                f"'{options.batch_sizes}' are no batch sizes",
                "--batch_sizes",
                "give integers from 2, as in 128,1024",
            )
    return [
        cases.parse(name, size or cases.shipped_batch_size(name), options.precision)
        for name in names
        for size in sizes
    ]


def environment(threads: int, precision: str) -> dict:
    """Of the run; the devices come from the workers."""
    from infovae_jax.report import record

    return {
        "threads": threads,
        "precision": precision,
        "machine": platform.machine(),
        **record.environment(),
    }


def command_of(options) -> str:
    """The command for the reader, without folders of this machine."""
    return shown(make_parser(), options, _NAMED)


def shown(parser: argparse.ArgumentParser, options, names: Sequence[str]) -> str:
    """The command of a parser, with the flags called `names` that were given."""
    parts = [parser.prog]
    for name in names:
        value = getattr(options, name)
        if value != parser.get_default(name):
            parts.append(f"--{name}" if value is True else f"--{name}={value}")
    return " ".join(parts)


def probe(threads: int) -> dict[str, str]:
    """Versions and device of JAX, from a process that ends again."""
    options = workers.Options(threads=threads)
    worker = workers.Worker(workers.PROBE, cases.Case("vae", "mlp", 28), options)
    worker.close()
    return worker.versions


def measure(options) -> dict:
    """The timed run; writes `--out` after every case, so that a cut run keeps them."""
    # Not above: the workers of other libraries import this module, and are measured.
    from infovae_jax.report import record, step_speeds

    chosen = chosen_cases(options)
    found = probe(options.threads)
    on_cpu = found["device"].startswith("cpu")
    timing = workers.Options(
        rounds=options.rounds or (7 if on_cpu else 15),
        turn_seconds=options.turn_seconds or (1.5 if on_cpu else 0.5),
        threads=options.threads,
        answer_seconds=options.answer_seconds,
        case_seconds=options.case_seconds,
    )
    report = {
        "command": command_of(options),
        "environment": environment(options.threads, options.precision) | found,
        "timing": timing._asdict(),
        "flops": "products and convolutions of a step, counted from its jaxpr",
        "cases": [],
    }
    print("; ".join(f"{k} {v}" for k, v in report["environment"].items()), flush=True)
    if on_cpu and options.precision == "bfloat16":
        print("note: on CPUs bfloat16 is slower than float32")
    names = [workers.OURS, *(workers.PEERS if options.peers else ())]
    done = _kept(options, report)
    for case in chosen:
        if (case.name, case.batch_size, case.precision) in done:
            continue
        result = race.run_case(case, names, timing)
        report["environment"] |= result["versions"]
        report["cases"].append(result)
        print(tables.text(result), flush=True)
        if options.out:
            record.write(step_speeds.Speeds(**report), pathlib.Path(options.out))
    return report


def _kept(options, report: dict) -> set[tuple]:
    """Takes over the cases of `--out`; they must be of the same environment."""
    if not (options.resume and options.out and pathlib.Path(options.out).exists()):
        return set()
    old = _read_report(options.out)
    for name, value in report["environment"].items():
        if old["environment"].get(name) != value:
            raise ConfigError(
                f"{name} was {old['environment'].get(name)}, is {value}",
                f"--out={options.out}",
                "leave --resume out, or give another file",
            )
    report["environment"] = old["environment"]
    report["cases"] = old["cases"]
    keys = ("case", "batch_size", "precision")
    return {tuple(result[key] for key in keys) for result in report["cases"]}


def _read_report(path: str) -> dict:
    from infovae_jax.report import step_speeds

    return step_speeds.read(pathlib.Path(path))._asdict()


def run(options) -> None:
    """Does what the flags ask."""
    _check(options)
    if options.serve:
        workers.serve(options.serve)
    elif options.table:
        print(tables.markdown(_read_report(options.table)))
    elif options.quality:
        from infovae_jax.benchmark import quality

        timing = workers.Options(
            threads=options.threads, answer_seconds=options.answer_seconds
        )
        chosen = chosen_cases(options)
        quality.check(chosen)
        found = quality.compare(options.data, options.epochs, timing, chosen)
        if options.out:
            report = {"epochs": options.epochs, "cases": found}
            pathlib.Path(options.out).write_text(json.dumps(report, indent=2) + "\n")
    else:
        measure(options)


def main(argv: list[str] | None = None) -> None:
    """Runs the benchmark; see the package's docstring."""
    with ending_in_one_line():
        run(make_parser().parse_args(argv))
