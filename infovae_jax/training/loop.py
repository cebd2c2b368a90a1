"""train(run, workdir): the loop over programs, their figures and checkpoints."""

import functools
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from infovae_jax.data import cache
from infovae_jax.errors import SIGNAL_ENDING
from infovae_jax.training import (
    checkpoint,
    interruption,
    metrics,
    processes,
    sharding,
    trackers,
    train_step,
)
from infovae_jax.training.blocks import (
    Outlet,
    Program,
    block_length,
    run_blocks,
    steps_done,
)
from infovae_jax.training.elbo import make_bound_evaluator
from infovae_jax.training.opening import DEFAULT, Opening, read_checkpoint, set_aside
from infovae_jax.training.progress import Progress
from infovae_jax.training.run import Run
from infovae_jax.types import TrainState

Evaluator = Callable[[Any], dict[str, float]]


# Examples up to which the data are rounded up to a power of two.
MAX_ROUNDED = 4096


def make_step(run: Run) -> train_step.TrainStep:
    """`train_step.make_train_step` of the run's objective, optimiser and weights."""
    config = run.config
    return train_step.make_train_step(
        run.objective,
        run.transform,
        train_step.make_schedules(
            config.weights, run.steps_per_epoch, config.train.num_epochs
        ),
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
    measurable = len(run.dataset.test_x) > 0

    def bound(params) -> dict[str, float]:
        # On every process alike, so that none waits for another.
        params = sharding.to_local(params)
        figures = evaluate_bound(params)
        for evaluator in evaluators:
            figures |= evaluator(params)
        return figures

    return Program(
        init=lambda: _make_init(run)(jax.random.key(run.config.seed)),
        shardings=shardings,
        advance=make_advance(run, make_step(run), mesh, shardings),
        bound=bound if measurable else None,
        row=lambda figures: {name: float(value) for name, value in figures.items()},
    )


def train(
    run: Run,
    workdir: pathlib.Path,
    mesh: Mesh,
    evaluators: Sequence[Evaluator] = (),
    program: Program | None = None,
    strict: bool = False,
    remembered: dict[str, Any] | None = None,
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
      remembered: what evaluators keep from one call to the next, as JSON has it. Each
        checkpoint holds what it was then, and a continuation begins with that.

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
    every = block_length(config, run.steps_per_epoch)
    first_process = processes.is_first()
    remembered = {} if remembered is None else remembered
    if start and first_process:
        remembered.update(saved.manifest(start).get(checkpoint.REMEMBERED, {}))
    writer = metrics.MetricsWriter(workdir, start, every) if first_process else None
    if start:
        processes.say(f"resumed at step {start} of {total}")
    progress = Progress(start, total, run.steps_per_epoch)
    tracker = None
    if first_process:
        tracker = trackers.of_run(config, workdir)

    def show(row):
        if writer is not None:
            writer.write(row)
            progress.show(row)
        if tracker is not None:
            tracker.log(row)

    def keep(last, row, state, due, stop):
        if due or stop:
            host = sharding.to_host(state)
            lost = metrics.check_finite_state(
                host, last, str(workdir), program.num_members
            )
            if writer is not None:
                writer.sync()
            save = functools.partial(saved.save, last, host, lost, remembered)
            processes.on_first(save)
            SIGNAL_ENDING.in_training(last, str(workdir))
        if stop:
            raise guard.interrupted(workdir, last)
        return False

    try:
        with (
            interruption.SignalGuard() as guard,
            interruption.Watchdog(config.train.hang_seconds) as watchdog,
        ):
            # Others would wait for one of several processes that stopped by itself.
            guard.to_save = processes.several()
            outlet = Outlet(
                str(workdir), show, watchdog.feed, guard.agreed, keep, guard.take
            )
            with metrics.telling_scale(run.dataset.intake):
                state = run_blocks(run, program, state, outlet)
            if guard.agreed():
                raise guard.interrupted(workdir, total)
            return state
    finally:
        if writer is not None:
            writer.close()
        progress.close()
        if tracker is not None:
            tracker.close()


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
    name, *more = program_key(run, mesh)
    program = run.kept(
        name, lambda: jax.jit(train_step.make_multi_step(step), **options), *more
    )
    split = sharding.batch_sharded(mesh, 1)
    return advance_resident(
        program,
        sharding.put_tree(_rounded_up(run.training_data()), everywhere),
        lambda *block: sharding.put_tree(run.batch_indices(*block), split),
    )


def program_key(run: Run, mesh: Mesh) -> tuple[Any, ...]:
    """What the program of the steps of a run is kept by; see `Run.kept`."""
    return "multi_step", run.steps_per_epoch, mesh


def _rounded_up(data: Any) -> Any:
    """Few examples with copies of the last, to a power of two: nobody asks for them.

    Sets of almost any size so share one program.
    """

    def longer(array):
        count = len(array)
        size = 1 << (count - 1).bit_length()
        if count == size or size > MAX_ROUNDED:
            return array
        return np.concatenate([array, np.repeat(array[-1:], size - count, axis=0)])

    return jax.tree.map(longer, data)


def advance_resident(step: Callable, data: Any, indices: Callable) -> Callable:
    """`Program.advance` of a jitted `step(state, data, indices(first, last))`."""

    def advance(cuts):
        for block in cuts:
            rows = indices(*block)
            yield block, lambda state, rows=rows: step(state, data, rows)

    return advance


def _make_init(run: Run) -> Callable:
    """`init(key) -> state`, jitted where it is kept: all seeds share a program."""
    init = functools.partial(train_step.init_from_key, run.objective, run.transform)
    return run.kept("init", lambda: jax.jit(init), run.steps_per_epoch)


def abstract_state(run: Run) -> TrainState:
    """Shapes and types of the run's state; nothing is computed."""
    return jax.eval_shape(lambda: _make_init(run)(jax.random.key(run.config.seed)))


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
    own = cache.user_folder("XDG_CACHE_HOME", "~/.cache")
    if own is None:
        return
    folder = own / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError:
        return  # a read-only home only costs the compile time
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Entries are written in place: what another run has half written is compiled anew.
    warnings.filterwarnings(
        "ignore", "Error (reading|writing) persistent compilation cache", UserWarning
    )
