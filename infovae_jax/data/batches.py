"""Batches as pure functions: which examples at which step, and in which range.

There is no iterator and hence no state to save: the indices of step t depend on
(seed, t) alone, so a resumed run and a run of differently sized chunks see the same
batches.
"""

import collections
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.data.permutation import permutation
from infovae_jax.distributions.likelihoods import as_values
from infovae_jax.errors import ConfigError
from infovae_jax.types import Array, Batch

_LABELLED_STREAM = 2**32
AHEAD = 2  # batches that `map_batches` has under way
# Eagerly it is many small programs.
_fold_in = jax.jit(jax.random.fold_in)


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Full batches in one pass over the data; the remainder is dropped.

    Args:
      num_examples: training examples, n.
      batch_size: examples in a batch, B.

    Returns:
      floor(n / B), at least 1.

    Raises:
      ConfigError: if B is below 1 or larger than n.
    """
    if batch_size < 1:
        raise ConfigError(
            f"batch size {batch_size} is not positive",
            "config.train.batch_size",
            "set batch_size to 1 or more",
        )
    if num_examples < batch_size:
        raise ConfigError(
            f"a batch of {batch_size} is larger than the data ({num_examples} "
            "training examples)",
            "config.train.batch_size",
            f"set batch_size to {num_examples} or less",
        )
    return num_examples // batch_size


def fitting(batch_size: int, num_examples: int) -> int:
    """The same, or of fewer examples the power of two below their number."""
    if num_examples >= batch_size:
        return batch_size
    return 1 << (num_examples.bit_length() - 1)


# A population asks for the order of every seed in turn.
@functools.lru_cache(maxsize=64)
def _epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    order = permutation(seed, epoch, num_examples).astype(np.int32)
    order.flags.writeable = False
    return order


def batch_indices(
    seed: int, step: int, num_steps: int, num_examples: int, batch_size: int
) -> np.ndarray:
    """Indices of the examples in steps `step` to `step + num_steps - 1`.

    Every epoch has its own order, a permutation keyed by (seed, epoch).

    Args:
      seed: the data seed.
      step: the first step, counted from the start of training.
      num_steps: how many steps.
      num_examples: training examples, n.
      batch_size: examples in a batch, B.

    Returns:
      int32 `[num_steps, B]`, values in [0, n).

    Raises:
      ConfigError: if B is below 1 or larger than n.
    """
    per_epoch = steps_per_epoch(num_examples, batch_size)
    out = np.empty((num_steps, batch_size), np.int32)
    done = 0
    while done < num_steps:
        epoch, start = divmod(step + done, per_epoch)
        count = min(num_steps - done, per_epoch - start)
        order = _epoch_order(seed, epoch, num_examples)
        rows = order[start * batch_size : (start + count) * batch_size]
        out[done : done + count] = rows.reshape(count, batch_size)
        done += count
    return out


def training_indices(
    seed: int,
    step: int,
    num_steps: int,
    num_examples: int,
    batch_size: int,
    labelled: np.ndarray | None = None,
    labelled_batch_size: int = 0,
) -> np.ndarray:
    """`batch_indices`, with examples of known label added to each batch.

    Where a hundred of many thousand labels are known, a plain batch would hold none.

    Args:
      seed: the data seed.
      step: the first step.
      num_steps: how many steps.
      num_examples: training examples.
      batch_size: examples of any kind in a batch, B.
      labelled: indices of the examples whose label is known, or None: add none.
      labelled_batch_size: how many of those are added, A; they go through epochs of
        their own.

    Returns:
      int32 `[num_steps, B + A]`.
    """
    rows = batch_indices(seed, step, num_steps, num_examples, batch_size)
    if labelled is None or not labelled_batch_size:
        return rows
    # The order of the labelled ones must not follow that of all.
    chosen = batch_indices(
        seed + _LABELLED_STREAM, step, num_steps, len(labelled), labelled_batch_size
    )
    return np.concatenate([rows, labelled[chosen].astype(np.int32)], axis=1)


def prepare_batch(batch: Array | Batch, key: Array, binarize: str) -> Array | Batch:
    """`prepare` of the images of a batch, whether it has labels or not."""
    if isinstance(batch, Batch):
        return batch._replace(x=prepare(batch.x, key, binarize))
    return prepare(batch, key, binarize)


def prepare(x: Array, key: Array | None, binarize: str) -> Array:
    """What the model sees of stored images; runs inside jit.

    Args:
      x: `[..., H, W, C]`, uint8 (scaled by 1/255) or float32 (taken as it is).
      key: PRNG key of the draw; used by 'stochastic' only. Training passes the key
        of the step (a new draw each time), evaluation a fixed one.
      binarize: 'none', 'threshold' (1 where x >= 0.5) or 'stochastic' (a Bernoulli
        draw with mean x). Static under jit.

    Returns:
      float32 `[..., H, W, C]`.
    """
    x = as_values(x)
    if binarize == "none":
        return x.astype(jnp.float32)
    if binarize == "threshold":
        return (x >= 0.5).astype(jnp.float32)
    if binarize == "stochastic":
        return jax.random.bernoulli(key, x).astype(jnp.float32)
    raise ValueError(f"unknown binarize {binarize!r}")


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


def map_batches(
    function: Callable[..., Any],
    x: np.ndarray,
    size: int,
    key: Array | None = None,
    axis: int = 0,
    pad: bool = False,
    first: int = 0,
) -> Any:
    """A function of batches applied to all of `x`, as if `x` were one batch.

    Args:
      function: `function(batch [B, ...]) -> tree` of arrays that hold the examples on
        `axis`; with `key`, `function(batch, key folded by the number of the batch)`.
      x: `[n, ...]`, n above 0.
      size: examples in a batch, B; without `pad`, n where that is less.
      key: PRNG key, or None where the function draws nothing.
      axis: of the examples in what the function gives.
      pad: fill up fewer than B examples too, so that a row's bits do not depend on
        how many there are, and one program serves all.
      first: number of the first batch, where x is a part of something longer.

    Returns:
      The tree, NumPy arrays with n examples on `axis`.
    """
    parts: list[Any] = []
    # The next batches are under way while the results of one are copied.
    running: collections.deque = collections.deque()

    def collect():
        outputs, count = running.popleft()
        kept = (slice(None),) * axis + (slice(count),)
        parts.append(jax.tree.map(lambda a: np.asarray(a)[kept], outputs))

    size = size if pad else min(size, len(x))
    for number, (batch, valid) in enumerate(padded_batches(x, size), first):
        keys = () if key is None else (_fold_in(key, number),)
        running.append((function(batch, *keys), int(valid.sum())))
        if len(running) > AHEAD:
            collect()
    while running:
        collect()
    return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis), *parts)
