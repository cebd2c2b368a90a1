"""How well the model explains data it has not seen, in nats and bits."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.data import batches
from infovae_jax.data.subsets import take
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import NonFiniteError
from infovae_jax.evaluation import subsets
from infovae_jax.evaluation.table import Row
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run
from infovae_jax.types import Array, Objective

# Pixels that the decoder may put out at once: 4 MB stay in a CPU's cache, and an
# accelerator wants more to do.
_CPU_OUTPUTS, _ACCELERATOR_OUTPUTS = 2**20, 2**24
# Codes decoded at once, however small the images are.
_MAX_CODES = 8192
# Of the dequantisation noise, apart from the draws of the codes by the same key.
_NOISE_STREAM = 2**31 - 3
# Median of the effective samples from which their number tells how loose the bound is:
# the first-order formula behind it is of the order of 1 / n itself.
ENOUGH_SAMPLES = 10


class Bound(NamedTuple):
    """The importance-weighted bound of each example.

    Attributes:
      log_prob: `[B]` nats, below log p(x) in expectation.
      effective_samples: `[B]`, (sum_s w_s)^2 / sum_s w_s^2, 1 to S (Kong 1992). With
        n of them the bound is low by about (1/n - 1/S) / 2 nats, as long as n is
        large; a proposal that misses a mode of the posterior does not show here.
    """

    log_prob: Array
    effective_samples: Array


def make_importance_weighted_bound(
    objective: Objective,
    num_samples: int,
    chunk: int | None = None,
    levels: int | None = None,
) -> Callable[..., Bound]:
    """`bound(params, x, key) -> Bound`: log (1/S) sum_s p(x, z_s) / q(z_s | x), nats.

    z_s ~ q(z | x). A lower bound on log p(x) in expectation, rising with S (Burda et
    al. 2016, arXiv 1509.00519). Jitted, and folded chunk by chunk, so memory does not
    grow with S. Example i and sample s draw from their own key alone: the value does
    not depend on the chunk, save for rounding.

    Of grey levels (`levels` given) it bounds log P(x), the probability of the levels.
    p(x, z_s) becomes p((v + u_s) / L, z_s) L^-D with v in 0 .. L-1 the level and
    u_s ~ U[0, 1)^D new for each sample: P(x) is the density's integral over the bin,
    of which u_s is one more latent (Theis et al. 2016, arXiv 1511.01844, have one u;
    that many of them tighten the bound is in Hoogeboom et al. 2020, arXiv 2001.11235).
    The proposal is q(z | x) of x without noise, as in training.

    Args:
      objective: gives `log_weight`.
      num_samples: S.
      chunk: samples of an example that are evaluated at once; None: as many as fit.
      levels: L; x then holds v / (L - 1).
    """

    one_sample = _make_one_sample(objective, levels)
    # The encoder sees no sample number, so it runs once for all samples of a chunk.
    over_samples = jax.vmap(one_sample, (None, None, None, 0))

    @seldom
    def bound(params, x: Array, key: Array) -> Bound:
        size, num_chunks, num_examples = _sizes(x.shape, num_samples, chunk)
        count = x.shape[0]

        def of_example(inputs):
            example, example_key = inputs

            def body(carry, first):
                log_sum, log_square_sum = carry
                numbers = first * size + jnp.arange(size)
                log_w = over_samples(params, example, example_key, numbers)
                # Samples past S only fill the last chunk.
                log_w = jnp.where(numbers < num_samples, log_w, -jnp.inf)
                log_sum = jnp.logaddexp(log_sum, jax.nn.logsumexp(log_w))
                squares = jax.nn.logsumexp(2.0 * log_w)
                return (log_sum, jnp.logaddexp(log_square_sum, squares)), None

            start = (jnp.float32(-jnp.inf), jnp.float32(-jnp.inf))
            sums, _ = jax.lax.scan(body, start, jnp.arange(num_chunks))
            log_sum, log_square_sum = sums
            return Bound(
                log_sum - math.log(num_samples), jnp.exp(2 * log_sum - log_square_sum)
            )

        keys = jax.random.split(key, count)
        # Parts of one size, the last filled with copies of the last example: for a
        # shorter one all of it would be compiled once more.
        places = jnp.arange(-(-count // num_examples) * num_examples)
        rows = jnp.minimum(places, count - 1).reshape(-1, num_examples)
        of_part = jax.vmap(of_example)
        found = jax.lax.map(lambda part: of_part((x[part], keys[part])), rows)
        return jax.tree.map(lambda values: values.reshape(-1)[:count], found)

    return bound


def _make_one_sample(objective: Objective, levels: int | None) -> Callable[..., Array]:
    """`one_sample(params, example, example_key, number) -> log w_s`, nats."""

    def one_sample(params, example, example_key, number):
        key = jax.random.fold_in(example_key, number)
        if levels is None:
            return objective.log_weight(params, example, key)
        noise = jax.random.uniform(
            jax.random.fold_in(key, _NOISE_STREAM), example.shape
        )
        target = (jnp.round(example * (levels - 1)) + noise) / levels
        log_weight = objective.log_weight(params, example, key, target)
        return log_weight - example.size * math.log(levels)

    return one_sample


def _sizes(shape: tuple[int, ...], num_samples: int, chunk: int | None):
    """Samples in a chunk, chunks, and examples at once, for images `[B, H, W, C]`."""
    on_cpu = jax.default_backend() == "cpu"
    outputs = _CPU_OUTPUTS if on_cpu else _ACCELERATOR_OUTPUTS
    num_codes = max(1, min(_MAX_CODES, outputs // math.prod(shape[1:])))
    num_chunks = -(-num_samples // (chunk or num_codes))
    # Chunks of one size with as little as possible past the last sample.
    size = chunk or -(-num_samples // num_chunks)
    num_parts = -(-shape[0] // max(1, num_codes // size))
    return size, num_chunks, -(-shape[0] // num_parts)


def standard_error(values: np.ndarray) -> float | None:
    """Of the mean of independent values; None of a single one."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))


