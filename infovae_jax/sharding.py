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


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharded(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Sharding of an array whose batch axis is `axis`."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))
