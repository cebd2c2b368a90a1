"""From the terms of a loss to the loss and its log, the same for every objective."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float
from ml_collections import ConfigDict

from infovae_jax.config import schedules
from infovae_jax.config.knobs import Weight
from infovae_jax.distributions import Categorical, categorical_entropy
from infovae_jax.information import balance
from infovae_jax.types import MODEL_STATE, Array, Batch, HParams, Metrics, Params


def example_keys(key: Array, batch: ArrayLike) -> Array:
    """One PRNG key per example of `batch` `[B, ...]`."""
    return jax.random.split(key, batch.shape[0])


def as_batch(batch: Batch | ArrayLike) -> Batch:
    """Images alone are a batch of unknown labels."""
    if isinstance(batch, Batch):
        return batch
    return Batch(batch, jnp.full(batch.shape[0], -1, jnp.int32))


def split_keys(key: Array) -> tuple[Array, Array]:
    """Two keys of one, or two arrays `[B]` of keys of an array `[B]` of keys."""
    split = jax.random.split if not key.ndim else jax.vmap(jax.random.split, 0, 1)
    return tuple(split(key))


def divergence_of_change(logits: Array, changed: Array) -> Array:
    """KL(q || q') in nats `[B]` of softmax(logits) `[B, K]` and softmax(changed).

    The gradient goes through the second distribution only.
    """
    log_q = jax.lax.stop_gradient(jax.nn.log_softmax(logits))
    return (jnp.exp(log_q) * (log_q - jax.nn.log_softmax(changed))).sum(-1)


def default_hparams(
    weights: ConfigDict, declared: dict[str, Weight]
) -> dict[str, float]:
    """Weights of an objective: its defaults, overridden by constants of the config.

    The multiplier of a term that is held at a target starts at 1.
    """
    constants = {k: float(v) for k, v in weights.items() if schedules.is_constant(v)}
    multipliers = {k: 1.0 for k, v in weights.items() if schedules.is_target(v)}
    defaults = {name: weight.default for name, weight in declared.items()}
    return {**defaults, **multipliers, **constants}


def weighted_loss(
    terms: Metrics, hparams: HParams, statistics: Params | None = None
) -> tuple[Array, Metrics]:
    """The loss sum_t w_t * mean(term_t), and the metrics that recompute it.

    Args:
      terms: name -> scalar or `[B]`, in nats, unweighted.
      hparams: name -> weight, for every term at least.
      statistics: the running statistics after this batch, where there are some.

    Returns:
      The scalar loss, and metrics `loss`, `term/<name>` (unweighted means) and
      `weight/<name>`, so that loss = sum of weight * term; and the statistics under
      MODEL_STATE.
    """
    means = {name: jnp.mean(term) for name, term in terms.items()}
    total = sum(hparams[name] * mean for name, mean in means.items())
    metrics = {"loss": total}
    metrics |= {f"term/{name}": mean for name, mean in means.items()}
    metrics |= {f"weight/{name}": jnp.asarray(hparams[name]) for name in means}
    if statistics:
        metrics[MODEL_STATE] = statistics
    return total, metrics


def cluster_metrics(logits: Float[Array, "B K"]) -> dict[str, Float[Array, ""]]:
    """`cluster/usage` (effective number of clusters) and `cluster/entropy` (nats)."""
    entropy = categorical_entropy(Categorical(logits))
    return {
        "cluster/usage": logits.shape[-1] * jnp.exp(-balance(logits)),
        "cluster/entropy": entropy.mean(),
    }
