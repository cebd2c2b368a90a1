"""What the assignments to clusters know: information in c, samples told apart."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infovae_jax.distributions import Categorical, categorical_entropy
from infovae_jax.evaluation import checks, clustering
from infovae_jax.information import balance
from infovae_jax.training.programs import seldom
from infovae_jax.types import Objective

DEAD_SHARE = 0.001  # a cluster with fewer of the examples counts as dead
# Samples made and classified at once.
MAX_SAMPLES = 5000
# Of codes of classes, beside the 1 of the prior: what is generated at the rim.
WIDE_SIGMA = 1.4


def cluster_information(
    logits: Float[Array | np.ndarray, "n K"],
) -> dict[str, float]:
    """Information of q(c | x) over the given examples, in nats.

    Returns:
      `entropy`: mean entropy of q(c | x), 0 where every assignment is certain.
      `marginal_entropy`: entropy of the aggregate q(c), log K where balanced.
      `mutual_information`: their difference, I_q(x; c), exact for q, in [0, log K].

    Raises:
      DataError: no examples; MetricError: a value that is not finite.
    """
    checks.matrix(logits, "cluster information", "logits")
    entropy, marginal = map(float, _entropies(logits))
    return {
        "entropy": entropy,
        "marginal_entropy": marginal,
        "mutual_information": marginal - entropy,
    }


def figures(logits: Float[Array | np.ndarray, "n K"]) -> dict[str, Any]:
    """What the clusters argmax q(c | x) of the given examples look like.

    Returns:
      `occupancy`, the share of examples in each cluster, `[K]`; `dead`, how many have
      less than DEAD_SHARE; and `cluster_information`.

    Raises:
      DataError: no examples; MetricError: a value that is not finite.
    """
    known = cluster_information(logits)
    shares = clustering.occupancy(logits.argmax(-1), logits.shape[-1])
    dead = int((shares < DEAD_SHARE).sum())
    return {"occupancy": shares.tolist(), "dead": dead} | known


@jax.jit
def _entropies(logits):
    """Mean entropy of q(c | x), and entropy of its mean: one program."""
    entropy = categorical_entropy(Categorical(logits)).mean()
    return entropy, jnp.log(logits.shape[-1]) - balance(logits)


def widened(objective: Objective, sigma: float) -> Objective:
    """An objective with labels whose samples have codes of N(0, sigma^2 I)."""
    return objective._replace(sample=partial(objective.sample, sigma=sigma))


def reclassification(
    objective: Objective, params, key: Array, samples_per_cluster: int
) -> dict[str, float]:
    """How well q(c | x') finds the cluster c that generated x'.

    z ~ N(mu_c, I), x' the decoder mean of z.

    Returns:
      `sample_accuracy`: share with argmax q(c | x') = c.
      `mi_bound`: log K + E log q(c | x'), nats, a lower bound on I(c; x').
    """
    num_clusters = objective.prior.mean.shape[0]
    labels = np.repeat(np.arange(num_clusters), samples_per_cluster)

    @seldom
    def run(params, key, labels):
        x = objective.sample(key, params, labels.shape[0], labels)
        log_probs = jax.nn.log_softmax(objective.classify(params, x))
        right = log_probs.argmax(-1) == labels
        return right.sum(), jnp.take_along_axis(log_probs, labels[:, None], -1).sum()

    totals = np.zeros(2)
    for number, start in enumerate(range(0, len(labels), MAX_SAMPLES)):
        # The first part by the key itself, so that one part is the whole of few.
        part_key = jax.random.fold_in(key, number) if number else key
        part = jnp.asarray(labels[start : start + MAX_SAMPLES])
        totals += np.array(run(params, part_key, part), np.float64)
    accuracy, log_prob = totals / len(labels)
    return {
        "sample_accuracy": float(accuracy),
        "mi_bound": float(np.log(num_clusters) + log_prob),
    }
