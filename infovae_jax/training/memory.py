"""What data and states will need, compared with the machine before it is asked for."""

import math
from typing import Any

import jax
from jax.sharding import Mesh

from infovae_jax.data import mapped_files
from infovae_jax.errors import ConfigError
from infovae_jax.training import blocks, sharding
from infovae_jax.training.run import Run

# The state and its update, which are there together for a moment.
STATES = 2
_GIB = 2**30
# A forecast of less, in bytes and as a share of the machine, is worth no line.
NOTABLE, NOTABLE_SHARE = _GIB, 0.25
# Images of a batch as floats, what the decoder makes of them, and its gradient.
_IMAGES = 3


def needed(run: Run, state: Any, num_members: int) -> int:
    """Bytes of the data that stay on the devices, and of all members' states.

    Args:
      run: from `open_run`.
      state: shapes and types of one member's state, from `loop.abstract_state`.
      num_members: 1 for a single run.
    """
    data = 0 if run.config.data.stream else run.dataset.train_x.nbytes
    return data + STATES * num_members * _bytes(state)


def forecast(run: Run, state: Any, num_members: int, mesh: Mesh) -> str | None:
    """A line of what training takes at least, from shapes; None where it is little.

    Data that are on the devices (with `data.stream` two blocks of batches), on a CPU
    those beside them that are in no mapped file, all states with their update, and a
    batch on its way through dense layers. What convolutions hold, what the compiler
    adds and the programs themselves come on top.

    Args:
      run: from `open_run`.
      state: as of `needed`.
      num_members: as of `needed`.
      mesh: the devices.
    """
    x, train = run.dataset.train_x, run.config.train
    pixels, size = math.prod(x.shape[1:]), train.batch_size + run.added
    data = x.nbytes
    if run.config.data.stream:
        steps = blocks.block_length(run.config, run.steps_per_epoch)
        data = min(data, 2 * steps * size * pixels * x.dtype.itemsize)
    if mesh.local_devices[0].platform == "cpu":
        splits = x, run.dataset.test_x
        data += sum(part.nbytes for part in splits if mapped_files.of(part) is None)
    units = sum(
        leaf.shape[-1] for leaf in jax.tree.leaves(state.params) if leaf.ndim == 2
    )
    parts = {
        "data": data,
        f"{num_members} states" if num_members > 1 else "state": (
            STATES * num_members * _bytes(state)
        ),
        "a batch": 4 * size * (_IMAGES * pixels + units),
    }
    total, there = sum(parts.values()), available(mesh)
    if total < NOTABLE and (there is None or total < NOTABLE_SHARE * there):
        return None
    each = ", ".join(f"{name} {value / _GIB:.2g}" for name, value in parts.items())
    of = "" if there is None else f" of {there / _GIB:.1f}"
    return f"memory: at least {total / _GIB:.1f}{of} GiB ({each})"


def _bytes(tree: Any) -> int:
    sizes = (
        math.prod(leaf.shape) * getattr(leaf.dtype, "itemsize", 8)
        for leaf in jax.tree.leaves(tree)
    )
    return sum(sizes)


def available(mesh: Mesh) -> int | None:
    """Bytes of the devices in all, or None where they do not tell."""
    devices = mesh.local_devices
    if devices[0].platform == "cpu":
        import psutil

        return psutil.virtual_memory().total
    stats = [device.memory_stats() or {} for device in devices]
    limits = [found.get("bytes_limit") for found in stats]
    return None if None in limits else sum(limits)


def check_samples(run: Run, num: int) -> None:
    """Refuses samples that do not fit; an estimate from below, as `check`.

    Raises:
      ConfigError: more is needed than there is.
    """
    # What is drawn, and its like on the way from the device to the file.
    wanted = 2 * num * 4 * math.prod(run.dataset.spec.shape)
    there = available(sharding.make_mesh(1, 1))
    if there is not None and wanted > there:
        raise ConfigError(
            f"at least {wanted / _GIB:.1f} GiB for {num} samples; the machine has "
            f"{there / _GIB:.1f} GiB",
            "--num_samples",
            "give fewer",
        )


def check(run: Run, state: Any, num_members: int, mesh: Mesh) -> None:
    """Refuses what does not fit, before it is allocated.

    An estimate from below: activations and what the compiler adds come on top.

    Raises:
      ConfigError: more is needed than there is; says how much of each.
    """
    wanted, there = needed(run, state, num_members), available(mesh)
    if there is None or wanted <= there:
        return
    many = f"{num_members} states" if num_members > 1 else "the state"
    raise ConfigError(
        f"at least {wanted / _GIB:.1f} GiB for the data and {many} of "
        f"{_bytes(state) / _GIB:.2g} GiB; the machine has {there / _GIB:.1f} GiB",
        "config.network, config.num_seeds, config.sweep and config.data",
        "give smaller layers or fewer members, or set data.stream",
    )
