"""Codes on the way from one to another, or moved along one dim.

What they decode to shows what a code holds. The report, the estimators and
`--mode=interpolate|traverse` walk the same ways.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.evaluation.codes import part_slices
from infovae_jax.training.programs import seldom
from infovae_jax.types import Objective

# Prior standard deviations to either side.
EXTENT = 2.5
MAX_DIMS = 20
# Of what the dim changes that changes most: a dim that changes less is left out.
LEAST_CHANGE = 0.01
# Draws of the prior whose range a dim without prior of its own is moved through.
_DRAWS = 256


class Traversed(NamedTuple):
    """Examples with one dim of the code after the other moved.

    Attributes:
      images: `[n, m, steps, ...]`, what each code decodes to.
      codes: `[n, m, steps, d]`.
      dims: the m dims moved, the one that changes most first.
      names: of those, such as 'z3'.
    """

    images: np.ndarray
    codes: np.ndarray
    dims: np.ndarray
    names: list[str]


def named_dims(objective: Objective) -> tuple[list[str], np.ndarray]:
    """Name of each dim of the code, such as 'z3', and the kind of its part."""
    names, kinds = [], []
    for name, (_, part) in part_slices(objective).items():
        names += [f"{name}{number}" for number in range(part.size)]
        kinds += [part.kind] * part.size
    return names, np.array(kinds)


def straight(starts: np.ndarray, ends: np.ndarray, num: int) -> np.ndarray:
    """`num` equal steps from starts `[n, d]` to ends, both included: `[n, num, d]`."""
    steps = np.linspace(0.0, 1.0, num)
    return starts[:, None] + steps[None, :, None] * (ends - starts)[:, None]


def along(
    codes: np.ndarray,
    dims: np.ndarray,
    num: int,
    kinds: np.ndarray,
    observed: np.ndarray,
) -> np.ndarray:
    """Codes with one dim at a time moved in equal steps.

    A dim is moved by up to EXTENT prior standard deviations about the code; one of the
    kind 'free', which has no prior, through the range of `observed`.

    Args:
      codes: `[n, d]`.
      dims: `[m]`.
      num: steps.
      kinds: of all dims, see `named_dims`.
      observed: codes `[k, d]`.

    Returns:
      `[n, m, num, d]`, float32.
    """
    shape = (len(codes), len(dims), num, codes.shape[1])
    z = np.broadcast_to(codes[:, None, None], shape).astype(np.float32)
    for row, dim in enumerate(dims):
        if kinds[dim] == "free":
            low, high = observed[:, dim].min(), observed[:, dim].max()
            z[:, row, :, dim] = np.linspace(low, high, num)
        else:
            z[:, row, :, dim] += EXTENT * np.linspace(-1.0, 1.0, num)
    return z


def by_change(images: np.ndarray) -> np.ndarray:
    """Which rows of `[m, steps, ...]` change, those that change most first.

    Those that change less than LEAST_CHANGE of the first are left out.
    """
    changes = (images - images.mean(1, keepdims=True)) ** 2
    changes = changes.reshape(len(images), -1).sum(1)
    order = np.argsort(-changes, kind="stable")
    return order[changes[order] >= LEAST_CHANGE * changes.max()]


def traverse(
    objective: Objective,
    params: Any,
    decode: Callable[[np.ndarray], np.ndarray],
    codes: np.ndarray,
    num: int,
    dims: Sequence[int] | None = None,
) -> Traversed:
    """Moves one dim after the other about the code of each example.

    Args:
      objective: of the code.
      params: its parameters.
      decode: `decode(codes [n, d]) -> [n, ...]`.
      codes: `[n, d]`.
      num: steps.
      dims: to be moved, in this order; None: those that change what the first example
        decodes to, at most MAX_DIMS. Dims of classes are not moved then.

    Raises:
      ValueError: a dim that there is not.
    """
    names, kinds = named_dims(objective)
    codes = np.asarray(codes, np.float32)
    # One program, where its operations would be twenty.
    draw = seldom(objective.sample_code, static_argnums=2)
    drawn = draw(jax.random.key(0), params, _DRAWS)
    observed = np.asarray(drawn)
    if dims is None:
        movable = np.flatnonzero(kinds != "class")
        first = in_shape(decode, along(codes[:1], movable, num, kinds, observed))
        chosen = movable[by_change(first[0])[:MAX_DIMS]]
    else:
        chosen = np.asarray(dims, int).reshape(-1)
        if not len(chosen) or chosen.min() < 0 or chosen.max() >= len(kinds):
            raise ValueError(f"dims={dims}: give numbers from 0 to {len(kinds) - 1}")
    z = along(codes, chosen, num, kinds, observed)
    return Traversed(in_shape(decode, z), z, chosen, [names[dim] for dim in chosen])


def interpolate(
    decode: Callable[[np.ndarray], np.ndarray], codes: np.ndarray, num: int
) -> tuple[np.ndarray, np.ndarray]:
    """From the code of each example to that of the next.

    Args:
      decode: `decode(codes [n, d]) -> [n, ...]`.
      codes: `[n, d]`, at least two.
      num: steps, both ends included.

    Returns:
      Images `[n - 1, num, ...]` and codes `[n - 1, num, d]`.

    Raises:
      ValueError: a single example, or fewer than two steps.
    """
    if len(codes) < 2 or num < 2:
        raise ValueError(
            f"{len(codes)} examples and {num} steps: give at least two of both"
        )
    z = straight(codes[:-1], codes[1:], num).astype(np.float32)
    return in_shape(decode, z), z


def in_shape(
    decode: Callable[[np.ndarray], np.ndarray], codes: np.ndarray
) -> np.ndarray:
    """`decode(codes [n, d]) -> [n, ...]` of codes `[..., d]`, in their shape."""
    images = decode(codes.reshape(-1, codes.shape[-1]))
    return images.reshape(*codes.shape[:-1], *images.shape[1:])
