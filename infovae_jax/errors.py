"""Errors that a user can cause, each with its exit code.

Every one of them ends a command with a single line on stderr:
`error: <what>; <where>; <what to do>`. Anything else that escapes is a bug of
ours and keeps its traceback (exit code 1).
"""

import contextlib
import difflib
import errno
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NoReturn


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
        return "error: " + printable(" ".join(text.split()))


def printable(text: str) -> str:
    """The text with all that is no plain letter as its escape.

    A file's name may hold bytes of no encoding, and sequences that a terminal obeys.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class ConfigError(UserError):
    """A wrong option, key or combination of them."""

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


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Ends a command with the line and the exit code of what a user can mend inside."""
    try:
        yield
    except KeyboardInterrupt:
        # `main` has `SIGNAL_ENDING`, which knows what is saved.
        found = Interrupted("stopped by SIGINT", "command line", "run it again", 130)
    except Exception as error:
        found = as_user_error(error)
        if found is None:
            raise
    else:
        return
    print(found.line(), file=sys.stderr)
    sys.exit(found.exit_code)


def as_user_error(error: Exception) -> UserError | None:
    """What a user can mend, of any exception; None for a bug of ours."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, OSError):
        return from_os_error(error)
    if isinstance(error, RuntimeError) and _NO_DEVICE.search(str(error)):
        return no_device(error)
    return no_memory(error)


class Stopped(KeyboardInterrupt):
    """A signal came where nothing has to be saved before the end."""

    def __init__(self, number: int):
        self.number = number
        super().__init__(signal.Signals(number).name)


class SignalEnding:
    """Ends a command by a signal with one line and exit code 128 + its number.

    Python runs the handlers between two instructions, so that an import or a
    compilation would hold them up for as long as it takes: a thread, which hears of the
    signal at once, ends the process if it is still there a little later.

    Attributes:
      guarded: a `SignalGuard` has the signals, which saves first; the thread then acts
        at the second one only.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    GRACE_SECONDS = 5.0

    def __init__(self):
        self.guarded = self._installed = False
        self._stage, self._where, self._said = "at the start", "no state yet", False

    def stage(self, what: str, where: str) -> None:
        """Notes for the line what the command does, and in which folder."""
        self._stage, self._where = what, where

    def in_training(self, step: int | None, where: str) -> None:
        """Notes that training goes on, and which step is saved; None: none yet."""
        kept = "nothing is saved yet" if step is None else f"step {step} is saved"
        self.stage(f"in training; {kept}", where)

    def install(self) -> None:
        """Takes the signals, but SIGHUP where it is ignored (as by nohup)."""
        while (heard := os.open(os.devnull, os.O_RDWR)) < 3:
            pass  # a standard stream that was closed: no file of ours takes its place
        os.close(heard)
        heard, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        for number in self.taken():
            signal.signal(number, self._handle)
        self._installed = True
        threading.Thread(target=self._watch, args=(heard,), daemon=True).start()

    def ignore(self) -> None:
        """Lets no further signal disturb the way out, where `install` took them."""
        for number in self.taken() if self._installed else ():
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(number, signal.SIG_IGN)

    def taken(self) -> list[signal.Signals]:
        """The signals that end a command here: SIGHUP not where nohup ignores it."""
        nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        return [n for n in self.SIGNALS if n != signal.SIGHUP or not nohup]

    def say(self, number: int) -> int:
        """Writes the line, once; returns the exit code."""
        self.ignore()
        if not self._said:
            self._said = True
            error = Interrupted(
                f"stopped by {signal.Signals(number).name} {self._stage}",
                self._where,
                "run the same command to go on",
                128 + number,
            )
            with contextlib.suppress(OSError):  # nobody reads it any more
                os.write(2, (error.line() + "\n").encode(errors="replace"))
        return 128 + number

    def end(self, number: int) -> NoReturn:
        """Ends the command here and now: nothing half-written is ever believed.

        An exception would be lost where Python calls the handler inside a callback
        that ignores them, such as one of the garbage collection.

        Raises:
          Stopped: there is no command, the signals belong to the host program.
        """
        if not self._installed:
            raise Stopped(number)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # in the middle of a write, or closed
                getattr(stream, "end_line", stream.flush)()  # see training.output
        os._exit(self.say(number))

    def _handle(self, number, frame) -> None:
        del frame
        self.end(number)

    def _watch(self, heard: int) -> None:
        count = 0
        while True:
            for number in os.read(heard, 64):
                count += number in self.SIGNALS
                if number not in self.SIGNALS or (self.guarded and count == 1):
                    continue
                time.sleep(self.GRACE_SECONDS)
                os._exit(self.say(number))


