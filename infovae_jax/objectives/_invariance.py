"""Assignments that a change of the example does not alter: parts that compose.

    E KL(q(c | x) || q(c | x')),  x' a changed x

of each kind of change that is switched on, each with a weight of its own:

    invariance  x' = x + r, r the worst small change (`_virtual_adversarial`)
    affine      x' = T x, T a random small affine map (`_affine`)
    noise       x' = x + s sd(x) e, e ~ N(0, I), sd of each number over the batch; of
                numbers that are 0 or 1 alone, those of categories, 2 in place of sd
    neighbours  x' one of the k nearest training examples (`data.neighbours`); it
                needs no knowledge of images, so suits tables

Hu et al. 2017 (IMSAT, arXiv 1702.08720), section 3: self-augmented training;
neighbours: MIST (arXiv 2303.03036). A classifier with batch normalisation sees each
kind as a batch with moments of its own.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float

from infovae_jax.config.knobs import Weight, knob
from infovae_jax.objectives import _affine, _virtual_adversarial
from infovae_jax.objectives._terms import divergence_of_change
from infovae_jax.types import Array, Batch, Metrics, Neighbours, Params

HPARAMS = {
    "invariance": Weight(10.0, "KL of q(c | x) to q(c | x + r), where computed"),
    "affine": Weight(10.0, "KL of q(c | x) to q(c | T x), where computed"),
    "noise": Weight(10.0, "KL of q(c | x) to q(c | x + noise), where computed"),
    "neighbours": Weight(10.0, "KL of q(c | x) to q(c | a neighbour), where computed"),
}
# Of the changes, apart from the keys of the batch's examples.
_CHANGE_STREAM, _AFFINE_STREAM, _NOISE_STREAM = 2**31 - 2, 2**31 - 4, 2**31 - 5


@dataclasses.dataclass(frozen=True)
class Config(_virtual_adversarial.Config, _affine.Config):
    """Static switches of all parts."""

    noise: bool = knob(False, "whether the noise term is computed at all")
    noise_scale: float = knob(
        0.1,
        "s, in standard deviations of each number over the batch; of "
        "categories, which are 0 or 1, in units of 2",
        above=0,
    )
    neighbours: bool = knob(False, "whether the neighbours term is computed at all")
    neighbours_count: int = knob(
        10, "nearest training examples that a partner is drawn from", at_least=1
    )


class Others(NamedTuple):
    """Neighbours of the examples of a batch, `[B, H, W, C]` each, or None.

    Attributes:
      partners: drawn from the nearest.
      ranked: the k-th nearest.
    """

    partners: Array | None = None
    ranked: Array | None = None


_NONE = Others()
# A one-hot category is as many numbers of small sd: by these it would be the column
# that noise hides least, and balanced clusters would follow it alone.
_OF_CATEGORIES = 2.0


def noisy(classify, params, batch: ArrayLike, logits, key: Array, options) -> Array:
    """x + s sd(x) e of each example: columns may be of any scale."""
    spread = jnp.std(batch, axis=0, keepdims=True)
    bits = jnp.all((batch == 0) | (batch == 1), axis=0, keepdims=True) & (spread > 0)
    scale = options.noise_scale * jnp.where(bits, _OF_CATEGORIES, spread)
    return batch + scale * jax.random.normal(key, jnp.shape(batch))


CHANGES = {
    "invariance": (_virtual_adversarial.changed, _CHANGE_STREAM),
    "affine": (_affine.changed, _AFFINE_STREAM),
    "noise": (noisy, _NOISE_STREAM),
}


def is_on(options: Config) -> bool:
    """Whether any part is computed."""
    return options.neighbours or any(getattr(options, name) for name in CHANGES)


def needed_neighbours(options: Config) -> Neighbours:
    """What `types.Objective` says of them."""
    return Neighbours(
        options.neighbours_count if options.neighbours else 0,
        options.invariance_rank if options.invariance else 0,
    )


def split(batch: ArrayLike | Batch, options: Config) -> tuple[Any, Others]:
    """A batch, and the neighbours of its examples that came with it.

    Args:
      batch: `[B, H, W, C]`, or more with the neighbours behind; or a `Batch`.
      options: say which.
    """
    needed = needed_neighbours(options)
    if not any(needed):
        return batch, Others()
    size = jax.tree.leaves(batch)[0].shape[0] // (1 + sum(map(bool, needed)))
    x = batch.x if isinstance(batch, Batch) else batch
    partners = x[size : 2 * size] if needed.drawn_from else None
    others = Others(partners, x[-size:] if needed.rank else None)
    return jax.tree.map(lambda array: array[:size], batch), others


def terms(
    classify,
    params: Params,
    batch: Float[Array, "B H W C"],
    logits: Float[Array, "B K"],
    key: Array,
    options: Config,
    others: Others = _NONE,
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
      others: neighbours of the examples, where a part asks for them.
    """
    more = {"invariance": {"neighbour": others.ranked}}
    changed = {}
    for name, (change, stream) in CHANGES.items():
        if getattr(options, name):
            own = (jax.random.fold_in(key, stream), options)
            given = (classify, params, batch, logits, *own)
            changed[name] = change(*given, **more.get(name, {}))
    if others.partners is not None:
        changed["neighbours"] = others.partners
    return {
        name: divergence_of_change(logits, classify(params, x))
        for name, x in changed.items()
    }
