"""Assignments that a change of the example does not alter: parts that compose.

    E KL(q(c | x) || q(c | x')),  x' a changed x

of each kind of change that is switched on, each with a weight of its own:

    invariance  x' = x + r, r the worst small change (`_virtual_adversarial`)
    affine      x' = T x, T a random small affine map (`_affine`)
    noise       x' = x + s e, e ~ N(0, I)

Hu et al. 2017 (IMSAT, arXiv 1702.08720), section 3: self-augmented training. A
classifier with batch normalisation sees each kind as a batch with moments of its own.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float

from infovae_jax.config.knobs import Weight, knob
from infovae_jax.objectives import _affine, _virtual_adversarial
from infovae_jax.objectives._terms import divergence_of_change
from infovae_jax.types import Array, Metrics, Params

HPARAMS = {
    "invariance": Weight(10.0, "KL of q(c | x) to q(c | x + r), where computed"),
    "affine": Weight(10.0, "KL of q(c | x) to q(c | T x), where computed"),
    "noise": Weight(10.0, "KL of q(c | x) to q(c | x + s e), where computed"),
}
# Of the changes, apart from the keys of the batch's examples.
_CHANGE_STREAM, _AFFINE_STREAM, _NOISE_STREAM = 2**31 - 2, 2**31 - 4, 2**31 - 5


@dataclasses.dataclass(frozen=True)
class Config(_virtual_adversarial.Config, _affine.Config):
    """Static switches of all parts."""

    noise: bool = knob(False, "whether the noise term is computed at all")
    noise_scale: float = knob(0.1, "s, in units of the data", above=0)


def noise(
    classify, params: Params, batch: ArrayLike, logits: Array, key: Array, options
) -> Float[Array, " B"]:
    """KL(q(c | x) || q(c | x + s e)) of each example in nats; as the other parts."""
    change = options.noise_scale * jax.random.normal(key, jnp.shape(batch))
    return divergence_of_change(logits, classify(params, batch + change))


PARTS = {
    "invariance": (_virtual_adversarial.divergence, _CHANGE_STREAM),
    "affine": (_affine.divergence, _AFFINE_STREAM),
    "noise": (noise, _NOISE_STREAM),
}


def terms(
    classify,
    params: Params,
    batch: Float[Array, "B H W C"],
    logits: Float[Array, "B K"],
    key: Array,
    options: Config,
) -> Metrics:
    """The parts that are switched on, by name, `[B]` in nats, unweighted.

    The gradient goes through the second distribution only.

    Args:
      classify: `classify(params, x) -> logits` of a whole batch.
      params: of the classifier.
      batch: examples.
      logits: `classify(params, batch)`, computed already.
      key: of the step.
      options: switches and ranges.
    """
    return {
        name: divergence(
            classify, params, batch, logits, jax.random.fold_in(key, stream), options
        )
        for name, (divergence, stream) in PARTS.items()
        if getattr(options, name)
    }
