"""Batches for evaluation: in order, of one size, the last one padded."""

from collections.abc import Iterator

import numpy as np


def padded_batches(x: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cuts `x` into batches of one size, so that a program compiles once.

    Args:
      x: `[n, ...]`.
      size: examples in a batch.

    Yields:
      `(batch [size, ...], valid [size])`; `valid` is float32, 0 for the copies of
      the last example that fill the last batch.
    """
    for start in range(0, len(x), size):
        batch = np.asarray(x[start : start + size])
        missing = size - len(batch)
        valid = np.ones(size, np.float32)
        if missing:
            batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            valid[-missing:] = 0.0
        yield batch, valid
