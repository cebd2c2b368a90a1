"""What a training step costs as the number of clusters grows.

    python -m infovae_jax.benchmark.clusters [--clusters=10,100,1000] [--rounds=7]
        [--objective=catvae] [--readings=exact,topk,soft] [--out=FILE.json]

Two latent dims a cluster, an MLP of 500-500 units, batch 128, 784 pixels, Adam. All
variants live in one process and take turns; figures are medians over the rounds, and
the ratio is to the same reading with the fewest clusters in the same round. A variant
whose decodings would not fit into --memory gigabytes is left out and named. The second
table is the KL to all clusters alone, with its gradient: by a vmap, which holds
`[B, K, d]`, and by matrix products.
"""

import argparse
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from infovae_jax import config as config_lib
from infovae_jax import objectives, priors
from infovae_jax.benchmark import race
from infovae_jax.distributions import Gaussian, cluster_gaussians
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.objectives import catvae
from infovae_jax.training import optimizer, output, train_step
from infovae_jax.types import DataSpec

BATCH_SIZE = 128
SHAPE = (28, 28, 1)
HIDDEN = (500, 500)
SUB_DIM = 2
KL_FORMS = ("vmap", "products")


def make_config(objective: str, reading: str, num_clusters: int):
    """The shipped config of an objective, with so many clusters."""
    folder = pathlib.Path(__file__).resolve().parents[2] / "configs"
    config = config_lib.load_config_file(f"{folder / objective}.py:mnist")
    config.network.encoder_hidden = config.network.decoder_hidden = HIDDEN
    config.model.num_clusters = num_clusters
    config.model.latent_dim = SUB_DIM * num_clusters
    config.model.reconstruction = reading
    return config


def gigabytes(reading: str, num_clusters: int) -> float:
    """What one step's decodings hold at least: codes, layers, pixels, gradients."""
    passes = num_clusters if reading == "exact" else 1
    width = 2 * SUB_DIM * num_clusters + sum(HIDDEN) + SHAPE[0] * SHAPE[1]
    return 2 * 4 * BATCH_SIZE * passes * width / 1e9


class Variant:
    """A compiled function and its state, timed call by call."""

    def __init__(self, function: Callable, state, *inputs):
        began = time.perf_counter()
        self._run = jax.jit(function, donate_argnums=0).lower(state, *inputs).compile()
        self.compile_seconds = time.perf_counter() - began
        self._state, self._inputs = state, inputs

    def turn(self, calls: int) -> float:
        """Seconds a call, over so many calls in a row."""
        began = time.perf_counter()
        for _ in range(calls):
            self._state, _ = jax.block_until_ready(
                self._run(self._state, *self._inputs)
            )
        return (time.perf_counter() - began) / calls


def step_variant(objective_name: str, reading: str, num_clusters: int) -> Variant:
    """A training step of an objective."""
    config = make_config(objective_name, reading, num_clusters)
    objectives.check(config)
    spec = DataSpec(SHAPE, "uint8", "bernoulli", 60_000, 0, False)
    objective = objectives.make(config, spec)
    transform = optimizer.make_optimizer(config.optimizer, 1, 1)
    state = jax.jit(lambda: train_step.init_train_state(objective, transform, 0))()
    lit = jax.random.uniform(jax.random.key(1), (BATCH_SIZE, *SHAPE)) < 0.2
    batch = lit.astype(jnp.uint8) * jnp.uint8(255)
    return Variant(train_step.make_train_step(objective, transform, {}), state, batch)


def kl_variant(form: str, num_clusters: int) -> Variant:
    """sum_c q(c | x) KL_c over a batch, with its gradient."""
    dim = SUB_DIM * num_clusters
    keys = jax.random.split(jax.random.key(0), 5)
    shapes = 2 * [(BATCH_SIZE, dim)] + 2 * [(num_clusters, dim)]
    arrays = [
        0.1 * jax.random.normal(k, s) for k, s in zip(keys[:4], shapes, strict=True)
    ]
    q = cluster_gaussians.ShiftedGaussians(Gaussian(*arrays[:2]), Gaussian(*arrays[2:]))
    probs = jax.nn.softmax(jax.random.normal(keys[4], (BATCH_SIZE, num_clusters)))
    prior = priors.clusters(num_clusters, SUB_DIM, 4.0)

    def rate(q):
        if form == "vmap":
            kl = catvae.kl_per_cluster(cluster_gaussians.components(q), prior)
        else:
            kl = cluster_gaussians.kl_to_unit_variance(q, prior.mean)
        return (probs * kl).sum(-1).mean()

    def function(q):
        value, grads = jax.value_and_grad(rate)(q)
        return jax.tree.map(lambda a, g: a - 1e-6 * g, q, grads), value

    return Variant(function, q)


