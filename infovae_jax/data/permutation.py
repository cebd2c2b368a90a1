"""Random words and orders that no version of NumPy changes."""

import numpy as np

# Streams of `data.split_seed`. The epochs of a run's seed, which is the same number by
# default, are streams 0, 1, 2, ... of it: all others lie beyond them, or an epoch would
# have the order of the visible labels. (TEST_SPLIT is older than that and harmless: it
# orders all examples, an epoch those that it left.)
TEST_SPLIT = 0
VISIBLE_LABELS, VALIDATION, SUBSETS = 2**63, 2**63 + 1, 2**63 + 2
GENERATED = 2**62


def words(seed: int, stream: int, size: int) -> np.ndarray:
    """Random uint64 `[size]`, a pure function of the arguments.

    NumPy promises that the words of a bit generator never change, and promises nothing
    of the kind for what `Generator` makes of them.

    Args:
      seed: any integer, taken modulo 2^64.
      stream: from 0; other streams of a seed are independent of this one.
      size: how many.
    """
    key = np.array([seed % 2**64, stream], dtype=np.uint64)
    return np.random.Philox(key=key).random_raw(size)


def permutation(seed: int, stream: int, size: int) -> np.ndarray:
    """A permutation of 0..size-1 by sorting `words`, int64 `[size]`."""
    return np.argsort(words(seed, stream, size), kind="stable")
