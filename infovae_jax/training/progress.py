"""What a training run shows on stderr while it goes on."""

import sys
import time

from tqdm import tqdm

from infovae_jax.training import processes

# Shown beside the terms of the loss.
ALWAYS = ("loss", "test/elbo", "assignment/accuracy")


class Progress:
    """A bar with ETA and the terms where stderr is a terminal, else plain lines.

    Args:
      start: step before the first one shown.
      total: the last step.
      steps_per_epoch: of the run.
      tell_start: whether it is said how long the process took to the first step.
    """

    def __init__(
        self, start: int, total: int, steps_per_epoch: int, tell_start: bool = True
    ):
        self._total, self._steps_per_epoch = total, steps_per_epoch
        self._bar = None
        self._last_line = time.monotonic() - 60.0
        self._said_start = not tell_start
        if processes.is_first() and sys.stderr.isatty():
            self._bar = tqdm(
                total=total, initial=start, unit="step", dynamic_ncols=True
            )

    def show(self, row: dict[str, float]) -> None:
        """Shows one row of metrics, and once how long the start took."""
        if not self._said_start:
            self._said_start = True
            text = f"time to first step: {seconds_since_start():.1f} s"
            tqdm.write(text, file=sys.stderr)
        terms = {
            name.removeprefix("term/"): value
            for name, value in row.items()
            if name.startswith("term/") or name in ALWAYS
        }
        text = " ".join(f"{name} {value:.4g}" for name, value in terms.items())
        if self._bar is not None:
            self._bar.set_postfix_str(f"{text} nats", refresh=False)
            self._bar.update(row["step"] - self._bar.n)
            return
        # Plain lines at most every two seconds, so that logs stay readable.
        now = time.monotonic()
        if now - self._last_line < 2.0 and row["step"] < self._total:
            return
        self._last_line = now
        rate = row["time/examples_per_second"]
        print(
            f"step {int(row['step'])}/{self._total} epoch {row['epoch']:.2f} "
            f"{text} nats ({rate:.0f} examples/s)",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()


def seconds_since_start() -> float:
    """Age of this process, the start of the interpreter included."""
    import psutil

    return time.time() - psutil.Process().create_time()
