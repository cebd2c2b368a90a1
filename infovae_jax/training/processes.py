"""Several processes: how they start, agree, write once and end together.

Nothing here runs in an ordinary run of one process. With several, every process runs
the same program; process 0 alone writes files and prints. A process that is lost ends
the others with exit code 7: by the error of the broken collective where it raises one
(Gloo), by the heartbeat of JAX's coordination service otherwise. JAX 0.7 may end the
process itself then, with code 1 and a reason in its log.
"""

import contextlib
import ctypes
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import numpy as np
from absl import flags
from jax.experimental import multihost_utils

from infovae_jax import errors
from infovae_jax.errors import ConfigError, HangError, UserError, from_os_error

FLAGS = flags.FLAGS
# What a runtime says when the other end of a collective or the coordinator is gone.
_LOST = re.compile(
    r"gloo|nccl|coordination|heartbeat|connection (closed|reset|refused)|unavailable"
    r"|deadline_exceeded|socket closed|broken pipe",
    re.IGNORECASE,
)
# How long a process that fails waits for the others to fail alike.
_LEAVE_SECONDS = 10.0
_RESUME = "run the same command on all processes to go on from the last checkpoint"
# The C function that SIGABRT calls must outlive its registration.
_on_abort = None


class FirstFailed(UserError):
    """Process 0 failed; the others end with its exit code."""

    def __init__(self, exit_code: int):
        super().__init__(
            "process 0 stopped", "this process is another", "see the error of process 0"
        )
        self.exit_code = exit_code


def define_flags() -> None:
    """Defines the flags by which a run of several processes is started."""
    flags.DEFINE_bool(
        "distributed",
        False,
        "one of several processes, on a TPU pod, under SLURM or Open MPI",
    )
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, elsewhere")
    flags.DEFINE_integer("num_processes", None, "how many, elsewhere", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "which one, elsewhere", lower_bound=0)
    flags.DEFINE_integer(
        "heartbeat_seconds", 60, "silence after which a process is lost", lower_bound=2
    )


def start_from_flags() -> None:
    """Joins the other processes if the flags say that there are some.

    Raises:
      ConfigError: flags that contradict one another, or no cluster to be found.
    """
    named = {
        name: FLAGS[name].value
        for name in ("coordinator", "num_processes", "process_id")
    }
    given = [name for name, value in named.items() if value is not None]
    if not FLAGS.distributed and not given:
        return
    if given and len(given) < len(named):
        missing = ", ".join(f"--{name}" for name in named if name not in given)
        raise ConfigError(
            f"{missing} missing",
            "command line",
            "give --coordinator, --num_processes and --process_id, or --distributed "
            "alone on a TPU pod, under SLURM or Open MPI",
        )
    start(*named.values(), heartbeat_seconds=FLAGS.heartbeat_seconds)


def start(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    heartbeat_seconds: int = 60,
) -> None:
    """`jax.distributed.initialize`, with faults named and losses turned into code 7.

    Args:
      coordinator: `HOST:PORT` of process 0; None (with the next two) where JAX finds
        the cluster by itself.
      num_processes: how many processes.
      process_id: which of them this is.
      heartbeat_seconds: a process silent for so long is lost, and ends the others.

    Raises:
      ConfigError: no cluster was found, or the coordinator cannot be reached.
    """
    if coordinator is not None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(
                f"'{coordinator}' is not HOST:PORT", "--coordinator", "e.g. node0:1234"
            )
        if process_id >= num_processes:
            raise ConfigError(
                f"{process_id} of {num_processes} processes",
                "--process_id",
                f"give 0 to {num_processes - 1}",
            )
    if "jax_enable_preemption_service" in jax.config.values:
        # It would catch SIGTERM before our own handler; older versions have no switch.
        jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            # A cluster in the environment must not overrule what the flags say.
            cluster_detection_method="deactivate" if coordinator else None,
            heartbeat_timeout_seconds=heartbeat_seconds,
        )
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"the processes cannot be joined ({error})",
            "--distributed",
            "give --coordinator, --num_processes and --process_id",
        ) from None
    _abort_means_lost()


