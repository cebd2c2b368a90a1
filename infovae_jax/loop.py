"""train(run, workdir): the loop over programs, their figures and checkpoints."""

import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from infovae_jax import (
    checkpoint,
    distributed,
    metrics,
    objectives,
    optimizer,
    population,
    sharding,
    streaming,
    train_step,
)
from infovae_jax import config as config_lib
from infovae_jax import data as data_lib
from infovae_jax.data import batches, pipeline
from infovae_jax.data.labels import visible_labels
from infovae_jax.errors import ConfigError
from infovae_jax.progress import Progress
from infovae_jax.signals import SignalGuard
from infovae_jax.types import Batch, Dataset, Objective, TrainState

# Optimiser steps of one program between two looks at signals and figures.
MAX_STEPS_PER_DISPATCH = 100

Evaluator = Callable[[Any], dict[str, float]]


class Run(NamedTuple):
    """A run opened for use: what every mode needs.

    Attributes:
      config: resolved and checked.
      dataset: both splits and their spec.
      objective: built for them.
      transform: the optax transformation.
      steps_per_epoch: full batches of the training split.
      labels: `[n]` int32 that training sees, -1 where unknown; None where the
        objective takes none.
      added: labelled examples added to each batch.
      validation_x: `[v, H, W, C]` held out of the training split, or None.
      member: which member of a population this run is, or None.
    """

    config: ConfigDict
    dataset: Dataset
    objective: Objective
    transform: Any
    steps_per_epoch: int
    labels: np.ndarray | None = None
    added: int = 0
    validation_x: np.ndarray | None = None
    member: int | None = None

    def make_mesh(self) -> Mesh:
        """The devices that share a batch."""
        train = self.config.train
        return sharding.make_mesh(train.num_devices, train.batch_size + self.added)

    def batch_indices(
        self, first: int, last: int, seed: int | None = None
    ) -> np.ndarray:
        """Training examples of steps first..last-1, `[last - first, B]` int32."""
        return pipeline.training_indices(
            self.config.seed if seed is None else seed,
            first,
            last - first,
            self.dataset.spec.num_examples,
            self.config.train.batch_size,
            np.flatnonzero(self.labels >= 0) if self.added else None,
            self.added,
        )

    def training_data(self) -> Batch | np.ndarray:
        """What a step takes its batch from: all images, with labels where used."""
        x = np.asarray(self.dataset.train_x)
        return x if self.labels is None else Batch(x, self.labels)


class Program(NamedTuple):
    """What `train` runs: the steps of one run, or of all members of a population.

    Attributes:
      init: `init() -> state`, pure.
      shardings: of the leaves of the state, or one of all.
      advance: `advance(blocks)` yields each block `(first, last)` of steps with a
        function `state -> (state, metrics)` that takes them; the state is donated.
      bound: `bound(params) -> {'test/elbo', 'test/<term>', ...}`.
      row: metrics or bound -> what a row of `metrics.jsonl` holds of them.
      num_members: runs in the program.
    """

    init: Callable[[], TrainState]
    shardings: Any
    advance: Callable
    bound: Callable
    row: Callable
    num_members: int = 1


def open_run(config: ConfigDict, say=print) -> Run:
    """Checks a config, reads its data, prints the decision, builds the objective.

    Nothing is compiled yet when this returns or fails.

    Raises:
      ConfigError, DataError: see docs of the parts.
    """
    config_lib.check(config)
    objectives.check(config)
    population.check(config)
    dataset, validation_x = data_lib.load(config.data), None
    if config.population.validation:
        dataset, validation_x = population.hold_out(
            dataset, config.population.validation, config.data.split_seed
        )
    say(dataset.decision)
    count = dataset.spec.num_examples
    steps_per_epoch = pipeline.steps_per_epoch(count, config.train.batch_size)
    clusters = config.model.num_clusters if "num_clusters" in config.model else 1
    if clusters > count:
        raise ConfigError(
            f"{clusters} clusters for {count} training examples",
            "config.model.num_clusters",
            f"give at most {count}",
        )
    objective = objectives.make(config, dataset.spec)
    transform = optimizer.make_optimizer(
        config.optimizer, steps_per_epoch, population.LEARNING_RATE in config.sweep
    )
    run = Run(
        config,
        dataset,
        objective,
        transform,
        steps_per_epoch,
        validation_x=validation_x,
    )
    return _with_labels(run) if objective.uses_labels else run


