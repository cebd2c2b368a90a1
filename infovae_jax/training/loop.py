"""train(run, workdir): the loop over programs, their figures and checkpoints."""

import functools
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from infovae_jax.errors import MetricError, NonFiniteError
from infovae_jax.training import (
    checkpoint,
    interruption,
    metrics,
    processes,
    sharding,
    train_step,
)
from infovae_jax.training.elbo import make_bound_evaluator
from infovae_jax.training.opening import DEFAULT, Opening, read_checkpoint, set_aside
from infovae_jax.training.progress import Progress
from infovae_jax.training.run import Run
from infovae_jax.types import TrainState

Evaluator = Callable[[Any], dict[str, float]]


# Optimiser steps of one program between two looks at signals and figures.
MAX_BLOCK = 100


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


class Program(NamedTuple):
    """What `train` runs: the steps of one run, or of all members of a population.

    Attributes:
      init: `init() -> state`, pure.
      shardings: of the leaves of the state, or one of all.
      advance: `advance(cuts)` yields each block `(first, last)` of steps with a
        function `state -> (state, metrics)` that takes them; the state is donated.
      bound: `bound(params) -> {'test/elbo', 'test/<term>', ...}`.
      row: metrics or bound -> what a row of `metrics.jsonl` holds of them.
      num_members: runs in the program.
      about: what manifests of checkpoints hold of it.
    """

    init: Callable[[], TrainState]
    shardings: Any
    advance: Callable
    bound: Callable
    row: Callable
    num_members: int = 1
    about: Mapping[str, Any] = {}


def make_step(run: Run) -> train_step.TrainStep:
    """`train_step.make_train_step` of the run's objective, optimiser and weights."""
    config = run.config
    return train_step.make_train_step(
        run.objective,
        run.transform,
        train_step.make_schedules(config.weights, run.steps_per_epoch),
        config.data.binarize,
        train_step.make_targets(config.weights),
    )


def make_multi_step(run: Run) -> Callable:
    """`train_step.make_multi_step` of the run's objective, optimiser and weights."""
    return train_step.make_multi_step(make_step(run))


def single_program(
    run: Run, mesh: Mesh, evaluators: Sequence[Evaluator] = ()
) -> Program:
    """The program of one run, whose batches the devices of `mesh` share."""
    shardings = sharding.state_shardings(
        abstract_state(run), mesh, run.config.train.shard_params
    )
    evaluate_bound = make_bound_evaluator(run)

    def bound(params) -> dict[str, float]:
        # On every process alike, so that none waits for another.
        params = sharding.to_local(params)
        figures = evaluate_bound(params)
        for evaluator in evaluators:
            figures |= evaluator(params)
        return figures

    return Program(
        init=lambda: _init_state(run),
        shardings=shardings,
        advance=make_advance(run, make_step(run), mesh, shardings),
        bound=bound,
        row=lambda figures: {name: float(value) for name, value in figures.items()},
    )


def train(
    run: Run,
    workdir: pathlib.Path,
    mesh: Mesh,
    evaluators: Sequence[Evaluator] = (),
    program: Program | None = None,
    strict: bool = False,
) -> TrainState:
    """Trains to the end, from the newest checkpoint if there is one.

    Every random number and every batch is a function of (seed, step), and the
    steps are cut into the same programs whatever was interrupted, so a run that
    was killed and continued ends with the same bits. The devices do not wait for the
    host: a block's figures are read when the next one was given out.

    Args:
      run: from `open_run`.
      workdir: a folder that `claim_workdir` accepted.
      mesh: the devices that share a batch, from `sharding.make_mesh`.
      evaluators: functions of the parameters whose figures join those of the test
        bound, every `train.eval_every` epochs; of a single run.
      program: what to run; by default `single_program`.
      strict: refuse a damaged newest checkpoint; else it is set aside, and the newest
        good one is used.

    Returns:
      The final state.

    Raises:
      Interrupted: SIGINT, SIGTERM or SIGHUP; the state was saved.
      NonFiniteError: the loss left the numbers.
      CheckpointError: no checkpoint is whole, or with `strict` the newest is not.
    """
    config = run.config
    program = program or single_program(run, mesh, evaluators)
    saved = checkpoint.Checkpoints(
        workdir / "checkpoints",
        config.train.keep_checkpoints,
        {"identity": run.identity()._asdict()} | program.about,
    )
    state = _restore_or_init(program, saved, strict)
    start, total = steps_done(state), config.train.num_epochs * run.steps_per_epoch
    first_process, several = processes.is_first(), processes.several()
    every = block_length(config, run.steps_per_epoch)
    writer = metrics.MetricsWriter(workdir, start, every) if first_process else None
    if start:
        processes.say(f"resumed at step {start} of {total}")
    progress = Progress(start, total, run.steps_per_epoch)
    cuts = cut_blocks(start, total, every)
    reader = Reader(
        program.row,
        str(workdir),
        run.steps_per_epoch,
        config.train.batch_size * program.num_members,
    )

    def show(row):
        if writer is not None:
            writer.write(row)
            progress.show(row)

    try:
        with (
            interruption.SignalGuard() as guard,
            interruption.Watchdog(config.train.hang_seconds) as watchdog,
        ):
            # Others would wait for one of several processes that stopped by itself.
            guard.to_save = several
            ahead = None  # what the devices work on while the block before is read
            for (first, last), step_block in program.advance(cuts):
                watchdog.feed(f"the work from step {first} to {last}")
                began = time.perf_counter()
                state, means = step_block(state)
                guard.to_save = True
                block = Dispatched(first, last, means, began).looked_at()
                if ahead is not None:
                    show(reader.row(ahead.before(block)))
                ahead = block
                measured, due = (
                    passes(first, last, total, epochs * run.steps_per_epoch)
                    for epochs in (
                        config.train.eval_every,
                        config.train.checkpoint_every,
                    )
                )
                # Of several processes none works ahead: on CPUs the collectives of the
                # steps could cross those by which the processes agree.
                row = reader.row(ahead) if several else None
                stop = guard.agreed()
                if not (several or measured or due or stop):
                    continue
                # Read before anything else sees the state: it may not be finite.
                row, ahead = row or reader.row(ahead), None
                if measured:
                    bound = _measure(program, state, last, str(workdir))
                    row = metrics.joined(row, bound)
                show(row)
                if due or stop:
                    host = sharding.to_host(state)
                    lost = metrics.check_finite_state(
                        host, last, str(workdir), program.num_members
                    )
                    if writer is not None:
                        writer.sync()
                    processes.on_first(functools.partial(saved.save, last, host, lost))
                if stop:
                    raise guard.interrupted(workdir, last)
            if guard.agreed():
                raise guard.interrupted(workdir, total)
    finally:
        if writer is not None:
            writer.close()
        progress.close()
    return state


