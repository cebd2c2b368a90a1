"""Errors that a user can cause, each with its exit code.

Every one of them ends a command with a single line on stderr:
`error: <what>; <where>; <what to do>`. Anything else that escapes is a bug of
ours and keeps its traceback (exit code 1).
"""

import difflib
import errno
from collections.abc import Iterable


class UserError(Exception):
    """Base of all errors that carry an exit code and a one-line message.

    Args:
      what: what is wrong, with the offending value.
      where: the config key, file or array in which it was found.
      fix: what the user can do about it.
    """

    exit_code = 2

    def __init__(self, what: str, where: str, fix: str):
        self.what, self.where, self.fix = what, where, fix
        super().__init__(self.line())

    def line(self) -> str:
        """The message as one line, whatever its parts hold."""
        text = f"{self.what}; {self.where}; {self.fix}"
        return "error: " + " ".join(text.split())


class ConfigError(UserError):
    """A wrong option, config.or combination of them."""

    exit_code = 2


class DataError(UserError):
    """Data that are missing, damaged or outside what the model assumes."""

    exit_code = 3


class MetricError(DataError):
    """A metric was given NaN or infinity."""

    exit_code = 5


class CheckpointError(UserError):
    """A checkpoint or model file that cannot be trusted or does not fit."""

    exit_code = 4


class NonFiniteError(UserError):
    """A loss or a parameter became NaN or infinite."""

    exit_code = 5


class StorageError(UserError):
    """The disk is full or a folder cannot be written."""

    exit_code = 6


class HangError(UserError):
    """A step that does not end, or another process that is gone."""

    exit_code = 7


class Interrupted(UserError):
    """A signal ended the run after its state was saved."""

    def __init__(self, what: str, where: str, fix: str, exit_code: int):
        super().__init__(what, where, fix)
        self.exit_code = exit_code


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as " (did you mean 'seed'?)", or the empty string."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{match[0]}'?)" if match else ""


def unknown(what: str, name: object, known: Iterable[str], where: str) -> ConfigError:
    """The error of a name that is none of the known ones, with the nearest of them.

    Args:
      what: what it should be one of, such as 'objective'.
      name: what was given.
      known: all that there are.
      where: the config.or flag.
    """
    known = list(known)
    text = str(name)[:80]
    hint = nearest(text, known)
    return ConfigError(
        f"unknown {what} '{text}'{hint}", where, f"use one of {', '.join(known)}"
    )


def from_os_error(error: OSError) -> StorageError | None:
    """A StorageError for a full or read-only disk, None for anything else."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        return None
    return StorageError(
        f"cannot write: {error.strerror}",
        str(error.filename or "disk"),
        "free space or choose another --workdir, then run the same command",
    )
