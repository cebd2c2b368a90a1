"""Some of many examples: a seeded draw that is spread evenly over the labels.

Folders and files are often ordered by class, so the first examples are no sample of
them. All draws of a seed are beginnings of one order: a small one lies in a large one.
"""

import numpy as np

from infovae_jax.data import mapped_files
from infovae_jax.data.permutation import SUBSETS, words


def in_order(total: int, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """An order of 0..total-1 of which every beginning is a stratified draw.

    The j-th of the n_c examples of a class, in a random order, stands at a random place
    between j / n_c and (j + 1) / n_c of the whole: of a beginning that holds a share s
    of all, each class has s n_c examples, give or take one (systematic sampling of
    each stratum: Cochran 1977, chapter 8).

    Args:
      total: number of examples.
      seed: of the draw.
      labels: `[total]` integers; None: one class, so a plain draw.

    Returns:
      int64 `[total]`, or less where labels are below 0, not known: those are left out.
    """
    shuffle, place = words(seed, SUBSETS, 2 * total).reshape(2, total)
    order = np.argsort(shuffle, kind="stable")
    rank, size = np.arange(total), np.full(total, total)
    if labels is not None:
        _, group, counts = np.unique(
            np.asarray(labels)[order], return_inverse=True, return_counts=True
        )
        by_group = np.argsort(group, kind="stable")
        starts = np.cumsum(counts) - counts
        rank[by_group] = np.arange(total) - np.repeat(starts, counts)
        size = counts[group]
    share = (rank + place / 2.0**64) / np.maximum(size, 1)
    order = order[np.argsort(share, kind="stable")]
    return order if labels is None else order[np.asarray(labels)[order] >= 0]


def draw(
    count: int | None, total: int, seed: int, labels: np.ndarray | None = None
) -> np.ndarray:
    """Indices of `count` of `total` examples, ascending; all where there are fewer.

    Args:
      count: how many; None: all.
      total: number of examples.
      seed: of the draw; those of one seed are nested.
      labels: see `in_order`.
    """
    known = np.arange(total)
    if labels is not None:
        known = np.flatnonzero(np.asarray(labels) >= 0)
    if count is None or count >= len(known):
        return known
    return np.sort(in_order(total, seed, labels)[:count])


def take(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """`array[indices]`, without a copy where these are all of them in order."""
    if len(indices) == len(array):
        return array
    taken = array[indices]
    mapped_files.release(array)
    return taken
