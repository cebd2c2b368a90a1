"""Blocks of steps that are one program: how they are cut, given out, and read."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from infovae_jax.training import metrics

# Optimiser steps of one program between two looks at signals and figures.
MAX_STEPS = 100


def length(config: ConfigDict, steps_per_epoch: int) -> int:
    """Steps of a block, and between rows of metrics."""
    return config.train.log_every or min(steps_per_epoch, MAX_STEPS)


def cut(start: int, total: int, length: int) -> Iterator[tuple[int, int]]:
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
        row["time/examples_per_second"] = examples / (self._idle_since - began)
        return row
