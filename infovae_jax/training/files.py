"""Files of a run: written as a whole, on the disk when that is said."""

import contextlib
import itertools
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from infovae_jax.config import sealed
from infovae_jax.data import leftovers

TEMPORARY = ".tmp"


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a text file: a kill or a power cut leaves the old or the new one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    temporary.unlink(missing_ok=True)
    # Made here and nowhere else: a link of that name would lead the text elsewhere.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        handle = os.open(temporary, flags, 0o666)
        # A page may name a file of bytes that are no letters; JSON escapes by itself.
        options = {"encoding": "utf-8", "errors": "backslashreplace"}
        with open(handle, "w", **options) as stream, leftovers.held(temporary):
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = str(path)  # a write by itself does not know
        raise
    sync(path.parent)


@contextlib.contextmanager
def writing_in(folder: pathlib.Path) -> Iterator[None]:
    """Gives the folder's name to an error of writing there that names no file.

    A write, a flush and a sync do not know their file; who reads the error wants to
    know whose disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(folder)
        raise


def outlet(path: pathlib.Path) -> pathlib.Path:
    """The path of a file or folder to be written; a link there is taken away.

    It may lead out of the folder, which may be somebody else's.
    """
    if path.is_symlink():
        path.unlink()
    return path


def sync(path: pathlib.Path) -> None:
    """Returns when a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_record(path: pathlib.Path, record: dict[str, Any]) -> None:
    """Writes JSON with a check value (see `config.sealed`) by `write_atomically`."""
    write_atomically(path, json.dumps(sealed.seal(record), indent=2) + "\n")


def free_name(path: pathlib.Path) -> pathlib.Path:
    """The path, or with -1, -2, ... the first at which nothing is."""
    names = (f"{path.name}-{n}" if n else path.name for n in itertools.count())
    return next(path.with_name(n) for n in names if not path.with_name(n).exists())
