"""Time of the importance-weighted NLL, alone or beside PyTorch in interleaved rounds.

    python -m infovae_jax.benchmark.nll [--samples=5000] [--out=FILE.json]
    python -m infovae_jax.benchmark.nll --peers      # needs torch (the `dev` extra)

Each variant lives in a process of its own; they take turns on command (A, B, C, A, B,
C, ...), so that a change of the machine's speed meets all alike. The networks (784 -
500 - 500 - 20 and back), their weights, the images, the samples per image and the
precision (float32) are equal. Each turn has the number of images that TURNS names;
times are seconds per image, and those of 10,000 images are extrapolated from them.

  jax               the evaluation's own function, see evaluation/density.py
  torch_per_image   a loop over images, all samples of one in one batch: of equal cost
                    in multiplications, so that only what is around them can differ
  torch_per_sample  a loop over images and over the samples of each, one at a time
"""

import argparse
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

from infovae_jax.benchmark import race, workers
from infovae_jax.benchmark.nll_case import LATENT_DIM, images, weights
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.training import output

NUM_SAMPLES = 5000
# Images of one turn: seconds each on two cores.
TURNS = {"jax": 20, "torch_per_image": 20, "torch_per_sample": 2}
MNIST_TEST = 10_000


class JaxVariant:
    """The importance-weighted bound as the evaluation calls it."""

    def __init__(self, num_samples: int):
        import jax

        from infovae_jax import config as config_lib
        from infovae_jax import objectives
        from infovae_jax.evaluation import density
        from infovae_jax.types import DataSpec

        folder = pathlib.Path(__file__).resolve().parents[2] / "configs"
        config = config_lib.load_config_file(f"{folder / 'vae'}.py")
        config.network.kind = "mlp"
        config.network.encoder_hidden = config.network.decoder_hidden = (500, 500)
        config.model.latent_dim = LATENT_DIM
        spec = DataSpec((28, 28, 1), "float32", "bernoulli", 1, 0, True)
        self.objective = objectives.make(config, spec)
        params = jax.tree.map(np.zeros_like, self.objective.init(jax.random.key(0)))
        for name, matrix in weights().items():
            part, layer = name.split("/")
            params[part][layer]["kernel"] = matrix
        self.params = jax.device_put(params)
        self._bound = density.make_importance_weighted_bound(
            self.objective, num_samples
        )
        self._key = jax.random.key(0)

    def nll(self, num: int) -> float:
        """Mean NLL of so many images in nats."""
        x = images(num).reshape(num, 28, 28, 1)
        return -float(self._bound(self.params, x, self._key).log_prob.mean())


def make_variant(name: str, num_samples: int):
    """The variant called `name`, with `nll(num_images) -> mean in nats`."""
    if name == "jax":
        return JaxVariant(num_samples)
    from infovae_jax.benchmark import torch_loops

    return torch_loops.NllVariant(num_samples, name == "torch_per_image")


def serve(name: str, num_samples: int, threads: int) -> None:
    """A worker: reads a number of images a line, answers with the seconds taken."""
    workers.limit_threads(threads)
    variant = make_variant(name, num_samples)
    for line in sys.stdin:
        began = time.perf_counter()
        nll = variant.nll(int(line))
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "nll": nll}), flush=True)


def start(name: str, num_samples: int, threads: int) -> subprocess.Popen:
    """A process that serves the variant."""
    options = [f"--serve={name}", f"--samples={num_samples}", f"--threads={threads}"]
    return subprocess.Popen(
        [sys.executable, "-m", "infovae_jax.benchmark.nll", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        process_group=0,  # Ctrl-C is ours alone
    )


def turn(worker: subprocess.Popen, num_images: int) -> dict[str, float]:
    """Seconds and mean NLL of one turn of a worker."""
    worker.stdin.write(f"{num_images}\n")
    worker.stdin.flush()
    line = worker.stdout.readline()
    if not line:
        raise ConfigError(
            "a variant ended early", "benchmark.nll", "see its message above"
        )
    return json.loads(line)


def compare(names: list[str], num_samples: int, rounds: int, threads: int) -> dict:
    """Interleaved rounds; the first one warms up and is not counted."""
    served = {name: start(name, num_samples, threads) for name in names}
    nll = {}

    def take(name):
        outcome = turn(served[name], TURNS[name])
        nll[name] = outcome["nll"]
        return outcome["seconds"] / TURNS[name]

    turns = {name: functools.partial(take, name) for name in names}
    try:
        seconds = race.timed_rounds(turns, rounds)
    finally:
        for worker in served.values():
            workers.end(worker)
    result = {}
    for name in names:
        faster, spread = race.ratio(seconds[name], seconds["jax"])
        result[name] = {
            "images": TURNS[name],
            "nll": nll[name],
            "seconds_an_image": seconds[name],
            "median": statistics.median(seconds[name]),
            "jax_is_faster_by": faster,
            "ratio_range": spread,
        }
    return result


def table(result: dict) -> str:
    """The result as text."""
    lines = [
        f"{'':<18}{'images':>7}{'NLL':>9}{'ms per image':>13}{'min..max':>18}"
        f"{'10,000 images':>15}{'jax is x faster':>24}"
    ]
    for name, row in result.items():
        each = [1000 * value for value in row["seconds_an_image"]]
        spread = f"{min(each):.1f}..{max(each):.1f}"
        whole = f"{row['median'] * MNIST_TEST / 60:.1f} min"
        low, high = row["ratio_range"]
        ratio = f"{row['jax_is_faster_by']:.2f} ({low:.2f}..{high:.2f})"
        lines.append(
            f"{name:<18}{row['images']:>7}{row['nll']:>9.2f}"
            f"{1000 * row['median']:>13.1f}{spread:>18}{whole:>15}{ratio:>24}"
        )
    return "\n".join(lines)


def main() -> None:
    """Runs the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", action="store_true", help="PyTorch beside it")
    parser.add_argument("--samples", type=int, default=NUM_SAMPLES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", help="JSON file for the figures")
    parser.add_argument("--serve", choices=TURNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with ending_in_one_line():
        for name in ("samples", "rounds", "threads"):
            if getattr(options, name) < 1:
                raise ConfigError(
                    f"{getattr(options, name)} {name}", f"--{name}", "give at least 1"
                )
        if options.serve:
            serve(options.serve, options.samples, options.threads)
            return
        names = list(TURNS) if options.peers else ["jax"]
        print(
            f"{options.threads} threads, {options.rounds} rounds, "
            f"{options.samples} samples per image"
        )
        result = compare(names, options.samples, options.rounds, options.threads)
        print(table(result))
        if options.out:
            pathlib.Path(options.out).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    output.keep_harmless()
    main()