# Of the process; nothing happens before `install`.
SIGNAL_ENDING = SignalEnding()


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as " (did you mean 'seed'?)", or the empty string.

    Names that differ by letters' case, or by space around them, are the nearest.
    """
    alike = {text.strip().casefold(): text for text in known}
    match = difflib.get_close_matches(name.strip().casefold(), alike, n=1, cutoff=0.5)
    return f" (did you mean '{alike[match[0]]}'?)" if match else ""


def unknown(what: str, name: object, known: Iterable[str], where: str) -> ConfigError:
    """The error of a name that is none of the known ones, with the nearest of them.

    Args:
      what: what it should be one of, such as 'objective'.
      name: what was given.
      known: all that there are.
      where: the key or flag.
    """
    known = list(known)
    text = str(name)[:80]
    hint = nearest(text, known)
    return ConfigError(
        f"unknown {what} '{text}'{hint}", where, f"use one of {', '.join(known)}"
    )


# Something else lies where a file or folder of ours belongs, or none can.
_IN_THE_WAY = (
    *(errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY),
    *(errno.ELOOP, errno.ENAMETOOLONG),
)
_RIGHTS = (errno.EROFS, errno.EACCES, errno.EPERM)
_STORAGE = (
    *(errno.ENOSPC, errno.EDQUOT, *_RIGHTS),
    *(errno.EIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ESTALE),
    *_IN_THE_WAY,
)
# What JAX says where the devices that it is asked for are not there.
_NO_DEVICE = re.compile(r"(unable to initialize|unknown) backend", re.IGNORECASE)
# How tensorstore, which writes checkpoints, names the error of the system.
_OS_ERROR_CODE = re.compile(r"os_error_code='(\d+)'")


def from_os_error(error: OSError) -> StorageError | None:
    """A StorageError where a disk cannot be written, None for anything else."""
    if error.errno not in _STORAGE:
        return None
    return storage_error(error.errno, str(error.filename or "disk"))


def from_write_error(error: Exception, path: str) -> StorageError | None:
    """The same of any exception that writing to `path` raised."""
    if isinstance(error, OSError):
        return from_os_error(error) and storage_error(error.errno, path)
    found = _OS_ERROR_CODE.search(str(error))
    return storage_error(int(found[1]), path) if found else None


def no_device(error: Exception) -> ConfigError:
    """The error of devices that JAX is asked for and does not find.

    Args:
      error: of JAX, which says nothing where it asserts.
    """
    asked = os.environ.get("JAX_PLATFORMS")
    text = (str(error).splitlines() or ["jax knows none of that kind here"])[0]
    return ConfigError(
        f"no such device ({text[:160]})",
        f"JAX_PLATFORMS={asked}" if asked else "jax",
        "unset JAX_PLATFORMS" if asked else "reinstall jax for this machine",
    )


def no_memory(error: Exception) -> ConfigError | None:
    """The error of an array for which there is no room; else None."""
    of_device = isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    if not of_device and not isinstance(error, MemoryError):
        return None
    text = " ".join(str(error).split())[:160]
    return ConfigError(
        f"out of memory ({text})",
        "the memory of the device" if of_device else "the memory of the machine",
        "make config.train.batch_size, config.evaluation.batch_size or "
        "config.network smaller, or set config.data.stream",
    )


def storage_error(number: int, path: str) -> StorageError:
    """The error of the system's error number, with the bytes that are free."""
    if number in _IN_THE_WAY:
        return StorageError(
            f"cannot be used: {os.strerror(number)}",
            path,
            "move away what lies there, or name another folder or file",
        )
    first = "check its rights" if number in _RIGHTS else "free space"
    return StorageError(
        f"cannot write: {os.strerror(number)}",
        f"{path}{_free(path)}",
        f"{first} or choose another --workdir, then run the same command",
    )


def _free(path: str) -> str:
    """ " (... bytes free)" of the nearest folder that is there."""
    place = os.path.abspath(path)
    while not os.path.isdir(place) and os.path.dirname(place) != place:
        place = os.path.dirname(place)
    try:
        return f" ({shutil.disk_usage(place).free} bytes free)"
    except OSError:
        return ""


def silence_alarms() -> None:
    """Keeps XLA from taking a slow compilation for a fault; before JAX is imported.

    It says so in a box of stars at the level of errors.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
