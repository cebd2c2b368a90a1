"""The evidence lower bound of examples, of a batch and of a whole split."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.data import batches
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run
from infovae_jax.types import Array, Metrics, Objective

# Of the golden ratio; even multiples of it plus one differ from place to place.
_ODD = 2654435761


def make_bound_evaluator(run: Run):
    """`evaluate_bound(params, x=None) -> {'test/elbo', 'test/<term>'}`.

    Means over `x` `[n, H, W, C]` as stored, by default the whole test split, in nats
    per example, with a fixed key, so that curves are comparable.
    """
    eval_step = run.kept(
        "eval_step",
        lambda: seldom(make_eval_step(run.objective, run.config.data.binarize)),
    )

    def evaluate_bound(params, x=None) -> dict[str, float]:
        x = run.dataset.test_x if x is None else x
        means = mean_bound(run, eval_step, params, x)
        return {f"test/{name}": float(value) for name, value in means.items()}

    return evaluate_bound


def mean_bound(run: Run, eval_step: Callable, params, x: np.ndarray) -> dict:
    """Means of what `make_eval_step` sums, over `x` `[n, H, W, C]`."""
    size = min(run.config.evaluation.batch_size, len(x))
    key = jax.random.key(run.config.evaluation.seed)
    sums = None
    for number, (batch, valid) in enumerate(batches.padded_batches(x, size)):
        step_sums = eval_step(params, batch, valid, jax.random.fold_in(key, number))
        sums = step_sums if sums is None else jax.tree.map(jnp.add, sums, step_sums)
    sums = {name: np.asarray(value, np.float64) for name, value in sums.items()}
    count = sums.pop("count")
    return {name: value / count for name, value in sums.items()}


def make_eval_step(objective: Objective, binarize: str = "none") -> Callable:
    """`eval_step(params, batch, valid, key) -> sums` over the valid examples.

    `batch` is `[B, H, W, C]` as stored and `valid` `[B]` is 0 for padding. Gives
    the sums of the bound's terms, `elbo` and the count, from which means follow.
    """

    def eval_step(params, batch: Array, valid: Array, key: Array) -> Metrics:
        key_data, key_loss = jax.random.split(key)
        x = batches.prepare(batch, key_data, binarize)
        keys = jax.random.split(key_loss, x.shape[0])
        terms = jax.vmap(objective.elbo, (None, 0, 0))(params, x, keys)
        terms["elbo"] = -sum(terms.values())
        sums = {name: (value * valid).sum() for name, value in terms.items()}
        return sums | {"count": valid.sum()}

    return eval_step


def make_row_bound(
    objective: Objective, num_samples: int, binarize: str = "none"
) -> Callable:
    """`row_bound(params, batch, key) -> [B]`: the bound of each example, nats.

    The mean of `num_samples` draws of `objective.elbo`. The draws of an example follow
    from `key` and from its own values alone: its bound is the same wherever it stands.

    Args:
      objective: gives `elbo`.
      num_samples: S.
      binarize: what the batch `[B, H, W, C]`, as stored, becomes first.
    """

    def of_example(params, x, key):
        key_data, key_loss = jax.random.split(jax.random.fold_in(key, _digest(x)))
        x = batches.prepare(x, key_data, binarize)
        keys = jax.random.split(key_loss, num_samples)
        # One draw of all rows at a time: all draws at once would not fit for images.
        bounds = jax.lax.map(
            lambda k: -sum(objective.elbo(params, x, k).values()), keys
        )
        return bounds.mean()

    return jax.vmap(of_example, (None, 0, None))


def _digest(x: Array) -> Array:
    """A 32-bit number of an array's values; an exact sum, so that no order counts.

    Bytes have that of their values, which are 0 to 1, as `scaling` would store them.
    """
    x = x.reshape(-1)
    if x.dtype == jnp.uint8:
        # From a table: a division on the device may round otherwise than the host's.
        x = jnp.asarray((np.arange(256) / 255.0).astype(np.float32))[x]
    x = x.astype(jnp.float32)
    # Minus zero is zero; the compiler would leave out an addition of 0.
    bits = jax.lax.bitcast_convert_type(jnp.where(x == 0, 0.0, x), jnp.uint32)
    factors = jnp.arange(bits.size, dtype=jnp.uint32) * jnp.uint32(_ODD - 1) + 1
    mixed = (bits ^ (bits >> 15)) * factors
    return (mixed ^ (mixed >> 13)).sum(dtype=jnp.uint32)
