"""What ends training early: a signal, where that loses nothing, or a hang."""

import pathlib
import signal
import threading

from infovae_jax.errors import SIGNAL_ENDING, HangError, Interrupted
from infovae_jax.training import processes


class SignalGuard:
    """Turns SIGINT, SIGTERM and SIGHUP into a wish to stop at the next dispatch.

    Attributes:
      signal: that came, or None.
      to_save: whether there is work since the last checkpoint; without any, a signal
        need not wait.
    """

    def __init__(self):
        self.signal = None
        self.to_save = True
        self._previous = {}

    def __enter__(self):
        try:
            for number in SIGNAL_ENDING.taken():
                self._previous[number] = signal.signal(number, self._note)
        except ValueError:
            pass  # not the main thread: the host program owns the signals
        SIGNAL_ENDING.guarded = bool(self._previous)
        return self

    def __exit__(self, *exc_info):
        SIGNAL_ENDING.guarded = False
        for number, handler in self._previous.items():
            # None: the handler was set from C, by JAX's service for processes.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self.signal is not None:
            SIGNAL_ENDING.ignore()

    def take(self) -> None:
        """Notes that there is work since the last checkpoint."""
        self.to_save = True

    def agreed(self) -> bool:
        """Whether to stop: this process was told so, or another one was."""
        number = processes.agreed(int(self.signal or 0))
        if number:  # else one may have come while the processes agreed: next time
            self.signal = signal.Signals(number)
        return bool(number)

    def _note(self, number, frame):
        del frame
        # The second one does not wait, nor does the first where nothing is lost.
        if self.signal is not None or not self.to_save:
            SIGNAL_ENDING.end(number)
        self.signal = signal.Signals(number)

    def interrupted(self, workdir: pathlib.Path, step: int) -> Interrupted:
        """The error that ends the run, with the signal's exit code."""
        return Interrupted(
            f"stopped by {self.signal.name}, saved at step {step}",
            str(workdir),
            "run the same command to go on",
            exit_code=128 + int(self.signal),
        )


class Watchdog:
    """Ends the process with exit code 7 where the work does not go on.

    Args:
      seconds: the longest time between two calls of `feed`; 0: no limit. While the
        process is stopped (Ctrl-Z) none passes.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._what = "the first step"
        # Seconds in which the process ran: its watcher's, and those at the last `feed`.
        self._awake = self._fed = 0.0
        self._stop = threading.Event()
        self._thread = None

    def feed(self, what: str) -> None:
        """Notes that work goes on; `what` comes next."""
        self._what, self._fed = what, self._awake

    def __enter__(self):
        self.feed(self._what)
        if self._seconds:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        period = min(1.0, self._seconds / 4)
        while not self._stop.wait(period):
            # No clock: one would go on while the process is stopped.
            self._awake += period
            if self._awake - self._fed > self._seconds:
                processes.end_now(
                    HangError(
                        f"{self._what} did not end in {self._seconds:g} s",
                        "config.train.hang_seconds",
                        "run the same command to go on from the last checkpoint, or "
                        "raise the limit",
                    )
                )
