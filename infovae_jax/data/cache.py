"""Decoded images on disk: written once, memory-mapped and verified afterwards.

A cache is a folder of `train_x.npy`, `train_y.npy`, `train_f.npy` (images, labels,
factors; the last two only where there are some), the same of `test`, and `meta.json`,
which holds the size and SHA-256 of every array file, that of what the array holds, and
statistics of the images. It is written under another name and renamed when complete, so
a folder with the final name is whole, whatever interrupted the writing.
"""

import errno
import hashlib
import json
import os
import pathlib
import secrets
import shutil
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.config import sealed
from infovae_jax.data import leftovers, raw_splits
from infovae_jax.errors import DataError, StorageError

FORMAT = 1
META = "meta.json"
_PARTIAL = ".partial-"
SPLITS = ("train", "test")


class Stream(NamedTuple):
    """One split as its source yields it.

    Attributes:
      num_examples: how many examples there will be, n.
      chunks: images `[b, H, W, C]` (uint8 or float32), int32 labels `[b]` or None,
        and possibly factors `[b, k]` float64 or None; in every chunk alike but for b,
        which sums to n.
    """

    num_examples: int
    chunks: Iterable[tuple[np.ndarray | None, ...]]


class Cached(NamedTuple):
    """An opened cache.

    Attributes:
      arrays: 'train_x' and so on to a memory-mapped array.
      meta: what `meta.json` holds.
    """

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path with `~` and `~user` filled in, or as it is where nobody is known so.

    `pathlib` raises RuntimeError there.
    """
    return pathlib.Path(os.path.expanduser(path))


def user_folder(variable: str, default: str) -> pathlib.Path | None:
    """The package's folder in that of an environment variable, or in the default.

    Args:
      variable: such as 'XDG_CACHE_HOME'.
      default: such as '~/.cache'.

    Returns:
      None where no home is known, as of a user id without an account.
    """
    folder = expanded(os.environ.get(variable) or default) / "infovae_jax"
    return None if folder.parts[0].startswith("~") else folder


def root(cache_dir: str | None) -> pathlib.Path:
    """The folder of all caches: `cache_dir`, or one in the user's cache folder.

    Raises:
      StorageError: no home is known, and nothing stands in its place.
    """
    if cache_dir:
        return expanded(cache_dir)
    folder = user_folder("XDG_CACHE_HOME", "~/.cache")
    if folder is None:
        raise StorageError(
            "this user has no home folder, in which decoded images could be kept",
            "config.data.cache_dir",
            "set data.cache_dir, or the variable HOME or XDG_CACHE_HOME, to a folder",
        )
    return folder


def fingerprint(*parts: Any) -> str:
    """16 hex digits that change with any of `parts` (bytes, or anything with repr)."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def file_mark(stat: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is replaced, even by one of equal size and date."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def array_digest(x: np.ndarray) -> str:
    """SHA-256 of type, shape and values, in hex; reads a few MB at a time."""
    x = np.asanyarray(x)
    digest = hashlib.sha256(f"{x.dtype.str}{x.shape}".encode())
    for _, part in raw_splits.chunks(x):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def known_digest(x: np.ndarray) -> str | None:
    """`array_digest` as noted when a cache was built; None where `x` is no whole file.

    The files of an opened cache were verified when it was opened.
    """
    if not isinstance(x, np.memmap) or x.filename is None:
        return None
    path = pathlib.Path(x.filename)
    if not x.flags.c_contiguous or x.offset + x.nbytes != path.stat().st_size:
        return None
    try:
        found = sealed.read(path.parent / META)["files"][path.name]["content"]
    except (sealed.Damaged, KeyError, TypeError):
        return None  # no cache, or one of a time before it was noted
    return found if isinstance(found, str) else None


def open_or_build(
    folder: pathlib.Path,
    make: Callable[[], tuple[dict[str, Stream], dict[str, Any]]],
    check: Callable[[dict[str, Any]], None] = lambda meta: None,
) -> Cached:
    """Opens a cache, after building it if it is not there.

    Args:
      folder: the cache's final place.
      make: returns the streams by split and further facts for `meta.json`; called
        only if the cache has to be built.
      check: is given the meta data, both before a new cache gets its final name and
        whenever one is opened; raises what is wrong with them.

    Raises:
      DataError: if the cache is damaged, or whatever `make` and `check` raise.
      StorageError: if the cache cannot be written.
    """
    leftovers.sweep(folder.parent, f"{_PARTIAL}*")
    if not folder.exists():
        _build(folder, make, check)
    cached = _open(folder)
    check(cached.meta)
    return cached


