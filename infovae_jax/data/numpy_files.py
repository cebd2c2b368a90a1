"""NumPy files: `.npz` archives and single `.npy` arrays, never a pickle."""

import contextlib
import math
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from infovae_jax.data import cache, mapped_files, raw_splits, scaling
from infovae_jax.errors import DataError, UserError

# Names of (train images, train labels, test images, test labels).
SPLIT_KEYS = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_x", "train_y", "test_x", "test_y"),
    ("train_images", "train_labels", "test_images", "test_labels"),
)
IMAGE_KEYS = ("x", "images", "image", "data", "arr_0")
LABEL_KEYS = ("y", "labels", "label", "target", "targets")
# `factor_<name>`, or `factor_<name>_train` and `factor_<name>_test`: numbers that
# caused the images, used by the evaluation only.
FACTOR_PREFIX = "factor_"

# What an archive may unpack to: in all, and where it shrinks suspiciously well.
MAX_UNPACKED_BYTES = 64 << 30
MAX_SUSPICIOUS_BYTES = 1 << 30
MAX_RATIO = 200  # dSprites, of white shapes on black, has 115
# A larger .npy file is split on disk instead of in memory, and where it is streamed.
MAX_SPLIT_IN_MEMORY, MAX_SPLIT_TO_STREAM = 1 << 30, 1 << 26

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_PICKLE_FIX = "save plain numeric arrays with numpy.save or numpy.savez"


def _pickle_error(where: str) -> DataError:
    return DataError(
        "it contains a pickle (object array), which can run code, and will not be "
        "opened",
        where,
        _PICKLE_FIX,
    )


