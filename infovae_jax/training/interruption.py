"""SIGINT and SIGTERM as a wish to stop at the next place where that loses nothing."""

import pathlib
import signal

from infovae_jax.errors import Interrupted
from infovae_jax.training import processes


class SignalGuard:
    """Turns SIGINT and SIGTERM into a wish to stop at the next dispatch."""

    def __init__(self):
        self.signal = None
        self._previous = {}

    def __enter__(self):
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        except ValueError:
            pass  # not the main thread: the host program owns the signals
        return self

    def __exit__(self, *exc_info):
        for number, handler in self._previous.items():
            # None: the handler was set from C, by JAX's service for processes.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def agreed(self) -> bool:
        """Whether to stop: this process was told so, or another one was."""
        number = processes.agreed(int(self.signal or 0))
        if number:  # else one may have come while the processes agreed: next time
            self.signal = signal.Signals(number)
        return bool(number)

    def _note(self, number, frame):
        del frame
        if self.signal is not None:  # the second Ctrl-C does not wait
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    def interrupted(self, workdir: pathlib.Path, step: int) -> Interrupted:
        """The error that ends the run, with the signal's exit code."""
        return Interrupted(
            f"stopped by {self.signal.name}, saved at step {step}",
            str(workdir),
            "run the same command to go on",
            exit_code=128 + int(self.signal),
        )