def require_finite(values: np.ndarray, metric: str) -> None:
    """Raises NonFiniteError, with the metric and the first example of a bad value."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise NonFiniteError(
            f"'{metric}' is {values[bad[0]]} for {len(bad)} of {len(values)} examples",
            f"the first is test example {bad[0]}",
            "the decoder's outputs or the scale of the likelihood overflow there: "
            "evaluate an earlier checkpoint, or train with a lower "
            "config.optimizer.learning_rate",
        )


def bound_of_test_images(
    run: Run, params: Any, metric: str, levels: int | None = None
) -> Bound:
    """The bound of the test images that `config.evaluation` names, as NumPy arrays.

    Raises:
      NonFiniteError: a weight was NaN or infinite, or all were 0; names the metric.
    """
    settings = run.config.evaluation
    x = take(run.dataset.test_x, subsets.indices(run, "nll"))
    key = jax.random.key(settings.seed)
    num_batches = -(-len(x) // settings.batch_size)
    # Batches of one size with as little padding as possible: an image is dear here.
    size = -(-len(x) // num_batches)
    bound = make_importance_weighted_bound(
        run.objective, settings.nll_samples, levels=levels
    )

    def of_batch(batch, batch_key) -> Bound:
        key_data, key_bound = jax.random.split(batch_key)
        images = batches.prepare(jnp.asarray(batch), key_data, run.config.data.binarize)
        return bound(params, images, key_bound)

    result = batches.map_batches(of_batch, x, size, key)
    require_finite(result.log_prob, metric)
    return result


def density_rows(run: Run, params: Any, elbo: float | None = None) -> list[Row]:
    """`nll`, its standard error and tightness, and `bits_per_dim`.

    `elbo`: of the same examples, nats, to stand beside it where it is known.
    """
    num_samples = run.config.evaluation.nll_samples
    text = "nats; -elbo of the same examples, the looser bound"
    same = [] if elbo is None else [Row("nll/minus_elbo", -elbo, text)]
    bound = bound_of_test_images(run, params, "nll")
    nll, effective = -bound.log_prob, bound.effective_samples
    recipe = f"{num_samples} samples, {subsets.text(run, 'nll')}"
    return [
        Row(
            "nll",
            float(nll.mean()),
            f"nats; {recipe}; importance-weighted upper bound",
            standard_error(nll),
        ),
        Row("nll/standard_error", standard_error(nll), "nats; over test examples"),
        *same,
        Row(
            "nll/effective_samples",
            float(np.median(effective)),
            f"of {num_samples}; median of (sum w)^2 / sum w^2, smallest "
            f"{effective.min():.3g}; {_slack(effective, num_samples)}",
        ),
        bits_per_dim_row(run, params, nll),
    ]


def _slack(effective: np.ndarray, num_samples: int) -> str:
    """How much too high the bound is, in words, where that can be told."""
    if np.median(effective) < min(ENOUGH_SAMPLES, num_samples):
        return "how much too high nll is cannot be told from so few"
    slack = float(np.mean(1.0 / effective - 1.0 / num_samples) / 2.0)
    return f"nll too high by about {slack:.2g} nats, by more where these are few"


def bits_per_dim_row(run: Run, params: Any, nll: np.ndarray) -> Row:
    """Bits per pixel and channel of discrete data, or the reason why there are none.

    nll / (D log 2) where p(x | z) is a probability (binary values, discretised
    logistic); the bound of `make_importance_weighted_bound` with `levels` where it is
    a density. Bits of different `levels` are not comparable.

    Args:
      run: the run.
      params: its parameters.
      nll: upper bounds `[n]` on -log p(x) of the test examples, nats.
    """
    spec = run.dataset.spec
    reason, levels = _no_bits(run), spec.levels
    if reason:
        return Row("bits_per_dim", None, f"not reported: {reason}")
    if make_likelihood(spec).is_density:
        nll = -bound_of_test_images(run, params, "bits_per_dim", levels).log_prob
        text = (
            f"uniform dequantisation (x + u) / {levels} of {levels} grey levels, a new "
            f"u for each of {run.config.evaluation.nll_samples} samples; the model was "
            "trained without noise"
        )
    else:
        text = f"nll / (D log 2); {2 if spec.binary else levels} levels"
    bits = nll / (math.prod(spec.shape) * math.log(2.0))
    error = standard_error(bits)
    if error is not None:
        text += f"; standard error {error:.2g}"
    return Row("bits_per_dim", float(bits.mean()), f"{text}; upper bound", error)


def _no_bits(run: Run) -> str:
    """Why the data have no probability under the model; empty where they have one."""
    spec = run.dataset.spec
    likelihood = make_likelihood(spec)
    if spec.blocks:
        return "a table has no pixels"
    if likelihood.levels:
        return ""
    if not likelihood.is_density:
        return "" if spec.binary else "soft cross-entropy is no likelihood"
    if spec.binary:
        return "a density of values that are 0 or 1"
    x = take(run.dataset.test_x, subsets.indices(run, "nll"))
    steps = np.asarray(batches.prepare(np.asarray(x), None, "none"), np.float64)
    steps = steps * (spec.levels - 1)
    on_levels = np.abs(steps - np.round(steps)).max() < 1e-3
    if on_levels and steps.min() > -0.5 and steps.max() < spec.levels - 0.5:
        return ""
    return f"the values are none of config.data.levels = {spec.levels} grey levels"
