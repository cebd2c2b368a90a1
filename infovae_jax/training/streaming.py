"""Batches sent to the devices as training goes, for data that do not fit there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from infovae_jax.training import sharding


def put_rows(data: Any, indices: np.ndarray, mesh: Mesh) -> Any:
    """Examples by index, on the devices that share the batch.

    Args:
      data: pytree of arrays `[n, ...]`, usually memory-mapped: each process reads the
        rows of its own devices alone.
      indices: `[S, B]`.
      mesh: splits B.

    Returns:
      The pytree of arrays `[S, B, ...]`.
    """
    split = sharding.batch_sharded(mesh, 1)

    def send(array):
        return sharding.put(
            lambda part: np.asarray(array[indices[part[:2]]]),
            (*indices.shape, *array.shape[1:]),
            split,
        )

    return jax.tree.map(send, data)


def stream(
    data: Any, blocks: Iterator[tuple[Any, np.ndarray]], mesh: Mesh
) -> Iterator[tuple[Any, Any]]:
    """`put_rows` of each block of indices, one block ahead of its use.

    Args:
      data: see `put_rows`.
      blocks: pairs of anything and indices `[S, B]`.
      mesh: see `put_rows`.

    Yields:
      The same pairs, with the examples in place of the indices. At most two blocks
      are on the devices: the one in use and the next.
    """
    blocks = iter(blocks)

    def load():
        name, indices = next(blocks, (None, None))
        return None if indices is None else (name, put_rows(data, indices, mesh))

    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        ahead = pool.submit(load)
        while (loaded := ahead.result()) is not None:
            ahead = pool.submit(load)
            yield loaded
