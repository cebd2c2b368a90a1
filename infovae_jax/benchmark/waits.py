"""What a person waits for: a bound, an accuracy, a likelihood, a sweep; in seconds.

    python -m infovae_jax.benchmark.waits                    # of digits, to try it
    python -m infovae_jax.benchmark.waits --data=mnist.npz --peers --out=FILE.json
    python -m infovae_jax.benchmark.waits --only=nll,ais     # some of the tasks
    python -m infovae_jax.benchmark.waits --table=FILE.json  # Markdown

  quality  training steps until CatVAE and InfoCatVAE, each as its config for MNIST
           trains it, reach the marks of MARKS on the test split
  nll      10,000 images with 5,000 importance samples each; see `benchmark.nll`
  ais      annealed importance sampling as the evaluation does it
  sweep    an epoch of 16 seeds of the VAE as a population, and one after the other

In `quality` ours and PyTorch's loops take turns, epoch by epoch (of whole programs, as
in training: a program's steps are not cut). Seconds are those of the steps; those of
compiling stand beside them. After each epoch both are scored by the same code, whose
time counts for nobody. A further round has another seed. With `--peers` PyTorch stands
beside it where it is installed.
"""

import argparse
import importlib.util
import os
import pathlib
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

from infovae_jax.benchmark import (
    cases,
    command,
    elbo,
    nll,
    nll_case,
    population,
    race,
    workers,
)
from infovae_jax.benchmark.workers import OURS
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.evaluation.table import aligned
from infovae_jax.report import record, summary
from infovae_jax.report import waits as report
from infovae_jax.training import output

# Of which recipe: the title, and the case.
RECIPES = {"CatVAE": "catvae_mlp", "InfoCatVAE": cases.RECIPE + "_mlp"}
# Data -> recipe -> what is to be reached on the test split; of files MNIST's.
MARKS = {
    "digits": {"CatVAE": {"elbo": -260.0}, "InfoCatVAE": {"elbo": -260.0}},
    "mnist": {
        "CatVAE": {"elbo": -104.0},
        "InfoCatVAE": {"elbo": -104.0, "accuracy": 0.97},
    },
}
WORDS = {"elbo": "a test ELBO of {:g} nats", "accuracy": "an accuracy of {:.0%}"}
LOOPS = ("torch_loader", "torch_resident")
# Rounds of the tasks that need no training to the end, after one that warms up.
TURNS = 3
MEMBERS, SWEPT_STEPS = 16, 20
MNIST_TRAIN = 60_000


class Way(NamedTuple):
    """How a recipe is trained to its marks.

    Attributes:
      case: of the recipe.
      marks: figure -> what is to be reached.
      epochs: at most so many.
      source: of the data, see `elbo.read`.
      options: of the workers.
    """

    case: cases.Case
    marks: dict[str, float]
    epochs: int
    source: str
    options: workers.Options


