"""The device mesh: batches are split over `data`, everything else is copied."""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from infovae_jax.errors import ConfigError


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