def _build(folder, make, check) -> None:
    streams, facts = make()
    # Not mkdtemp: it would lock others out of a cache that several people share.
    name = f"{_PARTIAL}{os.getpid()}-{secrets.token_hex(4)}"
    partial = folder.parent / name
    try:
        partial.mkdir(parents=True)
        with leftovers.held(partial):
            _fill(partial, streams, facts, check)
            _publish(partial, folder)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            "the disk is full" if full else f"cannot write decoded images: {error}",
            f"data.cache_dir, folder {folder.parent}",
            "free some space or set data.cache_dir to another folder",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(partial: pathlib.Path, streams, facts, check) -> None:
    meta = {"format": FORMAT, **facts, "splits": {}, "files": {}}
    for split in SPLITS:
        meta["splits"][split] = _write_split(partial, split, streams[split])
    for path in sorted(partial.iterdir()):
        meta["files"][path.name] = {
            "bytes": path.stat().st_size,
            "sha256": _sha256(path),
            "content": array_digest(np.load(path, mmap_mode="r")),
        }
    check(meta)
    text = json.dumps(sealed.seal(meta), indent=2) + "\n"
    (partial / META).write_text(text)


def _publish(partial: pathlib.Path, folder: pathlib.Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        # Another process finished the same cache first; its result is as good.
        if not folder.is_dir():
            raise


def _write_split(folder: pathlib.Path, split: str, stream: Stream) -> dict[str, Any]:
    """Writes one split; returns its statistics on the scale the model sees."""
    labels, factors, count, scale = [], [], 0, 1.0
    total = square = 0.0
    # Plain writes, not a memory map: on a full disk a map kills the process.
    with open(folder / f"{split}_x.npy", "wb") as f:
        for x, y, *others in stream.chunks:
            if count == 0:
                scale = 255.0 if x.dtype == np.uint8 else 1.0
                _write_header(f, x.dtype, (stream.num_examples, *x.shape[1:]))
            f.write(np.ascontiguousarray(x).data)
            values = x.reshape(-1, x.shape[-1]).astype(np.float64) / scale
            total = total + values.sum(0)
            square = square + np.square(values).sum(0)
            count += len(x)
            labels.append(y)
            factors += [f for f in others if f is not None]
    if count != stream.num_examples or count == 0:
        raise DataError(
            f"the {split} split gave {count} of {stream.num_examples} examples",
            f"while decoding into {folder.parent}",
            "prepare or copy the dataset anew",
        )
    if labels[0] is not None:
        np.save(folder / f"{split}_y.npy", np.concatenate(labels), allow_pickle=False)
    if factors:
        np.save(folder / f"{split}_f.npy", np.concatenate(factors), allow_pickle=False)
    pixels = np.prod(x.shape[1:-1]) * count
    mean = total / pixels
    variance = np.maximum(square / pixels - mean**2, 0.0)
    return {
        "num_examples": count,
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
    }


def _write_header(f, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(f, header)


def _sha256(path: pathlib.Path) -> str:
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _damaged(folder: pathlib.Path, what: str) -> DataError:
    return DataError(
        what,
        f"cache {folder}",
        f"delete the folder {folder}; it is rebuilt on the next run",
    )


def _open(folder: pathlib.Path) -> Cached:
    try:
        meta = sealed.read(folder / META)
        files = {name: (f["bytes"], f["sha256"]) for name, f in meta["files"].items()}
        version, _ = meta["format"], meta["splits"]["train"]["mean"]
    except sealed.Damaged as error:
        raise _damaged(folder, f"{META} is damaged: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, f"{META} cannot be read ({error!r})") from None
    if version != FORMAT:
        raise _damaged(folder, f"{META} has format {version}, not {FORMAT}")
    arrays = {}
    for name in (f"{split}_{part}" for split in SPLITS for part in "xyf"):
        path = folder / f"{name}.npy"
        if path.name not in files:
            if name.endswith("_x"):
                raise _damaged(folder, f"{META} does not list {path.name}")
            continue
        arrays[name] = _open_array(path, *files[path.name])
    return Cached(arrays, meta)


def _open_array(path: pathlib.Path, size: int, sha256: str) -> np.ndarray:
    folder = path.parent
    try:
        if path.stat().st_size != size:
            raise _damaged(
                folder, f"{path.name} has {path.stat().st_size} bytes, not {size}"
            )
        if _sha256(path) != sha256:
            raise _damaged(folder, f"{path.name} does not match its SHA-256")
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{path.name} cannot be read ({error})") from error
