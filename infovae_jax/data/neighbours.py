"""Nearest neighbours of the training examples in data space, by brute force.

What is near needs no label and no knowledge of images, so a pair of neighbours is a
change of an example that suits tables too. Neighbours as positive pairs of a clusterer:
MIST (arXiv 2303.03036).
"""

import contextlib
import os
import pathlib
import secrets

import numpy as np

from infovae_jax.data import cache, digest
from infovae_jax.data.permutation import words
from infovae_jax.errors import StorageError
from infovae_jax.types import Neighbours

# Partners of a run's batches; its epochs are streams from 0, those of the labelled
# examples belong to another seed.
_PARTNERS = 2**61
# Below so many examples they are found sooner than a file is read.
_CACHED_FROM = 5000
# Of the queries that are compared with all examples at once.
_ROWS = 4096


def nearest(x: np.ndarray, count: int) -> np.ndarray:
    """The `count` nearest other examples of each, nearest first, int32 `[n, count]`.

    Euclidean distance of the flattened examples. An equal example is a neighbour like
    any other; an example is never its own.

    Args:
      x: `[n, ...]`, n above `count`.
      count: k, at least 1.
    """
    from sklearn.neighbors import NearestNeighbors

    flat = np.asarray(x).reshape(len(x), -1).astype(np.float32)
    # The own row may stand anywhere among equals: one more is asked for, and it or the
    # farthest left out.
    search = NearestNeighbors(n_neighbors=count + 1, algorithm="brute").fit(flat)
    found = np.empty((len(flat), count), np.int32)
    for start in range(0, len(flat), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(flat)))
        near = search.kneighbors(flat[rows], return_distance=False)
        own = near == rows[:, None]
        own[~own.any(1), -1] = True
        found[rows] = near[~own].reshape(len(rows), count)
    return found


def cached_nearest(x: np.ndarray, count: int, cache_dir: str | None) -> np.ndarray:
    """`nearest`, kept in the cache under the digest of the examples.

    A cache that cannot be written is done without.
    """
    if len(x) < _CACHED_FROM:
        return nearest(x, count)
    mark = cache.fingerprint(digest.of_array(x), count)
    try:
        path = cache.root(cache_dir) / f"neighbours-{mark}.npy"
    except StorageError:  # no place to keep them: they are found each time
        return nearest(x, count)
    try:
        found = np.load(path, allow_pickle=False)
        fits = found.shape == (len(x), count) and found.dtype == np.int32
        if fits and found.min() >= 0 and found.max() < len(x):
            return found
    except (OSError, ValueError, EOFError):
        pass
    found = nearest(x, count)
    _save(path, found)
    return found


def _save(path: pathlib.Path, array: np.ndarray) -> None:
    partial = path.with_name(f".partial-{os.getpid()}-{secrets.token_hex(4)}.npy")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(partial, array, allow_pickle=False)
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()


def behind(
    seed: int,
    step: int,
    rows: np.ndarray,
    neighbours: np.ndarray,
    wanted: Neighbours,
) -> list[np.ndarray]:
    """The neighbours that come behind the examples of each step, int32 `[S, B]` each.

    Where there are fewer than asked for, all others are neighbours, and the farthest
    one is the k-th.

    Args:
      seed: of the run.
      step: the first step.
      rows: examples of the steps, `[S, B]`.
      neighbours: from `nearest`, `[n, k]`.
      wanted: which of them.
    """
    found = []
    if wanted.drawn_from:
        near = neighbours[:, : wanted.drawn_from]
        found.append(partners(seed, step, rows, near))
    if wanted.rank:
        farthest = min(wanted.rank, neighbours.shape[1]) - 1
        found.append(neighbours[rows, farthest])
    return found


def partners(
    seed: int, step: int, rows: np.ndarray, neighbours: np.ndarray
) -> np.ndarray:
    """A neighbour of each example of each step, drawn anew, int32 `[S, B]`.

    Args:
      seed: of the run.
      step: the first step; the draw of a step depends on (seed, step) alone.
      rows: examples of the steps, `[S, B]`.
      neighbours: from `nearest`, `[n, k]`.
    """
    count = np.uint64(neighbours.shape[1])
    drawn = [
        words(seed, _PARTNERS + step + number, rows.shape[1]) % count
        for number in range(len(rows))
    ]
    return neighbours[rows, np.stack(drawn).astype(np.int64)]
