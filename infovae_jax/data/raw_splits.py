"""Arrays of any usual layout become uint8 or float32 `[n, H, W, C]`."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import mapped_files, subsets
from infovae_jax.data.labels import UNKNOWN
from infovae_jax.data.permutation import TEST_SPLIT, VALIDATION, permutation
from infovae_jax.errors import ConfigError, DataError
from infovae_jax.types import Dataset

# Values looked at in one go, so that a scan of a memory-mapped file needs little
# memory.
CHUNK_VALUES = 1 << 22
# Labels above this and above the number of examples are ids, not classes.
MAX_FREE_LABEL = 1000
# Numbers of channels that pictures have, of grey, colour, and colour with alpha.
_CHANNELS = (1, 3, 4)


class Raw(NamedTuple):
    """A source as read: two splits in the standard layout, not yet judged.

    Attributes:
      train_x: `[n, H, W, C]`, uint8 or float32.
      train_y: `[n]` int32, or None.
      test_x: `[m, H, W, C]`.
      test_y: `[m]` int32, or None.
      num_labels: number of classes, 0 without labels.
      label_names: one name per class, or empty.
      title: the source in words, for the printed decision.
      where: the source as an error message names it.
      factors: name -> (`[n]`, `[m]`), known causes of the images, or None.
      origin: (`[n]`, `[m]`), where each example is in its source; see `Dataset`.
      scheme: of a table, how its rows became numbers, a `columns.Scheme`.
      divisor: what the numbers of the source were divided by.
      scaling: a `scaling.Scaling` that was applied to both splits, or None.
    """

    train_x: np.ndarray
    train_y: np.ndarray | None
    test_x: np.ndarray
    test_y: np.ndarray | None
    num_labels: int
    label_names: tuple[str, ...]
    title: str
    where: str
    factors: dict[str, tuple[np.ndarray, np.ndarray]] | None = None
    origin: tuple[np.ndarray, np.ndarray] | None = None
    scheme: Any = None
    divisor: float = 1.0
    scaling: Any = None


def chunks(x: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first index, slice) along the leading axis, a few MB each.

    Of a mapped file no more than that stays in the memory of this process.
    """
    rows = max(1, CHUNK_VALUES // max(1, int(np.prod(x.shape[1:]))))
    for start in range(0, len(x), rows):
        yield start, x[start : start + rows]
        mapped_files.release(x)


def first_index(flags: np.ndarray, start: int) -> tuple[int, ...]:
    """The index of the first True in a chunk that begins at `start`."""
    index = np.unravel_index(int(np.argmax(flags)), flags.shape)
    return (start + int(index[0]), *(int(i) for i in index[1:]))


def as_images(x: np.ndarray, where: str) -> np.ndarray:
    """Brings images to `[n, H, W, C]` and to one of the two storage types.

    Args:
      x: `[n, H, W, C]`, `[n, H, W]` or `[n, D]`, the last becoming `[n, 1, D, 1]`;
        uint8, bool, any other integers within 0..255, or floats.
      where: names the array in messages.

    Returns:
      uint8 or float32 `[n, H, W, C]`; a view (memory-mapped or not) if possible.

    Raises:
      DataError: for an empty split, another rank, type or number of channels, or
        integers outside 0..255.
    """
    return storage_type(standard_shape(x, where), where)


def standard_shape(x: Any, where: str) -> np.ndarray:
    """`[n, H, W, C]` of the same numbers; see `as_images`."""
    x = np.asanyarray(x)
    fix = "give images as [n, H, W, C], [n, H, W] or [n, D], channels last"
    if x.ndim not in (2, 3, 4):
        raise DataError(f"an array of shape {x.shape} holds no images", where, fix)
    if len(x) == 0:
        raise DataError("empty split: no examples", where, "give at least one image")
    if 0 in x.shape:
        raise DataError(f"images of shape {x.shape[1:]} hold no pixels", where, fix)
    if x.ndim == 2:
        return x[:, None, :, None]
    if x.ndim == 3:
        return x[..., None]
    if x.shape[-1] > 4:
        raise DataError(
            f"images of shape {x.shape[1:]} have {x.shape[-1]} channels",
            where,
            channels_first(x.shape) or f"{fix}, with 1 to 4 channels",
        )
    return x


def channels_first(shape: tuple[int, ...]) -> str:
    """What to do where images `[n, H, W, C]` are probably `[n, C, H, W]`, else ''."""
    if len(shape) != 4 or shape[1] not in _CHANNELS or shape[3] in _CHANNELS:
        return ""
    return (
        "if the channels are first, give numpy.moveaxis(x, 1, -1), which has them last"
    )


def are_rows(shape: tuple[int, ...]) -> bool:
    """Whether examples of `(H, W, C)` are rows of numbers and no images."""
    return shape[0] == shape[2] == 1


def called(shape: tuple[int, ...]) -> str:
    """'rows' or 'images', of examples of `(H, W, C)`."""
    return "rows" if are_rows(shape) else "images"


def place(index: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Where a value is in an array of examples of `(H, W, C)`, in words."""
    if are_rows(shape):
        return f"row {index[0]}, column {index[2]}"
    return f"index (n, h, w, c) = {index}"


def shaped(shape: tuple[int, ...]) -> str:
    """What examples of `(H, W, C)` are called."""
    if are_rows(shape):
        return f"rows of {shape[1]} number{'s' * (shape[1] != 1)}"
    return f"images of shape (H, W, C) = {shape}"


def storage_type(x: np.ndarray, where: str) -> np.ndarray:
    """The same numbers as uint8 or float32; see `as_images`."""
    if x.dtype == np.uint8:
        return x
    if x.dtype == np.bool_:
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype.kind == "f":
        # A value beyond float32 becomes inf, which the scan in `spec` reports.
        with np.errstate(over="ignore"):
            return x.astype(np.dtype(np.float32), copy=False)
    if x.dtype.kind not in "iu":
        raise DataError(
            f"images of type {x.dtype}", where, "store images as uint8 or float32"
        )
    for start, part in chunks(x):
        outside = (part < 0) | (part > 255)
        if outside.any():
            index = first_index(outside, start)
            raise DataError(
                f"integer pixel {int(x[index])} at index {index} is outside 0..255",
                where,
                "store images as uint8, or as float32 in the range to be modelled",
            )
    return x.astype(np.uint8)


def lost_in_float32(low: Any, high: Any) -> Any:
    """Whether float32 makes infinity or 0 of all numbers in a range, or of its ends."""
    peak, held = np.maximum(-low, high), np.finfo(np.float32)
    return np.isfinite(peak) & ((peak > held.max) | ((peak > 0) & (peak < held.tiny)))


def require_float32(low: Any, high: Any, where: str) -> None:
    """Raises DataError where numbers are so large or small that float32 loses them.

    Args:
      low: smallest numbers, of columns say; what is NaN or infinite is let through.
      high: largest.
      where: names the numbers in messages.
    """
    low, high = np.atleast_1d(low).ravel(), np.atleast_1d(high).ravel()
    lost = lost_in_float32(low, high)
    if lost.any():
        column = int(lost.argmax())
        raise DataError(
            f"numbers from {low[column]:.4g} to {high[column]:.4g}"
            f"{f' in column {column}' if len(low) > 1 else ''}, which float32 does not "
            "hold",
            where,
            "give them in another unit: times a power of ten",
        )


def as_labels(
    y: Any,
    num_examples: int,
    where: str,
    num_labels: int | None = None,
    unknown: bool = False,
) -> np.ndarray:
    """Checks labels and brings them to int32 `[n]`.

    Args:
      y: `[n]` or `[n, 1]` whole numbers.
      num_examples: length of the images they belong to.
      where: names the array in messages.
      num_labels: number of classes where it is known.
      unknown: whether -1 may stand for what is not known.

    Returns:
      int32 `[n]`.

    Raises:
      DataError: for another shape, type or length, or a label outside the range.
    """
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        hint = " (one-hot? store their argmax)" if y.ndim == 2 else ""
        raise DataError(
            f"labels of shape {y.shape}", where, f"give one label per image{hint}"
        )
    if len(y) != num_examples:
        raise DataError(
            f"{len(y)} labels for {num_examples} images",
            where,
            "give one label per image",
        )
    if y.dtype.kind not in "iuf" or not np.array_equal(y, np.round(y)):
        raise DataError(
            f"labels of type {y.dtype} that are not whole numbers",
            where,
            "store labels as integers from 0",
        )
    limit = num_labels or max(MAX_FREE_LABEL, num_examples)
    hidden = (y == UNKNOWN) & unknown
    outside = ((y < 0) & ~hidden) | (y >= limit)
    if outside.any():
        index = int(np.argmax(outside))
        raise DataError(
            f"label {int(y[index])} at index {index} is out of range 0..{limit - 1}",
            where,
            "number the classes from 0 without gaps, alike in both splits",
        )
    return y.astype(np.int32)


def some_examples(raw: Raw, num_train: int, seed: int) -> Raw:
    """The source with `num_train` training examples only, a draw by `seed`.

    No label has a part in it, since a model is trained on them. `origin` tells which
    they are.

    Raises:
      ConfigError: there are not that many, or none is asked for.
    """
    count = len(raw.train_x)
    if not 1 <= num_train <= count:
        raise ConfigError(
            f"{num_train} of {count} training examples",
            "config.data.num_train",
            f"give 1 to {count}",
        )
    kept = subsets.draw(num_train, count, seed)
    factors = raw.factors and {
        name: (train[kept], test) for name, (train, test) in raw.factors.items()
    }
    origin = raw.origin or (np.arange(count), np.arange(len(raw.test_x)))
    return raw._replace(
        train_x=subsets.take(raw.train_x, kept),
        train_y=None if raw.train_y is None else raw.train_y[kept],
        factors=factors,
        origin=(np.asarray(origin[0])[kept], origin[1]),
    )


def split_indices(
    num_examples: int,
    test_fraction: float,
    split_seed: int,
    where: str,
    labels: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Sets a random fraction aside for testing.

    Args:
      num_examples: examples in all, n.
      test_fraction: the part to set aside, in [0, 1); 0: none, and the test split is
        the training examples once more.
      split_seed: fixes the choice.
      where: names the source in messages.
      labels: `[n]`, or None; of those that are -1, not known, the examples are for
        training alone: the test split is what figures against labels are of.

    Returns:
      Indices of the training and of the test examples, each ascending, so that a
      memory-mapped file is read in order.

    Raises:
      ConfigError: if the fraction is not inside [0, 1).
      DataError: if either part would be empty.
    """
    if not 0.0 <= test_fraction < 1.0:
        raise ConfigError(
            f"test fraction {test_fraction} is not inside [0, 1)",
            "config.data.test_fraction",
            "set data.test_fraction to, say, 0.2, or 0 to train on all",
        )
    if labels is not None and (labels < 0).any():
        known = np.flatnonzero(labels >= 0)
        own = f"{where}, examples with a label"
        _, test = split_indices(len(known), test_fraction, split_seed, own)
        test, train = known[test], np.arange(num_examples)
        return np.setdiff1d(train, test) if test_fraction else train, test
    if not test_fraction and num_examples:
        return np.arange(num_examples), np.arange(num_examples)
    num_test = round(num_examples * test_fraction)
    if not 0 < num_test < num_examples:
        raise DataError(
            f"empty split: {test_fraction} of {num_examples} examples leaves "
            f"{num_examples - num_test} to train and {num_test} to test on",
            where,
            "give more examples or change data.test_fraction",
        )
    order = permutation(split_seed, TEST_SPLIT, num_examples)
    return np.sort(order[num_test:]), np.sort(order[:num_test])


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, np.ndarray]:
    """Takes a random share of the training split away from training.

    Args:
      dataset: both splits.
      share: in (0, 1).
      seed: of the choice.

    Returns:
      The dataset with the smaller training split, and the images held out.
    """
    count = dataset.spec.num_examples
    size = min(max(1, round(share * count)), count - 1)
    order = permutation(seed, VALIDATION, count)
    away, kept = np.sort(order[:size]), np.sort(order[size:])
    labels = dataset.train_y
    factors = dataset.factors
    if factors:
        factors = {name: (a[kept], b) for name, (a, b) in factors.items()}
    train_origin, test_origin = origins(dataset)
    smaller = dataset._replace(
        train_x=dataset.train_x[kept],
        train_y=None if labels is None else labels[kept],
        spec=dataset.spec._replace(num_examples=len(kept)),
        factors=factors,
        origin=(train_origin[kept], test_origin),
        decision=f"{dataset.decision}\nvalidation: {size} of {count} training examples",
    )
    return smaller, dataset.train_x[away]


def origins(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """`Dataset.origin`, or the rows of both splits where that is None."""
    if dataset.origin is not None:
        return dataset.origin
    return np.arange(len(dataset.train_x)), np.arange(len(dataset.test_x))
