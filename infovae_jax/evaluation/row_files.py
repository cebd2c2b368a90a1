"""Rows of results into a file as they come: `.csv`, `.parquet` or `.npz`.

A file gets its name when it is whole. None of the writers holds more than a part.
"""

import contextlib
import csv
import glob
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from infovae_jax import config as config_lib
from infovae_jax.data import cache, leftovers, tables
from infovae_jax.errors import SIGNAL_ENDING, ConfigError, StorageError

Table = dict[str, np.ndarray]
_FLAG = "--output"


def check(
    path: pathlib.Path, endings: Iterable[str] = (), run: str | None = None
) -> None:
    """Raises ConfigError unless a file of these endings, or rows, can be written.

    Nor where a file of `run`'s folder, or its data, would be overwritten.
    """
    endings = tuple(endings) or tuple(_WRITERS)
    if path.suffix.lower() not in endings:
        raise ConfigError(
            f"unknown file type '{path.suffix}'",
            f"{_FLAG}={path}",
            f"end it with {', '.join(endings)}",
        )
    if not path.parent.is_dir():
        raise ConfigError(f"no folder '{path.parent}'", _FLAG, "make it")
    if path.is_dir():
        what = "a folder of this name is there"
        raise ConfigError(what, f"{_FLAG}={path}", "name another")
    if path.suffix.lower() == ".parquet":
        tables.require(("pyarrow",), "Parquet files")
    if run:
        _check_outside(path, run)


def check_apart(
    targets: Iterable[pathlib.Path], source: pathlib.Path, what: str = "the input"
) -> None:
    """Raises ConfigError where a file to be written is one that is read."""
    for target in targets:
        if target.exists() and source.exists() and target.samefile(source):
            told = f"{what} would be overwritten"
            raise ConfigError(told, f"{_FLAG}={target}", "name another")


def _check_outside(target: pathlib.Path, run: str) -> None:
    """Raises ConfigError where a file that is there is one of the run, or its data."""
    if not target.exists():
        return
    if target.resolve().is_relative_to(pathlib.Path(run).resolve()):
        what = "a file in the run's own folder would be overwritten"
        raise ConfigError(what, f"{_FLAG}={target}", "name another")
    try:
        config = config_lib.from_json((pathlib.Path(run) / "config.json").read_text())
        source = cache.expanded(config.data.source)
    except (OSError, ValueError, AttributeError, TypeError, ConfigError):
        return  # said where the run is opened
    check_apart([target], source, "the training data of the run")


def verb(target: pathlib.Path) -> str:
    """What to say of a file that is going to be written."""
    return "replaced" if target.exists() else "wrote"


def write(path: pathlib.Path, parts: Iterable[Table]) -> int:
    """Writes parts of one table, name -> `[m]` or `[m, k]`; returns how many rows.

    In `.npz` an array stays one; in a table its columns are called name_0, name_1, ...

    Raises:
      StorageError: the disk is full, or the folder cannot be written.
    """
    check(path)
    with whole(path) as temporary:
        return _WRITERS[path.suffix.lower()](temporary, parts)


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where to write a file that gets its name, `path`, when it is whole.

    Raises:
      StorageError: the disk is full, or the folder cannot be written.
    """
    SIGNAL_ENDING.stage(f"while {path.name} was written", f"{_FLAG}={path}")
    prefix = f".{path.name}-infovae-"
    leftovers.sweep(path.parent, f"{glob.escape(prefix)}*")
    try:
        with (
            tempfile.TemporaryDirectory(
                prefix=f"{prefix}{os.getpid()}-", dir=path.parent
            ) as folder,
            leftovers.held(pathlib.Path(folder)),
        ):
            temporary = pathlib.Path(folder) / path.name
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"cannot write: {error.strerror or error}",
            f"{_FLAG}={path}",
            "free some space, or name another folder",
        ) from error


def write_arrays(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An `.npz` of arrays of any names: `numpy.savez` knows none called 'file'."""
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        _add_arrays(archive, arrays)


def _add_arrays(archive: zipfile.ZipFile, arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, np.asarray(array))


def flat(table: Table) -> Table:
    """The same with a name for each column of an array `[m, k]`."""
    found = {}
    for name, values in table.items():
        if values.ndim == 1:
            found[name] = values
        else:
            found |= {f"{name}_{i}": values[:, i] for i in range(values.shape[1])}
    return found


def _texts(values: np.ndarray) -> list[Any]:
    """As a CSV file has them: the shortest text that is read back as the same."""
    plain = values.dtype.kind in "iOU"
    return (values if plain else values.astype(str)).tolist()


def _csv(path: pathlib.Path, parts: Iterable[Table]) -> int:
    count = 0
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for part in map(flat, parts):
            if not count:
                writer.writerow(part)
            columns = [_texts(values) for values in part.values()]
            writer.writerows(zip(*columns, strict=True))
            count += len(columns[0])
    return count


def _parquet(path: pathlib.Path, parts: Iterable[Table]) -> int:
    import pyarrow
    from pyarrow import parquet

    count, writer = 0, None
    try:
        for part in map(flat, parts):
            table = pyarrow.table({k: pyarrow.array(v) for k, v in part.items()})
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
            count += len(table)
    finally:
        if writer is not None:
            writer.close()
    return count


def _npz(path: pathlib.Path, parts: Iterable[Table]) -> int:
    """Each array grows in a file of its own, and all are put together at the end."""
    files, headers, texts, count = {}, {}, {}, 0
    with contextlib.ExitStack() as opened:
        for part in parts:
            for name, values in part.items():
                if values.dtype.kind in "OU":  # as wide as the longest of them all
                    texts.setdefault(name, []).extend(values.tolist())
                    continue
                if name not in files:
                    files[name] = opened.enter_context(
                        tempfile.TemporaryFile(dir=path.parent)
                    )
                    headers[name] = values.dtype, values.shape[1:]
                files[name].write(np.ascontiguousarray(values).data)
            count += len(next(iter(part.values())))
        with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
            _add_arrays(archive, {k: np.array(v, str) for k, v in texts.items()})
            for name, file in files.items():
                dtype, shape = headers[name]
                header = {
                    "descr": np.lib.format.dtype_to_descr(dtype),
                    "fortran_order": False,
                    "shape": (count, *shape),
                }
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array_header_1_0(entry, header)
                    file.seek(0)
                    shutil.copyfileobj(file, entry)
    return count


_WRITERS = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}
