"""What the clusters of a run know, and a change of the example does not take away.

    score = I_q(x; c) - sum over changes of E KL(q(c | x) || q(c | x'))       (nats)

The changes are those of the run's own loss (`objectives._invariance`), unweighted, so
that runs of different weights compare. It is the unlabelled objective of a clustering
at balanced marginals: I_q(x; c) = H(mean q) - E H(q) is small where clusters are not
used alike, so that one cluster for all is no good answer.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from infovae_jax.data import batches
from infovae_jax.evaluation import assignments, subsets
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run

INFORMATION = "cluster/invariant_information"


def is_measurable(run: Run) -> bool:
    """Whether the run finds clusters by itself, with invariance in its loss."""
    return run.objective.divergences is not None and not run.objective.uses_labels


def make_assign(run: Run) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """`assign(params, batch, key) -> (logits [B, K], divergence [B])`, not jitted.

    The batch is as stored, with neighbours behind its B examples where the loss takes
    some; the divergence is the sum over the changes, in nats.
    """
    objective, binarize = run.objective, run.config.data.binarize

    def assign(params, batch, key):
        key_data, key_changes = jax.random.split(key)
        x = batches.prepare(batch, key_data, binarize)
        logits, divergences = objective.divergences(params, x, key_changes)
        return logits, sum(divergences.values())

    return assign


def over_training(
    run: Run, assign: Callable, axis: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """`assign(batch, key)` of training examples, drawn without labels.

    Every batch is full, of other examples where these end: their distances to one
    another are the changes' measure.

    Args:
      run: gives data and neighbours.
      assign: of `make_assign`, with its parameters.
      axis: of the examples in what it gives.
    """
    x, settings = run.dataset.train_x, run.config.evaluation
    chosen = subsets.indices(run, "members").astype(np.int32)
    count = len(chosen)
    size = min(settings.batch_size, count)
    rows = chosen[np.arange(-(-count // size) * size) % count]

    def of_rows(rows, key):
        return assign(x[run.with_neighbours(rows[None], 0, settings.seed)[0]], key)

    key = jax.random.key(settings.seed)
    found = batches.map_batches(of_rows, rows, size, key, axis)
    kept = (slice(None),) * axis + (slice(count),)
    return tuple(array[kept] for array in found)


def invariant_information(logits: np.ndarray, divergence: np.ndarray) -> float:
    """The score of logits `[n, K]` and divergences `[n]`, nats; higher is better."""
    known = assignments.cluster_information(logits)["mutual_information"]
    return float(known - np.mean(divergence, dtype=np.float64))


def of_run(run: Run, params: Any) -> tuple[np.ndarray, float]:
    """Clusters `[n]` of training examples, drawn without labels, and the score."""
    assign = run.kept("assign", lambda: seldom(make_assign(run)))
    logits, divergence = over_training(run, functools.partial(assign, params))
    return logits.argmax(-1), invariant_information(logits, divergence)
