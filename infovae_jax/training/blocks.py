"""The blocks of steps of a run, and what is read between them.

Whoever trains gives `run_blocks` a `Program` and an `Outlet`: `loop.train` one that
writes a folder, `in_memory.fit` one that only remembers.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from infovae_jax.errors import MetricError, NonFiniteError
from infovae_jax.training import metrics, processes, train_step
from infovae_jax.training.run import Run
from infovae_jax.types import TrainState

# Optimiser steps of one program between two looks at signals and figures.
MAX_BLOCK = 100
# Seconds that the host can tell apart from those of the block before, and below which
# it cannot tell anything.
TIMED, UNTIMED = 0.1, 1e-3


def block_length(config: ConfigDict, steps_per_epoch: int) -> int:
    """Steps of a block, and between rows of metrics."""
    return config.train.log_every or min(steps_per_epoch, MAX_BLOCK)


def cut_blocks(start: int, total: int, length: int) -> Iterator[tuple[int, int]]:
    """Cuts steps start..total at the multiples of `length`, wherever it starts."""
    first = start
    while first < total:
        last = min(total, (first // length + 1) * length)
        yield first, last
        first = last


def passes(first: int, last: int, total: int, period: int) -> bool:
    """Whether a multiple of `period` steps, or the end, lies in (first, last]."""
    return last == total or last // period > first // period


class Dispatched(NamedTuple):
    """Steps first..last-1, given to the devices at the time `began`.

    CPUs may do a program's work before they say that they took it; `ended` is then
    when that was, and None as long as the block was not seen to be done.
    """

    first: int
    last: int
    means: Any
    began: float
    ended: float | None = None

    def looked_at(self) -> "Dispatched":
        """The block, ended now if it is done."""
        return self._replace(ended=time.perf_counter()) if self._is_done() else self

    def before(self, following: "Dispatched") -> "Dispatched":
        """The block, ended when the one after it began if it is done by now."""
        done = following.ended is not None or self._is_done()
        return self._replace(ended=self.ended or following.began) if done else self

    def _is_done(self) -> bool:
        return all(leaf.is_ready() for leaf in jax.tree.leaves(self.means))


class Reader:
    """Waits for the figures of dispatched blocks, in their order.

    A block may be done before the one before it was read: what is shorter than TIMED
    shares its time with what came just before. The first holds the compiling, and is
    shared by a second one only that seems to have taken no time.

    Args:
      to_row: what a block gives -> what a row of `metrics.jsonl` holds of it.
      where: names the run in an error.
      steps_per_epoch: turns steps into epochs.
      examples_per_step: of all members of a population.
    """

    def __init__(
        self,
        to_row: Callable[[Any], dict],
        where: str,
        steps_per_epoch: int,
        examples_per_step: int,
    ):
        self._to_row, self._where = to_row, where
        self._steps_per_epoch = steps_per_epoch
        self._examples_per_step = examples_per_step
        self._idle_since = 0.0
        self._pool = self._first = (0.0, 0.0)  # examples, seconds

    def row(self, block: Dispatched) -> dict[str, float]:
        """The block's row of `metrics.jsonl`.

        Raises:
          NonFiniteError: the loss left the numbers.
        """
        row = {"step": block.last, "epoch": block.last / self._steps_per_epoch}
        row |= self._to_row(block.means)
        metrics.check_finite(row, self._where)
        # A block given out ahead began when the one before it was done.
        began = max(block.began, self._idle_since)
        self._idle_since = block.ended or time.perf_counter()
        examples = (block.last - block.first) * self._examples_per_step
        row["time/examples_per_second"] = self._rate(examples, began)
        return row

    def _rate(self, examples: int, began: float) -> float:
        seconds = self._idle_since - began
        if not self._first[0]:
            self._first = (examples, seconds)
            return examples / max(seconds, 1e-9)
        pool = self._pool
        if not pool[0] and seconds < UNTIMED:
            pool = self._first
        if seconds < TIMED:
            examples, seconds = examples + pool[0], seconds + pool[1]
        # Old blocks leave, so that a change of pace shows.
        kept = min(1.0, 2 * TIMED / max(seconds, 1e-9))
        self._pool = (kept * examples, kept * seconds)
        return examples / max(seconds, 1e-9)


class Program(NamedTuple):
    """What `train` runs: the steps of one run, or of all members of a population.

    Attributes:
      init: `init() -> state`, pure.
      shardings: of the leaves of the state, or one of all.
      advance: `advance(cuts)` yields each block `(first, last)` of steps with a
        function `state -> (state, metrics)` that takes them; the state is donated.
      bound: `bound(params) -> {'test/elbo', 'test/<term>', ...}`, or None where there
        is no example to measure it on.
      row: metrics or bound -> what a row of `metrics.jsonl` holds of them.
      num_members: runs in the program.
      about: what manifests of checkpoints hold of it.
    """

    init: Callable[[], TrainState]
    shardings: Any
    advance: Callable
    bound: Callable | None
    row: Callable
    num_members: int = 1
    about: Mapping[str, Any] = {}


class Outlet(NamedTuple):
    """Where `run_blocks` gives what it has, and by what it is ended.

    Attributes:
      where: names the run in an error.
      show: takes each row of metrics, once.
      feed: is told what work comes next.
      stop: whether somebody wishes the run to stop after this block.
      keep: `keep(last, row, state, due, stop)`, after a block whose figures were read:
        saves or remembers the state, `due` if it is time to; True ends the run.
      took: is told after each block that there is work to save.
    """

    where: str
    show: Callable[[dict], None]
    feed: Callable[[str], None]
    stop: Callable[[], bool]
    keep: Callable[..., bool]
    took: Callable[[], None] = lambda: None


def steps_done(state: TrainState) -> int:
    """The step of a state, of one run or of all members."""
    return int(np.ravel(state.step)[0])


def run_blocks(
    run: Run, program: Program, state: TrainState, outlet: Outlet
) -> TrainState:
    """Takes the steps that a state has before it, block by block.

    Returns:
      The final state, or the one after which `outlet.keep` was content.

    Raises:
      NonFiniteError: the loss left the numbers.
    """
    config = run.config
    start, total = steps_done(state), config.train.num_epochs * run.steps_per_epoch
    cuts = cut_blocks(start, total, block_length(config, run.steps_per_epoch))
    examples = config.train.batch_size * program.num_members
    reader = Reader(program.row, outlet.where, run.steps_per_epoch, examples)
    several = processes.several()
    ahead = None  # what the devices work on while the block before is read
    for (first, last), step_block in program.advance(cuts):
        outlet.feed(f"the work from step {first} to {last}")
        began = time.perf_counter()
        state, means = step_block(state)
        outlet.took()
        block = Dispatched(first, last, means, began).looked_at()
        if ahead is not None:
            outlet.show(reader.row(ahead.before(block)))
        ahead = block
        measured, due = (
            passes(first, last, total, epochs * run.steps_per_epoch)
            for epochs in (config.train.eval_every, config.train.checkpoint_every)
        )
        measured = measured and program.bound is not None
        # Of several processes none works ahead: on CPUs the collectives of the
        # steps could cross those by which the processes agree.
        row = reader.row(ahead) if several else None
        stop = outlet.stop()
        if not (several or measured or due or stop):
            continue
        # Read before anything else sees the state: it may not be finite.
        row, ahead = row or reader.row(ahead), None
        if measured:
            bound = _measure(program, state, last, outlet.where)
            row = metrics.joined(row, bound)
        outlet.show(row)
        if outlet.keep(last, row, state, due, stop):
            break
    return state


def _measure(program: Program, state: TrainState, step: int, where: str) -> dict:
    """What a row holds of the bound; a divergence is the model's, not an example's."""
    try:
        return program.row(program.bound(train_step.variables(state)))
    except (MetricError, NonFiniteError) as error:
        raise metrics.diverged(f"{error.what}, by step {step}", where) from None