def require_devices() -> None:
    """Raises ConfigError where JAX_PLATFORMS asks for devices that are not there."""
    if not os.environ.get("JAX_PLATFORMS"):
        return
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise errors.no_device(error) from None


def several() -> bool:
    """Whether this process is one of several; starts no backend in a plain run."""
    return jax.distributed.is_initialized() and jax.process_count() > 1


def is_first() -> bool:
    """Whether this process writes and prints."""
    return not several() or jax.process_index() == 0


def say(text: str) -> None:
    """Prints on process 0."""
    if is_first():
        print(text, flush=True)


def on_first(function: Callable[[], Any]) -> Any:
    """Runs a function on process 0 while the others wait.

    Returns:
      The function's result on process 0, None on the others.

    Raises:
      FirstFailed: on the others, if it raised a user's or a storage error there.
    """
    if not several():
        return function()
    result, error, code = None, None, 0
    if jax.process_index() == 0:
        try:
            result = function()
        except UserError as caught:
            error, code = caught, caught.exit_code
        except OSError as caught:
            error, code = caught, getattr(from_os_error(caught), "exit_code", 1)
    code = int(multihost_utils.broadcast_one_to_all(np.int32(code)))
    if error is not None:
        raise error
    if code:
        raise FirstFailed(code)
    return result


def from_first(function: Callable[[], Any], like: Any) -> Any:
    """The arrays that a function returns on process 0, on every process.

    Args:
      function: called on process 0 only.
      like: the pytree of shapes and types that it returns.
    """
    found = on_first(function)
    if not several():
        return found
    if found is None:
        found = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like)
    return multihost_utils.broadcast_one_to_all(found)


def agreed(number: int) -> int:
    """The largest of the processes' numbers."""
    if not several():
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def lost_process(error: Exception) -> HangError | None:
    """The error of a collective whose other end is gone, as one line; else None."""
    if not several() or not _LOST.search(str(error)):
        return None
    what = " ".join(str(error).split())[:160]
    return HangError(f"another process was lost ({what})", _whoami(), _RESUME)


def as_user_error(error: Exception) -> UserError | None:
    """`errors.as_user_error`, where another process may be gone too."""
    return errors.as_user_error(error) or lost_process(error)


def leave(code: int, at_once: bool = False) -> NoReturn:
    """Ends the process; one of several waits a little for others that end alike.

    An ordinary exit would wait minutes for processes that hang in a collective, and
    `at_once` not even for the threads of a save.
    """
    if not several() and not at_once:
        sys.exit(code)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    if several() and code != HangError.exit_code:
        thread = threading.Thread(target=_shutdown, daemon=True)
        thread.start()
        thread.join(_LEAVE_SECONDS)
    os._exit(code)


def _shutdown() -> None:
    with contextlib.suppress(RuntimeError):
        jax.distributed.shutdown()


def _whoami() -> str:
    return f"process {jax.process_index()} of {jax.process_count()}"


def end_now(error: UserError) -> NoReturn:
    """Ends the process from any thread, past whatever its main thread hangs in."""
    os.write(2, (error.line() + "\n").encode())
    os._exit(error.exit_code)


def _abort_means_lost() -> None:
    """Gives the abort by which JAX's client ends a process our exit code.

    When the coordinator dies or a heartbeat fails, a C++ thread logs the reason and
    calls abort(); Python's own signal handlers would never run.
    """
    global _on_abort
    error = HangError("another process was lost", _whoami(), _RESUME)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int)
    _on_abort = kind(lambda number: end_now(error))
    try:
        set_handler = ctypes.CDLL(None).signal
    except (AttributeError, OSError, TypeError):
        return  # no C library of this kind: the exit code is then that of abort()
    set_handler.argtypes, set_handler.restype = (ctypes.c_int, kind), ctypes.c_void_p
    set_handler(signal.SIGABRT, _on_abort)
