"""Arrays in memory as a `Dataset`."""

from typing import Any

import numpy as np

from infovae_jax.data import raw_splits, spec
from infovae_jax.data.columns import Scheme
from infovae_jax.data.permutation import VALIDATION, permutation
from infovae_jax.data.scaling import Scaling
from infovae_jax.types import Dataset


def from_arrays(
    x: np.ndarray,
    y: np.ndarray | None,
    held_out: np.ndarray,
    config: Any,
    num_labels: int = 0,
    title: str = "arrays in memory",
    scheme: Scheme | None = None,
    scale: Scaling | None = None,
) -> Dataset:
    """Images in memory as a dataset whose test split is what is held out of training.

    Args:
      x: `[n, H, W, C]`, uint8 or float32.
      y: `[n]` int32 labels, -1 where unknown, or None.
      held_out: indices of the examples that training does not see; may be empty.
      config: the `data` part of the configuration, see `spec.decide`.
      num_labels: number of classes.
      title: the data in words.
      scheme: where they are the rows of a table, how they became numbers.
      scale: else what was done to their numbers; None: nothing.

    Raises:
      ConfigError, DataError: as `spec.decide`.
    """
    kept = np.setdiff1d(np.arange(len(x)), held_out)
    train_x, test_x = (x[kept], x[held_out]) if len(held_out) else (x, x[:0])
    train_y = test_y = None
    if y is not None:
        train_y, test_y = y[kept], y[held_out]
    raw = raw_splits.Raw(
        train_x, train_y, test_x, test_y, num_labels, (), title, "the array X"
    )
    raw = raw._replace(scheme=scheme, scaling=scale)
    return spec.decide(raw, config)


def held_out(num_examples: int, fraction: float, seed: int) -> np.ndarray:
    """Ascending indices of a random fraction of the examples; none for 0."""
    if not fraction:
        return np.zeros(0, np.int64)
    size = min(max(1, round(fraction * num_examples)), num_examples - 1)
    return np.sort(permutation(seed, VALIDATION, num_examples)[:size])