def measure(variants: dict[tuple[str, int], Variant], rounds: int, calls: int) -> list:
    """Interleaved rounds, the first not counted; one row per variant."""
    turns = {
        key: functools.partial(variant.turn, calls) for key, variant in variants.items()
    }
    seconds = race.timed_rounds(turns, rounds)
    rows = []
    for (name, count), variant in variants.items():
        fewest = min(k for n, k in variants if n == name)
        own = seconds[name, count]
        middle, spread = race.ratio(own, seconds[name, fewest])
        rows.append(
            {
                "name": name,
                "clusters": count,
                "seconds": statistics.median(own),
                "ratio": middle,
                "ratio_range": spread,
                "compile_seconds": variant.compile_seconds,
            }
        )
    return rows


def table(title: str, rows: list[dict]) -> str:
    """The rows as text."""
    lines = [
        f"{title:<10} {'K':>6} {'ms':>10} {'ratio (min..max)':>22} {'compile s':>10}"
    ]
    for row in rows:
        low, high = row["ratio_range"]
        ratio = f"{row['ratio']:.2f} ({low:.2f}..{high:.2f})"
        lines.append(
            f"{row['name']:<10} {row['clusters']:>6} {1e3 * row['seconds']:>10.2f} "
            f"{ratio:>22} {row['compile_seconds']:>10.2f}"
        )
    return "\n".join(lines)


def parse_options(arguments=None) -> argparse.Namespace:
    """Options of the command line, checked.

    Raises:
      ConfigError: a value out of its range.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clusters", default="10,100,1000")
    parser.add_argument("--objective", default="catvae")
    parser.add_argument("--readings", default="exact,topk,soft")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=5, help="steps of a turn")
    parser.add_argument("--memory", type=float, default=4.0, help="gigabytes")
    parser.add_argument("--out", help="JSON file for the figures")
    options = parser.parse_args(arguments)
    for name in ("rounds", "calls"):
        if getattr(options, name) < 1:
            raise ConfigError("nothing to measure", f"--{name}", "give at least 1")
    if options.objective not in ("catvae", "infocatvae"):
        raise ConfigError(
            f"no clusters in '{options.objective}'",
            "--objective",
            "use catvae or infocatvae",
        )
    try:
        options.clusters = sorted(int(count) for count in options.clusters.split(","))
    except ValueError:
        raise ConfigError(
            f"'{options.clusters}' are no numbers", "--clusters", "as in 10,100"
        ) from None
    options.readings = options.readings.split(",")
    return options


def main() -> None:
    """Runs the benchmark; see the module's docstring."""
    with ending_in_one_line():
        options = parse_options()
        print(f"{options.rounds} rounds of {options.calls} steps, batch {BATCH_SIZE}")
        steps = {}
        for reading in options.readings:
            for count in options.clusters:
                needed = gigabytes(reading, count)
                if needed > options.memory:
                    print(f"{reading} with {count} clusters needs {needed:.1f} GB: out")
                    continue
                steps[reading, count] = step_variant(options.objective, reading, count)
        step_rows = measure(steps, options.rounds, options.calls)
        print(table("step", step_rows), flush=True)
        del steps
        kls = {(f, k): kl_variant(f, k) for f in KL_FORMS for k in options.clusters}
        kl_rows = measure(kls, options.rounds, 1)
        print(table("KL", kl_rows), flush=True)
        if options.out:
            text = json.dumps({"step": step_rows, "kl": kl_rows}, indent=2)
            pathlib.Path(options.out).write_text(text + "\n")


if __name__ == "__main__":
    output.keep_harmless()
    main()
