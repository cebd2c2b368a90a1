"""Classifications that small changes of the input do not alter, without a network.

Virtual adversarial training (Miyato et al. 2018, arXiv 1704.03976), here with a radius
from the batch itself: a share of each example's distance to its nearest neighbour.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infovae_jax.config.knobs import knob
from infovae_jax.objectives._terms import divergence_of_change, example_keys


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches of the term."""

    invariance: bool = knob(False, "whether the invariance term is computed at all")
    invariance_radius: float = knob(
        0.25, "|r| as a share of the nearest neighbour's distance", above=0
    )
    invariance_probe: float = knob(
        20.0, "length of the step that finds the direction of r", above=0
    )


def nearest_distances(x: Float[Array, "B H W C"]) -> Float[Array, " B"]:
    """Euclidean distance of each example to the nearest other one of the batch."""
    flat = x.reshape(x.shape[0], -1)
    norms = (flat**2).sum(-1)
    squares = norms[:, None] + norms[None, :] - 2.0 * flat @ flat.T
    squares = jnp.where(jnp.eye(x.shape[0], dtype=bool), jnp.inf, squares)
    # Rounding may leave a small negative square between equal images.
    return jnp.sqrt(jnp.maximum(squares.min(-1), 0.0))


def adversarial_change(
    classify, x: Float[Array, "H W C"], key: Array, radius, probe: float
) -> Float[Array, "H W C"]:
    """The change r, |r| = radius, that moves q(c | x) most, for one example.

    One step of the power method: the gradient of KL(q(c | x) || q(c | x + probe * u))
    at a random direction u.

    Args:
      classify: `x -> logits [K]`.
      x: one example.
      key: of the random direction.
      radius: length of r.
      probe: length of the step. The gradient vanishes at u = 0.
    """
    log_q = jax.lax.stop_gradient(jax.nn.log_softmax(classify(x)))

    def divergence(change):
        log_changed = jax.nn.log_softmax(classify(x + change))
        return (jnp.exp(log_q) * (log_q - log_changed)).sum()

    direction = jax.random.normal(key, x.shape)
    start = probe * direction / jnp.linalg.norm(direction)
    gradient = jax.grad(divergence)(start)
    length = jnp.sqrt((gradient**2).sum() + jnp.finfo(jnp.float32).tiny)
    return radius * gradient / length


def divergence(
    classify,
    params,
    batch: Float[Array, "B H W C"],
    logits: Float[Array, "B K"],
    key: Array,
    options: Config,
) -> Float[Array, " B"]:
    """KL(q(c | x) || q(c | x + r)) of each example in nats, r its worst small change.

    The gradient goes through the second distribution only.

    Args:
      classify: `classify(params, x) -> logits`.
      params: of the classifier.
      batch: examples `[B, H, W, C]`.
      logits: `classify(params, batch)`, computed already.
      key: one PRNG key.
      options: radius and probe.
    """
    radius, probe = options.invariance_radius, options.invariance_probe
    fixed = jax.lax.stop_gradient(params)
    changes = jax.vmap(
        lambda x, k, length: adversarial_change(
            lambda x: classify(fixed, x), x, k, length, probe
        )
    )(batch, example_keys(key, batch), radius * nearest_distances(batch))
    return divergence_of_change(logits, classify(params, batch + changes))
