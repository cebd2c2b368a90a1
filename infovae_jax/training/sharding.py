"""The device mesh: batches are split over `data`, everything else is copied.

Large kernels may be split too (fully sharded data parallelism): XLA gathers each where
it is used. The mesh spans all processes; each puts on its devices only what they hold.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from infovae_jax.data import mapped_files
from infovae_jax.errors import ConfigError

# Kernels of fewer numbers cost more to gather than they take to hold.
SPLIT_FROM = 2**14


def make_mesh(num_devices: int, batch_size: int) -> Mesh:
    """A one-axis mesh `data` over the first `num_devices` devices (0: all).

    Raises:
      ConfigError: more devices than there are, or a batch that they cannot share
        evenly.
    """
    available = jax.devices()
    count = num_devices or len(available)
    if count > len(available):
        raise ConfigError(
            f"{count} devices asked, {len(available)} there",
            "config.train.num_devices",
            f"give at most {len(available)}, or 0 for all",
        )
    if batch_size % count:
        lower, upper = batch_size // count * count, -(-batch_size // count) * count
        near = f"{lower} or {upper}" if lower else f"{upper}"
        raise ConfigError(
            f"batch of {batch_size} is not divisible by {count} devices",
            "config.train.batch_size",
            f"give {near}",
        )
    # Auto axes: XLA places the collectives; Explicit, the default of make_mesh,
    # would ask every operation for a sharding.
    return jax.make_mesh(
        (count,), ("data",), axis_types=(AxisType.Auto,), devices=available[:count]
    )


def make_member_mesh(num_devices: int, num_members: int) -> Mesh:
    """A mesh of devices that share the members of a population, whole members each.

    Args:
      num_devices: how many; 0: as many as divide the members evenly.
      num_members: members of the population.

    Raises:
      ConfigError: more devices than there are, or such as cannot share evenly.
    """
    available = len(jax.devices())
    fitting = [n for n in range(1, available + 1) if num_members % n == 0]
    if num_devices and num_devices <= available and num_devices not in fitting:
        raise ConfigError(
            f"{num_members} members are not divisible by {num_devices} devices",
            "config.train.num_devices",
            f"give {fitting[-1]}, or 0 for the most that fit",
        )
    count = num_devices or fitting[-1]
    return make_mesh(count, count)


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharded(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Sharding of an array whose batch axis is `axis`."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def state_shardings(
    abstract: Any, mesh: Mesh, shard_params: bool, split_from: int = SPLIT_FROM
) -> Any:
    """A sharding for every leaf of a training state.

    Args:
      abstract: the state's shapes, from `jax.eval_shape`.
      mesh: from `make_mesh`.
      shard_params: split kernels, and their moments in the optimiser, over `data`:
        leaves of two or more axes and `split_from` or more numbers, along the longest
        axis that the devices share evenly. False: every device holds all.
      split_from: see above.
    """
    count = mesh.shape["data"]

    def choose(leaf) -> NamedSharding:
        axes = [axis for axis, size in enumerate(leaf.shape) if size % count == 0]
        if not shard_params or leaf.ndim < 2 or leaf.size < split_from or not axes:
            return replicated(mesh)
        return batch_sharded(mesh, max(axes, key=lambda axis: leaf.shape[axis]))

    return jax.tree.map(choose, abstract)


def put(
    read: Callable[[tuple[slice, ...]], np.ndarray],
    shape: tuple[int, ...],
    sharding: NamedSharding,
) -> jax.Array:
    """An array over the mesh, of which each process reads only its own parts.

    Args:
      read: `read(index)` gives the part of the array at a tuple of slices.
      shape: of the whole array.
      sharding: where its parts go.
    """
    return jax.make_array_from_callback(shape, sharding, read)


def put_tree(tree: Any, shardings: Any) -> Any:
    """A pytree of host arrays, the same on every process, placed on the mesh.

    Args:
      tree: arrays or typed keys.
      shardings: one sharding for all, or a pytree of them like `tree`.
    """
    if isinstance(shardings, NamedSharding):
        shardings = jax.tree.map(lambda _: shardings, tree)

    def place(leaf, sharding):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = place(jax.random.key_data(leaf), sharding)
            return jax.random.wrap_key_data(data)
        host = np.asarray(leaf)
        return put(host.__getitem__, host.shape, sharding)

    return jax.tree.map(place, tree, shardings)


def to_host(tree: Any) -> Any:
    """A pytree on the mesh as whole arrays of this process.

    Split arrays are gathered, so every process must call it; keys stay keys.
    """

    def gather(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(gather(jax.random.key_data(leaf)))
        if leaf.is_fully_replicated:
            return np.asarray(leaf.addressable_data(0))
        if leaf.is_fully_addressable:
            return np.asarray(leaf)
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.tree.map(gather, tree)


def to_local(tree: Any) -> Any:
    """A pytree on the mesh as whole arrays on this process's first device.

    Split arrays are gathered, so every process must call it.
    """
    if all(leaf.sharding.num_devices == 1 for leaf in jax.tree.leaves(tree)):
        return tree
    return jax.device_put(to_host(tree), jax.local_devices()[0])


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
    split = batch_sharded(mesh, 1)

    def send(array):
        sent = put(
            lambda part: np.asarray(array[indices[part[:2]]]),
            (*indices.shape, *array.shape[1:]),
            split,
        )
        mapped_files.release(array)
        return sent

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