def _measure(program: Program, state: TrainState, step: int, where: str) -> dict:
    """What a row holds of the bound; a divergence is the model's, not an example's."""
    try:
        return program.row(program.bound(train_step.variables(state)))
    except (MetricError, NonFiniteError) as error:
        raise metrics.diverged(f"{error.what}, by step {step}", where) from None


def make_advance(run: Run, step: train_step.TrainStep, mesh: Mesh, shardings: Any):
    """`advance(cuts)` yields each block with `step_block(state) -> (state, means)`.

    The data are on the devices as a whole, or with `data.stream` come block by block;
    the state is donated.
    """
    everywhere = sharding.replicated(mesh)
    options = {"donate_argnums": 0, "out_shardings": (shardings, everywhere)}
    if run.config.data.stream:
        program = jax.jit(train_step.make_stream_step(step), **options)

        def advance(cuts):
            indices = ((block, run.batch_indices(*block)) for block in cuts)
            for block, batches in sharding.stream(run.training_data(), indices, mesh):
                yield block, lambda state, b=batches: program(state, b)

        return advance
    program = jax.jit(train_step.make_multi_step(step), **options)
    split = sharding.batch_sharded(mesh, 1)
    return advance_resident(
        program,
        sharding.put_tree(run.training_data(), everywhere),
        lambda *block: sharding.put_tree(run.batch_indices(*block), split),
    )


def advance_resident(step: Callable, data: Any, indices: Callable) -> Callable:
    """`Program.advance` of a jitted `step(state, data, indices(first, last))`."""

    def advance(cuts):
        for block in cuts:
            rows = indices(*block)
            yield block, lambda state, rows=rows: step(state, data, rows)

    return advance


def steps_done(state: TrainState) -> int:
    """The step of a state, of one run or of all members."""
    return int(np.ravel(state.step)[0])


def _init_state(run: Run) -> TrainState:
    return train_step.init_train_state(run.objective, run.transform, run.config.seed)


def abstract_state(run: Run) -> TrainState:
    """Shapes and types of the run's state; nothing is computed."""
    return jax.eval_shape(lambda: _init_state(run))


def restore_params(
    run: Run, workdir: pathlib.Path, opening: Opening = DEFAULT
) -> tuple[Any, int]:
    """Parameters of a checkpoint, statistics included, and its step."""
    state = read_checkpoint(workdir, abstract_state(run), opening)
    return train_step.variables(jax.device_put(state)), int(state.step)


def _restore_or_init(
    program: Program, saved: checkpoint.Checkpoints, strict: bool
) -> TrainState:
    # Process 0 decides and reads: the others need not see its disk.
    if processes.agreed(saved.latest() or 0 if processes.is_first() else 0):
        damaged = None if strict else functools.partial(set_aside, saved)
        restored = saved.restore(jax.eval_shape(program.init), pass_over=damaged)
        return sharding.put_tree(restored, program.shardings)
    return jax.jit(program.init, out_shardings=program.shardings)()


def enable_compilation_cache() -> None:
    """Keeps compiled programs in a private folder, so that a second start is quick.

    A folder that was set already, by JAX_COMPILATION_CACHE_DIR, stays.
    """
    if jax.config.jax_compilation_cache_dir is not None:
        return
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base) / "infovae_jax" / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError:
        return  # a read-only home only costs the compile time
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
