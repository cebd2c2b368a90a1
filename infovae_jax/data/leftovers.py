"""What a killed process left half written, and how it is told from work in progress.

A file or folder in the making holds its process's number in its name and is locked by
it. It is a leftover where no process of that number lives here and nobody holds the
lock: the number alone may be of another host or container, and the lock alone is not
there yet in the first moment.
"""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import time
from collections.abc import Iterator

_NUMBER = re.compile(r"[.-](\d+)[.-]")
# Of names without a number, as older versions gave them.
_OLD_SECONDS = 3600


@contextlib.contextmanager
def held(path: pathlib.Path) -> Iterator[None]:
    """Keeps `sweep` of other processes from a file or folder that this one makes."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def sweep(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """Deletes the leftovers among the entries that match; returns their paths."""
    swept = []
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if _is_left(path):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                swept.append(path)
    return swept


def _is_left(path: pathlib.Path) -> bool:
    if path.is_symlink():
        return True  # no work of ours
    number = _NUMBER.search(path.name)
    if number is None and time.time() - path.stat().st_mtime < _OLD_SECONDS:
        return False
    if number is not None and _lives(int(number[1])):
        return False
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