def _with_labels(run: Run) -> Run:
    """The run with the labels that training may see."""
    data, spec = run.config.data, run.dataset.spec
    labels = visible_labels(
        run.dataset.train_y,
        spec.num_examples,
        spec.num_labels,
        data.labels_per_class,
        data.split_seed,
    )
    known = int((labels >= 0).sum())
    added = 0
    if 0 < known < spec.num_examples:
        added = min(run.config.train.labelled_batch_size, known)
    return run._replace(labels=labels, added=added)


def claim_workdir(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Makes the run's folder and its `config.json`, or checks that it is this run's.

    Raises:
      ConfigError: the path is a file, not writable, or holds another run (the
        differing keys are named).
    """
    saved = workdir / "config.json"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if saved.exists():
            old = config_lib.from_json(saved.read_text())
            changed = config_lib.difference(old, config)
            if changed:
                raise ConfigError(
                    f"the workdir holds another config: {', '.join(changed)}",
                    str(workdir),
                    "give another --workdir, or the same config to go on",
                )
            return
        checkpoint.write_atomically(saved, config_lib.to_json(config))
    except ValueError as error:
        raise ConfigError(
            f"config.json is damaged ({error})", str(saved), "give another --workdir"
        ) from None
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ConfigError(
            f"cannot be used as a folder ({error.strerror})",
            str(workdir),
            "give another --workdir",
        ) from None


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

    Returns:
      The final state.

    Raises:
      Interrupted: SIGINT or SIGTERM; the state was saved.
      NonFiniteError: the loss left the numbers.
      CheckpointError: the newest checkpoint is damaged.
    """
    config = run.config
    saved = checkpoint.Checkpoints(
        workdir / "checkpoints", config.train.keep_checkpoints
    )
    program = program or single_program(run, mesh, evaluators)
    state = _restore_or_init(program, saved)
    start, total = steps_done(state), config.train.num_epochs * run.steps_per_epoch
    first_process, several = distributed.is_first(), distributed.several()
    writer = metrics.MetricsWriter(workdir, start) if first_process else None
    if start:
        distributed.say(f"resumed at step {start} of {total}")
    progress = Progress(start, total, run.steps_per_epoch)
    blocks = dispatches(start, total, log_every(run))

    def show(row):
        if writer is not None:
            writer.write(row)
            progress.show(row)

    try:
        with (
            SignalGuard() as guard,
            distributed.Watchdog(config.train.hang_seconds) as watchdog,
        ):
            reader = _Reader(run, workdir, program)
            ahead = None  # what the devices work on while the block before is read
            for (first, last), step_block in program.advance(blocks):
                watchdog.feed(f"the work from step {first} to {last}")
                began = time.perf_counter()
                state, means = step_block(state)
                block = _Dispatched(first, last, means, began).looked_at()
                if ahead is not None:
                    show(reader.row(ahead.before(block)))
                ahead = block
                measured, due = (
                    _passed(first, last, total, epochs, run)
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
                    bound = program.bound(train_step.variables(state))
                    row = metrics.joined(row, program.row(bound))
                show(row)
                if due or stop:
                    host = sharding.to_host(state)
                    distributed.on_first(
                        lambda last=last, host=host: saved.save(last, host)
                    )
                if stop and last < total:
                    raise guard.interrupted(workdir, last)
    finally:
        if writer is not None:
            writer.close()
        progress.close()
    return state


class _Dispatched(NamedTuple):
    """Steps first..last-1, given to the devices at the time `began`.

    CPUs may do a program's work before they say that they took it; `ended` is then
    when that was, and None as long as the block was not seen to be done.
    """

    first: int
    last: int
    means: Any
    began: float
    ended: float | None = None

    def looked_at(self) -> "_Dispatched":
        """The block, ended now if it is done."""
        return self._replace(ended=time.perf_counter()) if self._is_done() else self

    def before(self, following: "_Dispatched") -> "_Dispatched":
        """The block, ended when the one after it began if it is done by now."""
        done = following.ended is not None or self._is_done()
        return self._replace(ended=self.ended or following.began) if done else self

    def _is_done(self) -> bool:
        return all(leaf.is_ready() for leaf in jax.tree.leaves(self.means))


class _Reader:
    """Waits for the figures of dispatched blocks, in their order."""

    def __init__(self, run: Run, workdir: pathlib.Path, program: Program):
        self._run, self._workdir, self._program = run, workdir, program
        self._idle_since = 0.0

    def row(self, block: _Dispatched) -> dict[str, float]:
        """The block's row of `metrics.jsonl`.

        Raises:
          NonFiniteError: the loss left the numbers.
        """
        row = {"step": block.last, "epoch": block.last / self._run.steps_per_epoch}
        row |= self._program.row(block.means)
        metrics.check_finite(row, str(self._workdir))
        # A block given out ahead began when the one before it was done.
        began = max(block.began, self._idle_since)
        self._idle_since = block.ended or time.perf_counter()
        steps = (block.last - block.first) * self._program.num_members
        examples = steps * self._run.config.train.batch_size
        row["time/examples_per_second"] = examples / (self._idle_since - began)
        return row


def make_advance(run: Run, step: train_step.TrainStep, mesh: Mesh, shardings: Any):
    """`advance(blocks)` yields each block with `step_block(state) -> (state, means)`.

    The data are on the devices as a whole, or with `data.stream` come block by block;
    the state is donated.
    """
    everywhere = sharding.replicated(mesh)
    options = {"donate_argnums": 0, "out_shardings": (shardings, everywhere)}
    if run.config.data.stream:
        program = jax.jit(train_step.make_stream_step(step), **options)

        def advance(blocks):
            indices = ((block, run.batch_indices(*block)) for block in blocks)
            for block, batches in streaming.stream(run.training_data(), indices, mesh):
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

    def advance(blocks):
        for block in blocks:
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


def restore_params(run: Run, workdir: pathlib.Path) -> tuple[Any, int]:
    """Parameters of the newest checkpoint, statistics included, and its step."""
    saved = checkpoint.Checkpoints(workdir / "checkpoints")
    state = jax.device_put(saved.restore(abstract_state(run)))
    return train_step.variables(state), int(state.step)


def _restore_or_init(program: Program, saved: checkpoint.Checkpoints) -> TrainState:
    # Process 0 decides and reads: the others need not see its disk.
    if distributed.agreed(saved.latest() or 0 if distributed.is_first() else 0):
        restored = saved.restore(jax.eval_shape(program.init))
        return sharding.put_tree(restored, program.shardings)
    return jax.jit(program.init, out_shardings=program.shardings)()


def log_every(run: Run) -> int:
    """Steps between rows of metrics, which is also the length of a dispatch."""
    chosen = run.config.train.log_every
    return chosen or min(run.steps_per_epoch, MAX_STEPS_PER_DISPATCH)


def dispatches(start: int, total: int, length: int) -> Iterator[tuple[int, int]]:
    """Cuts steps start..total at the multiples of `length`, wherever it starts."""
    first = start
    while first < total:
        last = min(total, (first // length + 1) * length)
        yield first, last
        first = last


def _passed(first: int, last: int, total: int, epochs: int, run: Run) -> bool:
    """Whether a multiple of `epochs` epochs, or the end, lies in (first, last]."""
    period = epochs * run.steps_per_epoch
    return last == total or last // period > first // period


def make_bound_evaluator(run: Run):
    """`evaluate_bound(params) -> {'test/elbo', 'test/<term>'}` on the whole test split.

    Means in nats an example, with a fixed key, so that curves are comparable.
    """
    eval_step = jax.jit(
        train_step.make_eval_step(run.objective, run.config.data.binarize)
    )

    def evaluate_bound(params) -> dict[str, float]:
        means = mean_bound(run, eval_step, params, run.dataset.test_x)
        return {f"test/{name}": float(value) for name, value in means.items()}

    return evaluate_bound


def mean_bound(run: Run, eval_step: Callable, params, x: np.ndarray) -> dict:
    """Means of what `train_step.make_eval_step` sums, over `x` `[n, H, W, C]`."""
    size = min(run.config.evaluation.batch_size, len(x))
    key = jax.random.key(run.config.evaluation.seed)
    sums = None
    for number, (batch, valid) in enumerate(batches.padded_batches(x, size)):
        step_sums = eval_step(params, batch, valid, jax.random.fold_in(key, number))
        sums = step_sums if sums is None else jax.tree.map(jnp.add, sums, step_sums)
    sums = {name: np.asarray(value, np.float64) for name, value in sums.items()}
    count = sums.pop("count")
    return {name: value / count for name, value in sums.items()}


def enable_compilation_cache() -> None:
    """Keeps compiled programs in a private folder, so that a second start is quick."""
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


def save_json(path: pathlib.Path, value: dict) -> None:
    """Writes a JSON file atomically."""
    checkpoint.write_atomically(path, json.dumps(value, indent=2) + "\n")