def ends(num_examples: int, batch_size: int, epochs: int) -> list[int]:
    """Steps after which one looks: the ends of epochs, at those of their programs."""
    from infovae_jax.training import blocks

    an_epoch = num_examples // batch_size
    length = min(an_epoch, blocks.MAX_BLOCK)
    return [-(-epoch * an_epoch // length) * length for epoch in range(1, epochs + 1)]


def passed(point: dict[str, Any], figure: str, mark: float) -> bool:
    """Whether a point of a curve has reached a mark."""
    return point[figure] is not None and point[figure] >= mark


def run_to(
    way: Way, names: list[str], seed: int, make: Callable = workers.Worker
) -> dict[str, list[dict[str, Any]] | str]:
    """Curves of the variants, each until it reached every mark; they take turns.

    Returns:
      name -> points as `report.waits.Waits.curves` has them, or why it failed.
    """
    count = len(elbo.read(way.source)[0])
    looks = ends(count, way.case.batch_size, way.epochs)
    found: dict[str, Any] = {name: [] for name in names}
    held: dict[str, Any] = {}

    def goes_on(name):
        curve = found[name]
        return not isinstance(curve, str) and not all(
            any(passed(point, figure, mark) for point in curve)
            for figure, mark in way.marks.items()
        )

    def turn(name):
        try:
            if name not in held:
                held[name] = make(name, way.case, way.options, way.source, seed)
            found[name].append(_point(held[name], found[name], looks, way, count))
        except workers.Failed as error:
            found[name] = str(error)

    try:
        race.take_turns(lambda _: list(filter(goes_on, names)), turn, len(looks))
    finally:
        for worker in held.values():
            worker.close()
    return found


def _point(worker, curve: list, looks: list[int], way: Way, count: int) -> dict:
    """Trains a variant on to the next look, and scores it."""
    steps = looks[len(curve)] - (looks[len(curve) - 1] if curve else 0)
    before = worker.call("compiled")["value"]
    taken = worker.call("steps", count=steps)["seconds"]
    compiled = worker.call("compiled")["value"]
    seconds = curve[-1]["seconds"] if curve else 0.0
    return {
        "epoch": looks[len(curve)] * way.case.batch_size / count,
        "seconds": seconds + taken - (compiled - before),
        "compile": compiled,
        **worker.call("scores")["value"],
    }


def reached(curves: list[list[dict] | str], figure: str, mark: float) -> dict:
    """What `Waits.tasks` has of a variant, of its curve of each round."""
    failed = next((curve for curve in curves if isinstance(curve, str)), None)
    if failed is not None:
        return {"failed": failed}
    firsts = [
        next((point for point in curve if passed(point, figure, mark)), {})
        for curve in curves
    ]
    kept = {"seconds": "seconds", "compile": "compile", "epochs": "epoch"}
    return {ours: [p.get(name) for p in firsts] for ours, name in kept.items()}


def quality(options: argparse.Namespace) -> tuple[list[dict], dict]:
    """Tasks of every mark of every recipe, and the curves they are read from."""
    timing = workers.Options(threads=options.threads, answer_seconds=600.0)
    names = [OURS, *(LOOPS if options.peers else ())]
    tasks, curves = [], {}
    kind = "digits" if options.data == "digits" else "mnist"
    for title, marks in MARKS[kind].items():
        case = cases.parse(RECIPES[title])
        size = cases.shipped_batch_size(case.name)
        case = case._replace(batch_size=size, own_rate=True)
        way = Way(case, marks, options.epochs, options.data, timing)
        rounds = [run_to(way, names, seed) for seed in range(options.rounds)]
        of_case = {name: [found[name] for found in rounds] for name in names}
        for figure, mark in marks.items():
            what = f"{title} until {WORDS[figure].format(mark)}"
            variants = {n: reached(c, figure, mark) for n, c in of_case.items()}
            tasks.append({"what": what, "how": "", "variants": variants})
        curves[case.name] = {
            name: [curve for curve in all_ if not isinstance(curve, str)]
            for name, all_ in of_case.items()
        }
    return tasks, curves


def _task(what: str, how: str, seconds: dict[str, list[float]], compiled=None) -> dict:
    """A task of which nothing has epochs; `compiled` are seconds of ours."""
    rounds = [None] * len(next(iter(seconds.values())))
    variants = {
        name: {"seconds": taken, "compile": rounds, "epochs": rounds}
        for name, taken in seconds.items()
    }
    if compiled is not None:
        variants[OURS] |= {"compile": [compiled] * len(rounds)}
    return {"what": what, "how": how, "variants": variants}


def likelihood(options: argparse.Namespace) -> dict:
    """The importance-weighted NLL of 10,000 images, from those of some."""
    names = list(nll.TURNS) if options.peers else [OURS]
    found = nll.compare(names, nll.NUM_SAMPLES, TURNS, options.threads)
    seconds = {
        name: [nll.MNIST_TEST * one for one in row["seconds_an_image"]]
        for name, row in found.items()
    }
    counts = [nll.TURNS[name] for name in names]
    how = f"extrapolated from {max(counts)} images a turn"
    if min(counts) < max(counts):
        how += f", {min(counts)} of the slowest"
    what = f"NLL of {nll.MNIST_TEST:,} images, {nll.NUM_SAMPLES:,} samples each"
    return _task(what, how, seconds)


def annealed(num_temperatures: int, num_chains: int, count: int) -> dict:
    """Annealed importance sampling of so many images; ours alone."""
    import jax

    from infovae_jax.evaluation import annealing

    variant = nll.JaxVariant(1)
    forward, _ = annealing.make_annealing(
        variant.objective, num_temperatures, num_chains
    )
    x, key = nll_case.images(count).reshape(count, 28, 28, 1), jax.random.key(0)
    began = time.perf_counter()
    program = forward.lower(variant.params, x, key).compile()
    compiled = time.perf_counter() - began

    def turn():
        jax.block_until_ready(program(variant.params, x, key))

    seconds = race.timed_rounds({OURS: turn}, TURNS, warm_up=0)
    recipe = f"{num_temperatures} temperatures, {num_chains} chains"
    what = f"AIS of {count} images, {recipe}"
    return _task(what, "", seconds, compiled)


def ais(options: argparse.Namespace) -> dict:
    """`annealed` at the settings of the evaluation."""
    from infovae_jax.evaluation import subsets
    from infovae_jax.evaluation.groups import likelihood as group

    count = subsets.USES["ais"].count
    return annealed(group.AIS_TEMPERATURES, group.AIS_CHAINS, count)


def swept(num_members: int, num_steps: int, hidden: int) -> dict:
    """An epoch of so many seeds of the VAE, from so many steps of each."""
    ways = population.make_ways("vae_mlp", hidden, num_members, num_steps, 4)
    seconds = race.timed_rounds(ways, TURNS)
    an_epoch = MNIST_TRAIN // cases.BATCH_SIZE
    one = seconds.pop(population.SEQUENTIAL)
    best = min(seconds, key=lambda name: min(seconds[name]))
    scaled = {
        OURS: [s * an_epoch / num_steps for s in seconds[best]],
        report.ONE_BY_ONE: [s * an_epoch / num_steps for s in one],
    }
    how = f"by `{best}`, the fastest here; extrapolated from {num_steps} steps of each"
    what = f"{num_members} seeds of the VAE, an epoch of {MNIST_TRAIN:,} images"
    return _task(what, how, scaled)


def sweep(options: argparse.Namespace) -> dict:
    """`swept` at the size of MNIST's networks."""
    return swept(MEMBERS, SWEPT_STEPS, 500)


SINGLE = {"nll": likelihood, "ais": ais, "sweep": sweep}
TASKS = ("quality", *SINGLE)


def make_parser() -> argparse.ArgumentParser:
    """Flags and their defaults."""
    parser = summary.Parser(prog="python -m infovae_jax.benchmark.waits")
    add = parser.add_argument
    add("--data", default="digits", help="digits, or an npz file of 28x28 images")
    add("--peers", action="store_true", help="PyTorch beside it")
    add("--rounds", type=int, default=1, help="of training, each with its own seed")
    add("--epochs", type=int, default=25, help="at most so many")
    add("--only", default=",".join(TASKS), help=f"some of {', '.join(TASKS)}")
    add("--threads", type=int, default=os.cpu_count())
    add("--out", type=pathlib.Path, help="JSON file, written after every task")
    add("--table", type=pathlib.Path, help="print the Markdown of such a file")
    return parser


def parse_options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line, checked.

    Raises:
      ConfigError: an unknown task, or a number that is none.
    """
    options = make_parser().parse_args(arguments)
    options.only = options.only.split(",")
    for name in options.only:
        if name not in TASKS:
            fix = f"use {', '.join(TASKS)}"
            raise ConfigError(f"no task '{name}'", "--only", fix)
    for name in ("rounds", "epochs", "threads"):
        if getattr(options, name) < 1:
            raise ConfigError("nothing to measure", f"--{name}", "give at least 1")
    summary.require_place(options.out, "--out", ".json")
    if options.table is None:
        require_images(options.data)
    return options


def require_images(source: str) -> None:
    """Says at once what is wrong with the images of `--data`.

    Raises:
      ConfigError: of another size, or too few for a batch; and see `elbo.read`.
    """
    train_x, *_ = elbo.read(source)
    least = max(cases.shipped_batch_size(name) for name in RECIPES.values())
    if len(train_x) < least:
        what = f"{len(train_x)} training images are no batch"
        raise ConfigError(what, f"--data={source}", f"give at least {least}")


def measure(options: argparse.Namespace) -> report.Waits:
    """Does the tasks one after the other, and shows each; writes `--out` after each."""
    place = command.environment(options.threads, "float32")
    place |= command.probe(options.threads)
    if options.peers and importlib.util.find_spec("torch") is None:
        print("note: PyTorch is not installed; ours alone", flush=True)
        options.peers = False
    if options.peers:
        place["torch"] = metadata.version("torch")
    found = report.Waits(_command(options), place, options.epochs, [], {})
    for name in options.only:
        if name == "quality":
            tasks, curves = quality(options)
            found.curves.update(curves)
        else:
            tasks = [SINGLE[name](options)]
        found.tasks.extend(tasks)
        rows = report.rows(found._replace(tasks=tasks))
        print("\n".join(aligned(rows, (0, 1))), flush=True)
        if options.out is not None:
            record.write(found, options.out)
    return found


def _command(options: argparse.Namespace) -> str:
    """The command for the reader, without folders of this machine."""
    told = {"data": pathlib.Path(options.data).name, "only": ",".join(options.only)}
    options = argparse.Namespace(**vars(options) | told)
    names = ("data", "peers", "rounds", "epochs", "only", "threads")
    return command.shown(make_parser(), options, names)


def main(arguments: list[str] | None = None) -> None:
    """Measures, or prints what was measured."""
    with ending_in_one_line():
        options = parse_options(arguments)
        if options.table is not None:
            made = record.lines_of(options.table, report.read, report.table)
            print("\n".join(made))
            return
        # Ours, in this process and in others, share an accelerator with PyTorch.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        workers.limit_threads(options.threads)
        measure(options)


if __name__ == "__main__":
    output.keep_harmless()
    main()
