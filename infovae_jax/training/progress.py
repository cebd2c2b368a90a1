"""What a training run shows on stderr while it goes on."""

import shutil
import sys
import time

from tqdm import tqdm

from infovae_jax.training import processes

WIDTH = 80
COMPILING = "compiling; the first run of a config waits longest, as programs are kept"
# Figures that are shown, in this order, by the name they have there.
SHOWN = {
    "loss": "loss",
    "test/elbo": "test elbo",
    "assignment/accuracy": "accuracy",
}
# Of a run without a terminal: how many lines at most, and seconds between two.
MAX_LINES, SECONDS = 20, 2.0


class Progress:
    """A bar with the time left on a terminal or in a notebook, else a few plain lines.

    Every evaluation keeps a line above the bar. Without a terminal there are at most
    MAX_LINES of them, however long the run.

    Args:
      start: step before the first one shown.
      total: the last step.
      steps_per_epoch: of the run.
      compiles: whether there is a compiler to wait for, which is said.
      tell_start: whether it is said how long the process took to the first step.
    """

    def __init__(
        self,
        start: int,
        total: int,
        steps_per_epoch: int,
        compiles: bool = True,
        tell_start: bool = True,
    ):
        self._total, self._steps_per_epoch = total, steps_per_epoch
        self._bar = None
        self._last_line, self._last_step = time.monotonic() - 60.0, None
        self._said_start = not tell_start
        self._latest: dict[str, float] = {}
        if not processes.is_first():
            return
        if compiles and start < total:
            print(COMPILING, file=sys.stderr, flush=True)
        if sys.stderr.isatty() or in_notebook():
            self._bar = tqdm(
                total=total,
                initial=start,
                ncols=min(WIDTH, shutil.get_terminal_size().columns),
                nrows=20,  # some terminals say that they have none
                bar_format="{desc} {percentage:3.0f}%|{bar}| {remaining} left{postfix}",
            )
            self._bar.set_description_str(self._epochs(start), refresh=False)

    def show(self, row: dict[str, float]) -> None:
        """Shows one row of metrics, and once how long the start took."""
        if not self._said_start:
            self._said_start = True
            self._say(f"time to first step: {seconds_since_start():.1f} s")
        found = {label: row[name] for name, label in SHOWN.items() if name in row}
        self._latest |= found
        measured = len(found) > 1
        if self._bar is not None:
            if measured:
                self._say(self._line(row, found))
            figures = " ".join(f"{k} {v:.4g}" for k, v in self._latest.items())
            self._bar.set_description_str(self._epochs(row["step"]), refresh=False)
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.update(row["step"] - self._bar.n)
        elif self._is_due(row["step"], measured):
            self._say(self._line(row, found))

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()

    def _epochs(self, step: float) -> str:
        done, total = (s / self._steps_per_epoch for s in (step, self._total))
        return f"epoch {done:.3g}/{total:.3g}"

    def _line(self, row: dict[str, float], found: dict[str, float]) -> str:
        figures = " ".join(f"{name} {value:.4g}" for name, value in found.items())
        rate = row["time/examples_per_second"]
        step = f"step {int(row['step'])}/{self._total}"
        return f"{step} epoch {row['epoch']:.4g} {figures} {rate:.0f} ex/s"

    def _is_due(self, step: float, measured: bool) -> bool:
        """Whether a plain line is worth its place."""
        now, last = time.monotonic(), self._last_step
        far = last is None or step - last >= self._total / MAX_LINES
        old = now - self._last_line
        due = far and old >= SECONDS and (measured or last is None or old >= 60.0)
        if not due and step < self._total:
            return False
        self._last_line, self._last_step = now, step
        return True

    @staticmethod
    def _say(text: str) -> None:
        tqdm.write(text, file=sys.stderr)


def in_notebook() -> bool:
    """Whether this is the process behind a notebook, whose cells show bars too."""
    module = sys.modules.get("IPython")  # a kernel has imported it
    ask = getattr(module, "get_ipython", None)  # none while it is being imported
    return ask is not None and hasattr(ask(), "kernel")


def seconds_since_start() -> float:
    """Age of this process, the start of the interpreter included."""
    import psutil

    return time.time() - psutil.Process().create_time()
