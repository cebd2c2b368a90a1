"""A random order that no version of NumPy changes."""

import numpy as np

# Streams of `data.split_seed`; the epochs of a run's seed are streams of that.
TEST_SPLIT, VISIBLE_LABELS, VALIDATION = 0, 1, 2


def permutation(seed: int, stream: int, size: int) -> np.ndarray:
    """A permutation of 0..size-1, a pure function of its arguments.

    Sorting raw words instead of `Generator.permutation`: NumPy promises that the words
    of a bit generator never change, and promises nothing of the kind for what Generator
    makes of them. Resuming under another NumPy stays exact.

    Args:
      seed: any integer, taken modulo 2^64.
      stream: from 0; other streams of a seed are independent of this one.
      size: n.

    Returns:
      int64 `[n]`.
    """
    key = np.array([seed % 2**64, stream], dtype=np.uint64)
    words = np.random.Philox(key=key).random_raw(size)
    return np.argsort(words, kind="stable")
