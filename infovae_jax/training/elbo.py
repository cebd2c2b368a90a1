"""The bound on a whole split, in batches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.data import batches
from infovae_jax.training import train_step
from infovae_jax.training.run import Run


def make_bound_evaluator(run: Run):
    """`evaluate_bound(params) -> {'test/elbo', 'test/<term>'}` on the whole test split.

    Means in nats an example, with a fixed key, so that curves are comparable.
    """
    eval_step = jax.jit(
        train_step.make_eval_step(run.objective, run.config.data.binarize)
    )

    def evaluate_bound(params) -> dict[str, float]:
        means = mean_bound(run, eval_step, params, run.dataset.test_x)
        return {f"test/{name}": float(value) for name, value in means.items()}

    return evaluate_bound


def mean_bound(run: Run, eval_step: Callable, params, x: np.ndarray) -> dict:
    """Means of what `train_step.make_eval_step` sums, over `x` `[n, H, W, C]`."""
    size = min(run.config.evaluation.batch_size, len(x))
    key = jax.random.key(run.config.evaluation.seed)
    sums = None
    for number, (batch, valid) in enumerate(batches.padded_batches(x, size)):
        step_sums = eval_step(params, batch, valid, jax.random.fold_in(key, number))
        sums = step_sums if sums is None else jax.tree.map(jnp.add, sums, step_sums)
    sums = {name: np.asarray(value, np.float64) for name, value in sums.items()}
    count = sums.pop("count")
    return {name: value / count for name, value in sums.items()}
