"""Training without a folder: the same blocks of steps, remembered and not written."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.errors import NonFiniteError
from infovae_jax.training import blocks, loop, metrics, sharding, train_step
from infovae_jax.training.progress import Progress
from infovae_jax.training.run import Run

_WHERE = "training in memory"
_BOUND = "test/elbo"


class Fitted(NamedTuple):
    """What training gave.

    Attributes:
      params: arrays of the host, running statistics included.
      history: name -> `[epochs]`, means over the steps of each epoch; NaN where a
        figure was not measured in that epoch.
      epochs: passes over the data that were made.
      reason: why it ended, in words.
    """

    params: Any
    history: dict[str, np.ndarray]
    epochs: int
    reason: str


class _Memory:
    """The outlet of a run in memory: rows, and the best parameters where asked."""

    def __init__(self, patience: int | None, steps_per_epoch: int):
        self.rows: list[dict[str, float]] = []
        self.best, self.best_params = (-np.inf, 0), None
        self._patience, self._steps = patience, steps_per_epoch

    def keep(self, last, row, state, due, stop) -> bool:
        """Remembers the best state; True where the bound has risen long ago."""
        del due, stop
        if self._patience is None or _BOUND not in row:
            return False
        epoch = last // self._steps
        if row[_BOUND] > self.best[0]:
            self.best = row[_BOUND], epoch
            self.best_params = sharding.to_host(train_step.variables(state))
        return epoch - self.best[1] >= self._patience


def fit(
    run: Run,
    patience: int | None = None,
    show: Callable[[dict], None] | None = None,
    start: Any = None,
) -> Fitted:
    """Trains a run from its first step to its end, in memory.

    The bits are those of `loop.train` with the same config and data.

    Args:
      run: from `open_run`; its test split, where there is one, is held out for the
        bound `test/elbo` in the history.
      patience: epochs after which training ends where that bound has not risen, with
        the parameters that it was highest for; None: never.
      show: takes each row of metrics as it comes.
      start: parameters to start from, statistics included; None: new ones of the seed.

    Raises:
      ConfigError: `start` is of other networks.
      NonFiniteError: the loss or a parameter left the numbers.
    """
    mesh = run.make_mesh()
    program = loop.single_program(run, mesh)
    memory = _Memory(patience, run.steps_per_epoch)

    def remember(row):
        memory.rows.append(row)
        if show is not None:
            show(row)

    state = program.init()
    if start is not None:
        state = train_step.with_variables(state, start)
    state = sharding.put_tree(state, program.shardings)
    outlet = blocks.Outlet(
        _WHERE, remember, lambda what: None, lambda: False, memory.keep
    )
    try:
        state = blocks.run_blocks(run, program, state, outlet)
        step = blocks.steps_done(state)
        params = sharding.to_host(train_step.variables(state))
        metrics.check_finite_state(params, step, _WHERE)
    except NonFiniteError as error:
        fix = metrics.FROM_THE_START
        raise NonFiniteError(error.what, error.where, fix) from None
    epochs, total = step // run.steps_per_epoch, run.config.train.num_epochs
    reason = f"all {total} epochs done"
    if patience is not None:
        params, (bound, best) = memory.best_params, memory.best
        if params is None:
            raise NonFiniteError(
                "the bound of the rows that were held out was never a number",
                _WHERE,
                "look for values far from all others, or train without early stopping",
            )
        reason += f"; best held-out bound {bound:.4g} nats at epoch {best}, kept"
    if epochs < total:
        reason = (
            f"stopped early at epoch {epochs} of {total}: the held-out bound has not "
            f"risen since epoch {best} ({bound:.4g} nats), which is kept"
        )
    params = jax.tree.map(np.asarray, params)
    return Fitted(params, per_epoch(memory.rows, run.steps_per_epoch), epochs, reason)


def per_epoch(rows: list[dict], steps_per_epoch: int) -> dict[str, np.ndarray]:
    """Rows of metrics as one table with a row an epoch.

    Args:
      rows: each with `step`, the last one of its block, and figures over the block.
      steps_per_epoch: of the run.

    Returns:
      name -> `[epochs]`, 'epoch' first: means over the blocks that ended in the epoch.
    """
    numbers = [-(-int(row["step"]) // steps_per_epoch) for row in rows]
    count = max(numbers, default=0)
    names = dict.fromkeys(name for row in rows for name in row)
    table = {"epoch": np.arange(1, count + 1)}
    for name in names:
        if name in ("step", "epoch"):
            continue
        sums, counts = np.zeros(count), np.zeros(count)
        for number, row in zip(numbers, rows, strict=True):
            if name in row:
                sums[number - 1] += row[name]
                counts[number - 1] += 1
        table[name] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return table


def make_progress(run: Run) -> Progress:
    """The bar, or the lines, of a run from its first step."""
    total = run.config.train.num_epochs * run.steps_per_epoch
    compiles = not run.keeps(*loop.program_key(run, run.make_mesh()))
    return Progress(0, total, run.steps_per_epoch, compiles, tell_start=False)
