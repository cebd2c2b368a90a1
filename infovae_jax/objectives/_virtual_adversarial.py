"""Classifications that small changes of the input do not alter, without a network.

Virtual adversarial training (Miyato et al. 2018, arXiv 1704.03976), with a radius for
each example: a share of its distance to the nearest other one of the batch, or to its
k-th nearest in the whole training set, which does not depend on the size of the batch
(IMSAT, Hu et al. 2017, arXiv 1702.08720: a quarter, k = 10).
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
        0.25, "|r| as a share of a neighbour's distance", above=0
    )
    invariance_rank: int = knob(
        0,
        "k, that neighbour is the k-th nearest training example; 0: the nearest of the "
        "batch",
        at_least=0,
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


def distances(
    x: Float[Array, "B H W C"], y: Float[Array, "B H W C"]
) -> Float[Array, " B"]:
    """Euclidean distance of each example to its own other one."""
    return jnp.sqrt(((x - y) ** 2).reshape(x.shape[0], -1).sum(-1))


def adversarial_changes(
    classify,
    x: Float[Array, "B H W C"],
    logits: Float[Array, "B K"],
    key: Array,
    radii: Float[Array, " B"],
    probe: float,
) -> Float[Array, "B H W C"]:
    """The change r of each example, |r| = its radius, that moves q(c | x) most.

    One step of the power method: the gradient of KL(q(c | x) || q(c | x + probe * u))
    at a random direction u.

    Args:
      classify: `x -> logits`, of the whole batch.
      x: examples.
      logits: `classify(x)`, computed already.
      key: of the random directions.
      radii: lengths of r.
      probe: length of the step. The gradient vanishes at u = 0.
    """

    def divergences(changes):
        return divergence_of_change(logits, classify(x + changes)).sum()

    def scaled(direction, length, floor=0.0):
        return length * direction / jnp.sqrt((direction**2).sum() + floor)

    keys = example_keys(key, x)
    directions = jax.vmap(lambda k: jax.random.normal(k, x.shape[1:]))(keys)
    starts = jax.vmap(lambda u: scaled(u, probe))(directions)
    gradients = jax.grad(divergences)(starts)
    tiny = jnp.finfo(jnp.float32).tiny
    return jax.vmap(lambda g, length: scaled(g, length, tiny))(gradients, radii)


def changed(
    classify,
    params,
    batch: Float[Array, "B H W C"],
    logits: Float[Array, "B K"],
    key: Array,
    options: Config,
    neighbour: Float[Array, "B H W C"] | None = None,
) -> Float[Array, "B H W C"]:
    """x + r of each example, r its worst small change.

    Args:
      classify: `classify(params, x) -> logits`, of a whole batch.
      params: of the classifier; no gradient goes into them.
      batch: examples.
      logits: `classify(params, batch)`, computed already.
      key: one PRNG key.
      options: radius and probe.
      neighbour: whose distance gives the radius; None: the nearest of the batch.
    """
    fixed = jax.lax.stop_gradient(params)
    if neighbour is None:
        lengths = nearest_distances(batch)
    else:
        lengths = distances(batch, neighbour)
    return batch + adversarial_changes(
        lambda x: classify(fixed, x),
        batch,
        logits,
        key,
        options.invariance_radius * lengths,
        options.invariance_probe,
    )