def _read_header(f, size: int, where: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Checks a `.npy` header against the bytes that are there.

    NumPy would believe the header and allocate what it says, and says only "cannot
    reshape" of a cut file.
    """
    try:
        start = f.read(1)
        if start == b"\x80":
            raise _pickle_error(where)
        f.seek(0)
        shape, _, dtype = _HEADERS[np.lib.format.read_magic(f)](f)
        held = size - f.tell()
    except DataError:
        raise
    except (ValueError, KeyError, EOFError) as error:
        raise DataError(
            f"not a NumPy array, or a damaged one ({error})", where, _PICKLE_FIX
        ) from error
    if dtype.hasobject:
        raise _pickle_error(where)
    if min(shape, default=0) < 0:
        raise DataError(f"an array of shape {shape}", where, _PICKLE_FIX)
    needed = math.prod(shape) * dtype.itemsize
    if held < needed:
        raise DataError(
            f"cut file: an array of shape {shape} and type {dtype} needs {needed} "
            f"bytes but {held} are there",
            where,
            "copy or download the file again",
        )
    return dtype, shape


def _cannot_read(path: pathlib.Path, error: Exception) -> DataError:
    text = str(error) or type(error).__name__
    return DataError(
        f"cannot read the file: {text}", f"file {path}", "copy or download it again"
    )


def read_npy(path: pathlib.Path, config: Any) -> raw_splits.Raw:
    """Reads one array of images, memory-mapped, and splits it.

    Args:
      path: a `.npy` file of images in any layout `raw_splits.as_images` takes.
      config: reads `test_fraction`, `split_seed`, `stream` and, for large files,
        `cache_dir`.

    Raises:
      DataError: if the file is damaged, cut, a pickle, or holds no images.
      ConfigError: if `test_fraction` is not inside (0, 1).
    """
    where = f"file {path}"
    array = open_npy(path)
    x = raw_splits.standard_shape(array, where)
    train, test = raw_splits.split_indices(
        len(x), config.test_fraction, config.split_seed, where
    )
    scale = _scaling(_Picked(x, train), array.ndim == 2, config, where)
    if x.nbytes <= (MAX_SPLIT_TO_STREAM if config.stream else MAX_SPLIT_IN_MEMORY):
        parts = (_as_stored(x[picked], scale, where) for picked in (train, test))
        train_x, test_x = parts
    else:
        train_x, test_x = _split_on_disk(path, x, train, test, config, scale)
    title = _titled(f"array {path}", scale)
    raw = raw_splits.Raw(train_x, None, test_x, None, 0, (), title, where)
    return raw._replace(origin=(train, test), scaling=scale)


class _Picked:
    """Examples of an array, of which no more are read than are looked at."""

    def __init__(self, x: np.ndarray, indices: np.ndarray):
        self.x, self.indices = x, indices
        self.shape, self.dtype = (len(indices), *x.shape[1:]), x.dtype

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, part: slice) -> np.ndarray:
        rows = self.x[self.indices[part]]
        mapped_files.release(self.x)
        return rows


def _scaling(
    train: Any, are_rows: bool, config: Any, where: str
) -> scaling.Scaling | None:
    """What `data.scaling` means for training examples, `are_rows`: stored `[n, d]`."""
    return scaling.asked(train, are_rows, config.scaling, config.likelihood, where)


def _as_stored(x: np.ndarray, scale: scaling.Scaling | None, where: str) -> np.ndarray:
    if scale is not None:
        return scale.stored(x)
    if x.dtype.kind == "f" and x.dtype.itemsize > 4:
        limits = [(part.min(), part.max()) for _, part in raw_splits.chunks(x)]
        low, high = np.transpose(limits)
        raw_splits.require_float32(low.min(), high.max(), where)
    return raw_splits.storage_type(x, where)


def _titled(title: str, scale: scaling.Scaling | None) -> str:
    return title if scale is None else f"{title}, {scale.decision}"


def open_npy(path: pathlib.Path) -> np.ndarray:
    """One array, memory-mapped.

    Raises:
      DataError: the file is damaged, cut, or a pickle.
    """
    try:
        with open(path, "rb") as f:
            _read_header(f, os.fstat(f.fileno()).st_size, f"file {path}")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _cannot_read(path, error) from error


def _split_on_disk(
    path, x, train, test, config, scale
) -> tuple[np.ndarray, np.ndarray]:
    def stream(indices):
        parts = raw_splits.chunks(_Picked(x, indices))
        stored = (_as_stored(part, scale, f"file {path}") for _, part in parts)
        return cache.Stream(len(indices), ((part, None) for part in stored))

    stat = path.stat()
    mark = cache.fingerprint(
        str(path.resolve()),
        cache.file_mark(stat),
        config.test_fraction,
        config.split_seed,
        *(() if scale is None else (scale.kind,)),
    )
    opened = cache.open_or_build(
        cache.root(config.cache_dir) / f"{path.stem}-npy-{mark}",
        lambda: ({"train": stream(train), "test": stream(test)}, {}),
    )
    return opened.arrays["train_x"], opened.arrays["test_x"]


def read_npz(path: pathlib.Path, config: Any) -> raw_splits.Raw:
    """Reads an archive of images, with labels or without, split or not.

    Args:
      path: a `.npz` file with `x_train`, `y_train`, `x_test`, `y_test` (or one of
        the other names in `SPLIT_KEYS`), or with one array of images (`IMAGE_KEYS`)
        and possibly labels (`LABEL_KEYS`), of which a part is set aside for testing;
        possibly factors (`FACTOR_PREFIX`).
      config: reads `test_fraction` and `split_seed`.

    Raises:
      DataError: if the archive is damaged, too large, holds a pickle or none of the
        names, or if its arrays are no images or labels.
      ConfigError: if `test_fraction` is not inside (0, 1).
    """

    unused = []

    def choose(names):
        keys = choose_keys(names, path)
        wanted = [k for k in keys if k in names]
        wanted += sorted(k for k in names if k.startswith(FACTOR_PREFIX))
        unused.extend(sorted(names - set(wanted)))
        return wanted

    found = read_archive(path, choose)
    keys = choose_keys(set(found), path)
    raw = _arrange(found, keys, path, config)
    if unused:
        raw = raw._replace(title=f"{raw.title}; not used: {', '.join(unused)}")
    return raw


def read_images(path: pathlib.Path) -> np.ndarray:
    """The images of an archive, of a split one those of training.

    Raises:
      DataError: as `read_npz`.
    """
    found = read_archive(path, lambda names: [choose_keys(names, path)[0]])
    return next(iter(found.values()))


def read_archive(
    path: pathlib.Path, choose: Callable[[set[str]], list[str]]
) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` that `choose` picks from the names of all.

    Raises:
      DataError: if the archive is damaged, too large, or holds a pickle.
    """
    with _opened(path) as archive:
        return {k: _read_member(archive, k, path) for k in choose(_names(archive))}


def member_names(path: pathlib.Path) -> set[str]:
    """Names of the arrays of a `.npz`, none of which is read.

    Raises:
      DataError: as `read_archive`.
    """
    with _opened(path) as archive:
        return _names(archive)


def unread(path: pathlib.Path) -> list[str]:
    """Names of the arrays of a `.npz` beside the images and labels that are read.

    Of a split one those are the training images.
    """
    names = member_names(path)
    return sorted(names - set(choose_keys(names, path)[:2]))


def _names(archive: zipfile.ZipFile) -> set[str]:
    return {name.removesuffix(".npy") for name in archive.namelist()}


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[zipfile.ZipFile]:
    """The archive, with members that may be read; see `read_archive`."""
    try:
        with open(path, "rb") as f:
            if f.read(1) == b"\x80":
                raise _pickle_error(f"file {path}")
        archive = zipfile.ZipFile(path)
    except UserError:
        raise
    except OSError as error:
        raise _cannot_read(path, error) from error
    except Exception as error:  # of many classes, as struct.error
        raise DataError(
            f"damaged or cut archive ({error})",
            f"file {path}",
            "copy or download the file again",
        ) from error
    with archive:
        _check_members(archive, path)
        yield archive


def _check_members(archive: zipfile.ZipFile, path: pathlib.Path) -> None:
    unpacked = sum(m.file_size for m in archive.infolist())
    packed = max(1, sum(m.compress_size for m in archive.infolist()))
    for member in archive.infolist():
        name = member.filename
        parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
        is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
        if ".." in parts or name.startswith(("/", "\\")) or is_link:
            raise DataError(
                f"archive member '{name}' is a link or points outside the archive",
                f"file {path}",
                "do not trust this file; make it anew with numpy.savez",
            )
    suspicious = unpacked > MAX_SUSPICIOUS_BYTES and unpacked > MAX_RATIO * packed
    if unpacked > MAX_UNPACKED_BYTES or suspicious:
        raise DataError(
            f"the archive unpacks from {packed} to {unpacked} bytes (a decompression "
            "bomb?)",
            f"file {path}",
            "if the data are real, store the images as one .npy file",
        )


def choose_keys(names: set[str], path: pathlib.Path) -> tuple[str | None, ...]:
    """The names of train images, train labels, test images, test labels.

    Raises:
      DataError: no images, or names of two sets, of which one would be left out.
    """
    for keys in SPLIT_KEYS:
        if keys[0] in names:
            _require_one_set(names, keys, path)
            return keys
    images = [key for key in IMAGE_KEYS if key in names]
    if not images:
        known = ", ".join(IMAGE_KEYS + tuple(keys[0] for keys in SPLIT_KEYS))
        raise DataError(
            f"no array of images among {sorted(names)}",
            f"file {path}",
            f"name the images one of {known}",
        )
    _require_one_set(names, (images[0],), path)
    labels = [key for key in LABEL_KEYS if key in names]
    return images[0], labels[0] if labels else None, None, None


def _require_one_set(names: set[str], keys: tuple[str, ...], path) -> None:
    """Refuses names of another set of splits, and test labels without images."""
    of_splits = {key for known in SPLIT_KEYS for key in known}
    strange = sorted(names & of_splits - set(keys))
    if len(keys) == 4 and keys[3] in names and keys[2] not in names:
        strange.append(keys[3])
    if strange:
        raise DataError(
            f"{', '.join(strange)} beside {keys[0]}: which arrays belong together?",
            f"file {path}",
            f"name them {', '.join(SPLIT_KEYS[0])}",
        )


def _read_member(archive: zipfile.ZipFile, key: str, path) -> np.ndarray:
    where = f"array '{key}' of file {path}"
    name = _member(archive, key)
    with _unpacking(where):
        with archive.open(name) as f:
            _read_header(f, archive.getinfo(name).file_size, where)
        with archive.open(name) as f:
            array = np.lib.format.read_array(f, allow_pickle=False)
            f.read(1)  # Reaching the end is what makes zipfile compare the CRC.
        return array


def _member(archive: zipfile.ZipFile, key: str) -> str:
    """The name in the archive of the array `key`."""
    return f"{key}.npy" if f"{key}.npy" in archive.namelist() else key


@contextlib.contextmanager
def _unpacking(where: str) -> Iterator[None]:
    """Turns whatever damage ends in into a DataError about the array `where`."""
    try:
        yield
    except UserError:
        raise
    except (NotImplementedError, RuntimeError) as error:  # a method, a password
        raise DataError(
            f"cannot unpack the array ({error})", where, "save it with numpy.savez"
        ) from error
    except Exception as error:  # of many classes, as zlib.error
        raise DataError(
            f"damaged or cut array ({error})", where, "copy or download the file again"
        ) from error


def stream_member(path: pathlib.Path, key: str, size: int) -> Iterator[np.ndarray]:
    """The rows of one array of a `.npz`, at most `size` at a time.

    Raises:
      DataError: as `read_archive`; or the array is in Fortran's order, of which rows
        cannot be had one after the other.
    """
    where = f"array '{key}' of file {path}"
    with _opened(path) as archive, _unpacking(where):
        name = _member(archive, key)
        with archive.open(name) as f:
            dtype, shape = _read_header(f, archive.getinfo(name).file_size, where)
        if not shape:
            raise DataError("a single number", where, "store an array of rows")
        with archive.open(name) as f:
            yield from _rows_of(f, dtype, shape, size, where)


def _rows_of(f, dtype: np.dtype, shape, size: int, where: str) -> Iterator[np.ndarray]:
    _, fortran, _ = _HEADERS[np.lib.format.read_magic(f)](f)
    if fortran and len(shape) > 1:
        fix = "save numpy.ascontiguousarray of it"
        raise DataError("an array in Fortran's order", where, fix)
    count = math.prod(shape[1:]) * dtype.itemsize
    for first in range(0, shape[0], size):
        rows = min(size, shape[0] - first)
        data = f.read(rows * count)
        if len(data) < rows * count:
            raise ValueError("it ends too soon")
        yield np.frombuffer(data, dtype).reshape(rows, *shape[1:])
    f.read(1)  # Reaching the end is what makes zipfile compare the CRC.


def _arrange(found, keys, path, config) -> raw_splits.Raw:
    train_key, label_key, test_key, test_label_key = keys
    where = f"file {path}"

    def images(key):
        return raw_splits.standard_shape(found[key], f"array '{key}' of file {path}")

    def arranged(train_x, train_y, test_x, test_y):
        scale = _scaling(train_x, found[train_key].ndim == 2, config, where)
        given = ((train_x, train_key), (test_x, test_key or train_key))
        train_x, test_x = (
            _as_stored(part, scale, f"array '{key}' of file {path}")
            for part, key in given
        )
        title = _titled(f"archive {path}", scale)
        given = (train_x, train_y, test_x, test_y, num_labels, (), title, where)
        return raw_splits.Raw(*given, scaling=scale)

    def labels(key, x, *more):
        name = f"array '{key}' of file {path}"
        return raw_splits.as_labels(found[key], len(x), name, *more)

    x = images(train_key)
    y = labels(label_key, x, None, True) if label_key in found else None
    if y is not None and y.min() < 0 and len(np.unique(y)) <= 2:
        raise DataError(
            f"labels {', '.join(map(str, np.unique(y)))}, of which -1 means not known",
            f"array '{label_key}' of file {path}",
            "give two classes or more from 0, or leave the labels out",
        )
    num_labels = 0 if y is None else int(y.max()) + 1
    if test_key not in found:
        train, test = raw_splits.split_indices(
            len(x), config.test_fraction, config.split_seed, where, y
        )
        train_y, test_y = (None, None) if y is None else (y[train], y[test])
        raw = arranged(x[train], train_y, x[test], test_y)
        factors = {
            name.removeprefix(FACTOR_PREFIX): (values[train], values[test])
            for name, values in _factors(found, "", len(x), path).items()
        }
        return raw._replace(factors=factors or None, origin=(train, test))
    if (label_key in found) != (test_label_key in found):
        raise DataError(
            f"only one of {label_key} and {test_label_key} is there",
            where,
            "store labels for both splits or for neither",
        )
    test_x = images(test_key)
    test_y = None if y is None else labels(test_label_key, test_x, num_labels)
    raw = arranged(x, y, test_x, test_y)
    train_factors = _factors(found, "_train", len(x), path)
    test_factors = _factors(found, "_test", len(test_x), path)
    factors = {
        name.removeprefix(FACTOR_PREFIX): (values, test_factors[name])
        for name, values in train_factors.items()
        if name in test_factors
    }
    return raw._replace(factors=factors or None)


def _factors(found, ending: str, num_examples: int, path) -> dict[str, np.ndarray]:
    """The factors of one split, by their key without the ending, as float64 `[n]`."""
    chosen = {}
    for key, values in found.items():
        if not (key.startswith(FACTOR_PREFIX) and key.endswith(ending)):
            continue
        if values.shape != (num_examples,) or values.dtype.kind not in "iufb":
            raise DataError(
                f"a factor of shape {values.shape} and type {values.dtype} for "
                f"{num_examples} examples",
                f"array '{key}' of file {path}",
                "store one number an example",
            )
        chosen[key.removesuffix(ending)] = values.astype(np.float64)
    return chosen
