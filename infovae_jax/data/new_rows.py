"""New data for a trained model, a part at a time, as the model takes them.

What it was trained on decides what they must be (`intake`): images as a folder, a file
of Pillow's, `.npy` or `.npz`; rows of a table as `.csv`, `.tsv` or `.parquet`. What
does not fit is refused with the row or file. No part is larger than asked for: a
million rows need no more memory than a few thousand.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import cache, folder, numpy_files, raw_splits, tables
from infovae_jax.data.intake import Intake
from infovae_jax.errors import DataError
from infovae_jax.types import Dataset

_FLAG = "--input"


class Rows(NamedTuple):
    """Consecutive examples.

    Attributes:
      first: number of the first one in the input.
      x: as stored, `[m, H, W, C]`.
      names: of the files that they are, within the folder; None: there are none.
      labels: int32 `[m]`, -1 where unknown; None: the input has none.
      extra: columns of a table that training did not have; they are not looked at.
      imputed: how many missing values of a table were filled.
      ids: columns of a table that tell its rows apart; the model does not see them.
      left_out: what else lies in the input and is not read, in words.
    """

    first: int
    x: np.ndarray
    names: list[str] | None = None
    labels: np.ndarray | None = None
    extra: tuple[str, ...] = ()
    imputed: int = 0
    left_out: str = ""
    ids: Mapping[str, np.ndarray] = MappingProxyType({})


def require(path: pathlib.Path) -> pathlib.Path:
    """The path of an input, `~` filled in.

    Raises:
      DataError: there is no such file or folder.
    """
    path = cache.expanded(path)
    # `os` tells of a pipe, which would be waited for, and of names that are too long.
    if not os.path.isfile(path) and not os.path.isdir(path):
        raise DataError(f"no file or folder '{path}'", _FLAG, "check the path")
    return path


def read(path: pathlib.Path, dataset: Dataset, size: int) -> Iterator[Rows]:
    """The examples of a file or folder in order, at most `size` at a time.

    Args:
      path: of the input.
      dataset: of the model, with `spec`, `intake` and `label_names`; its examples are
        not looked at.
      size: examples in a part.

    Raises:
      DataError: the input is missing, damaged, or does not fit the model.
    """
    path = require(path)
    kind = "table" if tables.is_table(path) else "images"
    wanted = "images" if dataset.intake.scheme is None else "table"
    if kind != wanted:
        fix = "a .csv, .tsv or .parquet file" if wanted == "table" else _IMAGE_INPUTS
        raise DataError(
            f"the model is of {_WORDS[wanted]}", f"{_FLAG}, {path}", f"give {fix}"
        )
    if kind == "table":
        yield from _of_table(path, dataset, size)
    elif path.is_dir() or path.suffix.lower() in folder.SUFFIXES:
        yield from _of_folder(path, dataset, size)
    elif path.suffix.lower() in (".npy", ".npz"):
        yield from _of_array(path, dataset, size)
    else:
        raise DataError(
            f"unknown file type '{path.suffix}'",
            f"{_FLAG}, {path}",
            f"give {_IMAGE_INPUTS}",
        )


_IMAGE_INPUTS = "a folder of images, an image, a .npy or a .npz file"
_WORDS = {"images": "images or rows of an array", "table": "rows of a table"}


def _of_table(path: pathlib.Path, dataset: Dataset, size: int) -> Iterator[Rows]:
    scheme, first, where = dataset.intake.scheme, 0, f"{_FLAG}, {path}"
    for frame in tables.read_chunks(path, size, scheme):
        if not len(frame):
            continue
        x = scheme.encode(frame, where, first)
        extra = tuple(scheme.extra(frame))
        filled = scheme.imputed(frame)
        labels, ids = scheme.labels(frame), scheme.ids(frame)
        yield Rows(first, x, None, labels, extra, filled, ids=ids)
        first += len(x)
    if not first:
        raise DataError("no rows", where, "give a table of rows")


def _of_folder(path: pathlib.Path, dataset: Dataset, size: int) -> Iterator[Rows]:
    listing, root = folder.list_images(path)
    decode = folder.Decoder(folder.target_size(dataset.intake.image_size))
    number = {name: i for i, name in enumerate(dataset.label_names)}
    for first in range(0, len(listing.files), size):
        files = listing.files[first : first + size]
        images = [
            _like_training(decode(file)[None], dataset, f"file {file}")
            for file in files
        ]
        classes = listing.classes[first : first + size]
        known = [number.get(folder.shown(name), -1) for name in classes]
        yield Rows(
            first,
            np.concatenate(images),
            [file.relative_to(root).as_posix() for file in files],
            np.array(known, np.int32) if number and classes else None,
            left_out=folder.told(listing.left_out),
        )


def _of_array(path: pathlib.Path, dataset: Dataset, size: int) -> Iterator[Rows]:
    where, first = f"{_FLAG}, {path}", 0
    if path.suffix.lower() == ".npy":
        x, labels, left_out = numpy_files.open_npy(path), None, ""
        if not x.ndim:
            raise DataError("a single number", where, "store an array of rows")
        parts = (x[start : start + size] for start in range(0, len(x), size))
    else:
        parts, labels = _of_archive(path, size)
        left_out = ", ".join(numpy_files.unread(path))
    for part in parts:
        images = as_stored(part, dataset, where, first)
        own = labels[first : first + len(images)] if labels is not None else None
        if own is not None and len(own) < len(images):
            raise _other_labels(labels, "more", where)
        yield Rows(first, images, None, own, left_out=left_out)
        first += len(images)
    if not first:
        raise DataError("no examples", where, "give at least one")
    if labels is not None and len(labels) > first:
        raise _other_labels(labels, first, where)


def _other_labels(labels: np.ndarray, count: object, where: str) -> DataError:
    what = f"{len(labels)} labels for {count} images"
    return DataError(what, where, "give one label per image, or none")


def _of_archive(path: pathlib.Path, size: int):
    """The parts of the images of a `.npz`, and its labels or None."""
    names = numpy_files.member_names(path)
    images, labels, *_ = numpy_files.choose_keys(names, path)
    found = None
    if labels in names:
        found = numpy_files.read_archive(path, lambda names: [labels])[labels]
        name = f"array '{labels}' of {path}"
        found = raw_splits.as_labels(found, len(found), name, unknown=True)
    return numpy_files.stream_member(path, images, size), found


def as_stored(x: Any, dataset: Dataset, where: str, first: int = 0) -> np.ndarray:
    """An array of examples as the model takes them; see `read`.

    `first`: number of the first one, for messages.
    """
    scale = dataset.intake.scaling
    if scale is None:
        images = raw_splits.as_images(x, where)
        return _like_training(images, dataset, where, first)
    images = raw_splits.standard_shape(x, where)
    if images.dtype.kind not in "biuf":
        fix = "give numbers, as it was trained on"
        raise DataError(f"values of type {images.dtype}", where, fix)
    _require_shape(images, dataset, where)
    stored = scale.stored(images)
    bad = ~np.isfinite(stored)
    if bad.any():
        value, index = _first_value(images, bad, first)
        fix = "give finite numbers in the range of the training data"
        raise DataError(f"value {value:.6g} at index {index}", where, fix)
    return stored


def _like_training(
    x: np.ndarray, dataset: Dataset, where: str, first: int = 0
) -> np.ndarray:
    """Images `[n, H, W, C]` after what was done to the training data.

    Raises:
      DataError: they have another shape, or a range that the model does not know.
    """
    _require_shape(x, dataset, where)
    intake = dataset.intake
    if intake.divisor != 1.0 and x.dtype == np.uint8:
        raise DataError(
            f"whole numbers, for a model of values divided by {intake.divisor:g}",
            where,
            "divide them by it, and give floats",
        )
    if intake.bits and x.dtype == np.uint8:
        return np.where(x == 1, np.uint8(255), x)
    inside = intake.low >= 0 and intake.high <= 1
    if x.dtype == np.uint8:
        if not inside:
            raise DataError(
                "whole numbers, which mean 256 grey levels, for a model of values "
                f"from {intake.low:.4g} to {intake.high:.4g}",
                where,
                "give floats in that range",
            )
        return x
    return _checked(x, intake, where, first)


def _require_shape(x: np.ndarray, dataset: Dataset, where: str) -> None:
    shape = dataset.spec.shape
    if x.shape[1:] != shape:
        resized = "; its own images were resized by data.image_size"
        both_images = not any(map(raw_splits.are_rows, (x.shape[1:], shape)))
        wanted = shape if both_images else raw_splits.shaped(shape)
        raise DataError(
            f"{raw_splits.shaped(x.shape[1:])}, but the model is of {wanted}",
            where,
            "give such" + (resized if dataset.intake.image_size else ""),
        )


def _first_value(x: np.ndarray, bad: np.ndarray, first: int):
    """The first bad value, and its index where x begins with example `first`."""
    index = raw_splits.first_index(bad, first)
    return x[(index[0] - first, *index[1:])], index


def _checked(x: np.ndarray, intake: Intake, where: str, first: int) -> np.ndarray:
    """The same, all finite, and in [0, 1] where the training data were."""
    bad = ~np.isfinite(x)
    if not bad.any() and intake.low >= 0 and intake.high <= 1:
        bad = (x < 0) | (x > 1)
    if bad.any():
        value, index = _first_value(x, bad, first)
        raise DataError(
            f"value {value:.6g} at index (n, h, w, c) = {index}; training had "
            f"{intake.low:.4g} to {intake.high:.4g}",
            where,
            "scale the data as the training data were"
            + (f": divide by {intake.divisor:g}" if intake.divisor != 1.0 else ""),
        )
    return x
