"""A population in its folder: its program, how that was chosen, and `population.json`.

The way the members are mapped changes rounding, so it is settled once, before the
first checkpoint, and read again by every continuation.

`population.json` holds `strategy`, `chunk` and `seconds_per_step` (of each strategy,
where measured); `members`, a list of `{"seed": 0, "kl_z": 0.5}`; and after training
`figures` (name -> one number a member, None where not finite), `chosen` and `how`, and
`oracle` and `oracle_by` where labels can choose.
"""

import functools
import pathlib
import time
from collections.abc import Callable
from types import NoneType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

from infovae_jax import objectives
from infovae_jax.config import sealed
from infovae_jax.config.sweeps import LEARNING_RATE, Member, member_config, members_of
from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.training import (
    blocks,
    checkpoint,
    elbo,
    files,
    loop,
    metrics,
    sharding,
    train_step,
)
from infovae_jax.training.blocks import Program
from infovae_jax.training.opening import DEFAULT, Opening, read_checkpoint
from infovae_jax.training.optimizer import TracedRate
from infovae_jax.training.run import Run
from infovae_jax.types import Objective, TrainState

STRATEGIES = ("vmap", "scan", "chunks")
FILE = "population.json"
TIMED_STEPS = 5
TIMED_SECONDS = 0.5  # a strategy is repeated until it has taken so long


def init_population(
    objective: Objective, optimizer: optax.GradientTransformation, members: list[Member]
) -> TrainState:
    """The states of all members before the first step, on a leading axis.

    Args:
      objective: with the weights that all members share.
      optimizer: takes a traced learning rate where that is swept; see
        `optimizer.make_optimizer`.
      members: seeds and values.
    """
    keys = jnp.stack([jax.random.key(member.seed) for member in members])
    values = {
        key: jnp.array([member.values[key] for member in members], jnp.float32)
        for key in members[0].values
    }

    def init(key, values):
        state = train_step.init_from_key(objective, optimizer, key)
        weights = {k: v for k, v in values.items() if k != LEARNING_RATE}
        state = state._replace(hparams={**state.hparams, **weights})
        if LEARNING_RATE in values:
            rate = TracedRate(values[LEARNING_RATE])
            state = state._replace(opt_state=(*state.opt_state[:-1], rate))
        return state

    return jax.vmap(init)(keys, values)


def over_members(
    function: Callable, strategy: str, chunk: int, mapped: tuple
) -> Callable:
    """`function` of one member as a function of all of them.

    Args:
      function: of any arguments.
      strategy: 'vmap' (every operation for all members at once), 'scan' (one member
        after the other, within the program) or 'chunks' (`chunk` at once).
      chunk: for 'chunks'.
      mapped: for each argument, whether it has a leading axis of members; the others
        are shared.
    """
    if strategy == "vmap":
        return jax.vmap(function, [0 if one else None for one in mapped])
    size = chunk if strategy == "chunks" else None

    def run(*arguments):
        def single(own):
            own = iter(own)
            return function(
                *(
                    next(own) if one else argument
                    for one, argument in zip(mapped, arguments, strict=True)
                )
            )

        own = [a for one, a in zip(mapped, arguments, strict=True) if one]
        return jax.lax.map(single, own, batch_size=size)

    return run


def sharded(function: Callable, mesh: Mesh, mapped: tuple) -> Callable:
    """`function` of all members, each device doing its own share of them.

    The members know nothing of one another, so no device waits for another.
    """
    if mesh.size == 1:
        return function
    members, everywhere = PartitionSpec(mesh.axis_names[0]), PartitionSpec()
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=tuple(members if one else everywhere for one in mapped),
        out_specs=members,
        check_vma=False,
    )


def make_population_step(
    multi_step: Callable, strategy: str, chunk: int, mesh: Mesh
) -> Callable:
    """`run(state, data, indices) -> (state, metrics)` of all members, M of them.

    Args:
      multi_step: from `train_step.make_multi_step`.
      strategy: see `over_members`.
      chunk: see `over_members`.
      mesh: devices among which the members are divided.

    Returns:
      A function to be jitted; state, indices `[M, S, B]` and metrics `[M]` have the
      leading axis, the data have not.
    """
    mapped = (True, False, True)
    return sharded(over_members(multi_step, strategy, chunk, mapped), mesh, mapped)


def take_member(tree: Any, index: int) -> Any:
    """One member's part of a tree with a leading axis of members."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def make_mesh(run: Run) -> Mesh:
    """The devices that share the members.

    Raises:
      ConfigError: more processes than one, or see `sharding.make_member_mesh`.
    """
    mesh = sharding.make_member_mesh(
        run.config.train.num_devices, len(members_of(run.config))
    )
    if jax.process_count() > 1:
        raise ConfigError(
            f"a population in {jax.process_count()} processes",
            "config.num_seeds and config.sweep",
            "start one process; the devices of one host share the members",
        )
    return mesh


def make_program(run: Run, workdir: pathlib.Path, mesh: Mesh, say=print) -> Program:
    """The program of all members; settles how they are mapped.

    Args:
      run: opened with the config of the population.
      workdir: a folder that `claim_workdir` accepted.
      mesh: from `make_mesh`.
      say: prints the decision.
    """
    members = members_of(run.config)
    init = functools.partial(init_population, run.objective, run.transform, members)
    own = sharding.batch_sharded(mesh)

    def indices(first: int, last: int) -> jax.Array:
        of_seed = {
            seed: run.batch_indices(first, last, seed)
            for seed in {member.seed for member in members}
        }
        return jax.device_put(np.stack([of_seed[m.seed] for m in members]), own)

    strategy, chunk = _settled(run, workdir, mesh, init, indices, say)
    multi_step = loop.make_multi_step(run)
    step = make_population_step(multi_step, strategy, chunk, mesh)
    step = jax.jit(step, donate_argnums=0, out_shardings=own)
    data = jax.device_put(run.training_data(), sharding.replicated(mesh))
    return Program(
        init=init,
        shardings=own,
        advance=loop.advance_resident(step, data, indices),
        bound=functools.partial(
            member_bounds,
            run,
            make_members_eval_step(run, strategy, chunk, mesh),
            x=run.dataset.test_x,
            prefix="test/",
        ),
        row=_Rows(members, say),
        num_members=len(members),
        about={"population": {"strategy": strategy, "chunk": chunk}},
    )


def make_members_eval_step(run: Run, strategy: str, chunk: int, mesh: Mesh) -> Callable:
    """`elbo.make_eval_step` of all members, jitted."""
    eval_step = elbo.make_eval_step(run.objective, run.config.data.binarize)
    mapped = (True, False, False, False)
    every = over_members(eval_step, strategy, chunk, mapped)
    return jax.jit(sharded(every, mesh, mapped))


def member_bounds(
    run: Run, eval_step: Callable, params: Any, x: np.ndarray, prefix: str
) -> dict[str, np.ndarray]:
    """The bound and its terms on `x`, name -> `[M]`."""
    means = elbo.mean_bound(run, eval_step, params, x)
    return {f"{prefix}{name}": value for name, value in means.items()}


class _Rows:
    """Metrics `[M]` -> means over the members that are finite, and every value.

    One member that diverges, as one of a sweep may, does not end the others; where
    none is left, the means are NaN, which ends the run.
    """

    def __init__(self, members: list[Member], say):
        self._members, self._say = members, say
        self._lost: set[int] = set()

    def __call__(self, figures: dict[str, jax.Array]) -> dict:
        values = {name: np.asarray(value) for name, value in figures.items()}
        finite = np.isfinite(np.stack(list(values.values()))).all(0)
        for index in set(np.flatnonzero(~finite).tolist()) - self._lost:
            self._lost.add(index)
            bad = [n for n, v in values.items() if not np.isfinite(v[index])]
            self._say(
                f"member {index} ({self._members[index].name()}) became non-finite "
                f"({', '.join(bad[:3])}); the others go on"
            )
        row = {
            name: float(value[finite].mean()) if finite.any() else float("nan")
            for name, value in values.items()
        }
        lists = {
            name: [float(v) if np.isfinite(v) else None for v in value]
            for name, value in values.items()
        }
        return row | {metrics.MEMBERS: lists}


def read(workdir: pathlib.Path) -> dict:
    """`population.json`, or an empty dict where there is none.

    Raises:
      CheckpointError: it is damaged.
    """
    path = workdir / FILE
    if not path.exists():
        return {}
    try:
        record = sealed.read(path)
        _require_form(record)
    except (sealed.Damaged, KeyError, TypeError) as error:
        raise CheckpointError(
            f"damaged: {error}",
            str(path),
            "restore it, or train the population anew in another --workdir",
        ) from None
    return record


def _require_form(record: dict) -> None:
    """Raises Damaged, KeyError or TypeError where a record of old has another form."""
    members = record["members"]
    count = len(members)
    figures = record.get("figures", {})
    fits = (
        record["strategy"] in STRATEGIES
        and type(record["chunk"]) is int
        and isinstance(members, list)
        and all(isinstance(m, dict) and type(m.get("seed")) is int for m in members)
        and isinstance(figures, dict)
        and all(isinstance(v, list) and len(v) == count for v in figures.values())
        and all(type(n) in (int, float, NoneType) for v in figures.values() for n in v)
        and record.get("chosen", 0) in range(count)
    )
    if not fits:
        raise sealed.Damaged("of another form")


def figures_by_member(record: dict) -> list[dict]:
    """The figures of `population.json`, one dict a member."""
    return [
        {name: values[index] for name, values in record["figures"].items()}
        for index in range(len(record["members"]))
    ]


def _settled(run: Run, workdir, mesh: Mesh, init, indices, say) -> tuple[str, int]:
    """Strategy and chunk: those of the record, of the config, or the fastest.

    A record that is gone is made again from what the checkpoints tell.
    """
    record = read(workdir)
    if record:
        return record["strategy"], record["chunk"]
    before = _of_checkpoints(workdir)
    if before:
        say(f"{FILE} was missing; the checkpoints tell: {before['strategy']}")
        members = [{"seed": m.seed, **m.values} for m in members_of(run.config)]
        files.write_record(workdir / FILE, before | {"members": members})
        return before["strategy"], before["chunk"]
    settings, members = run.config.population, members_of(run.config)
    strategy, seconds = settings.strategy, {}
    each = len(members) // mesh.size
    if strategy == "auto" and each == 1:
        strategy = "scan"  # nothing to map; the program of a single run
    if strategy == "auto":
        # Chunks of all members are vmap.
        ways = [w for w in STRATEGIES if w != "chunks" or settings.chunk < each]
        seconds = _timed(run, mesh, init, indices, ways)
        strategy = min(seconds, key=seconds.get)
    taken = [f"{name} {1e3 * value:.3g}" for name, value in seconds.items()]
    measured = f" (ms per step: {', '.join(taken)})" if taken else ""
    say(
        f"population of {len(members)}, {each} on each of {mesh.size} devices: "
        f"{strategy}{measured}"
    )
    record = {
        "strategy": strategy,
        "chunk": settings.chunk,
        "seconds_per_step": seconds,
        "num_devices": mesh.size,
        "members": [{"seed": m.seed, **m.values} for m in members],
    }
    files.write_record(workdir / FILE, record)
    return strategy, settings.chunk


def _of_checkpoints(workdir: pathlib.Path) -> dict | None:
    """Strategy and chunk in the manifest of the newest readable checkpoint, or None."""
    saved = checkpoint.Checkpoints(workdir / "checkpoints")
    for step in reversed(saved.steps()):
        try:
            found = saved.manifest(step).get("population")
        except CheckpointError:
            continue
        if found is not None and {"strategy", "chunk"} <= found.keys():
            return found
    return None


def _timed(run: Run, mesh: Mesh, init, indices, ways: list[str]) -> dict[str, float]:
    """Seconds a step of each strategy, the best of some short dispatches."""
    chunk = run.config.population.chunk
    state = jax.jit(init, out_shardings=sharding.batch_sharded(mesh))()
    data = jax.device_put(run.training_data(), sharding.replicated(mesh))
    steps = min(TIMED_STEPS, blocks.block_length(run.config, run.steps_per_epoch))
    rows = indices(0, steps)
    multi_step = loop.make_multi_step(run)
    seconds = {}
    for strategy in ways:
        step = make_population_step(multi_step, strategy, chunk, mesh)
        step = jax.jit(step)  # not donated: the state serves every strategy
        jax.block_until_ready(step(state, data, rows))
        taken = []
        while len(taken) < 2 or sum(taken) < TIMED_SECONDS:
            began = time.perf_counter()
            jax.block_until_ready(step(state, data, rows))
            taken.append(time.perf_counter() - began)
        seconds[strategy] = min(taken) / steps
    return seconds


def restore(
    run: Run, workdir: pathlib.Path, opening: Opening = DEFAULT
) -> tuple[Any, int]:
    """Parameters of all members, on a leading axis, and the step of the checkpoint."""
    members = members_of(run.config)
    target = jax.eval_shape(
        lambda: init_population(run.objective, run.transform, members)
    )
    state = read_checkpoint(workdir, target, opening)
    return train_step.variables(state), blocks.steps_done(state)


def member_params(params: Any, index: int) -> Any:
    """The parameters of one member, on the default device."""
    own = jax.device_get(take_member(params, index))
    return jax.tree.map(jnp.asarray, own)


def member_run(run: Run, index: int) -> Run:
    """The single run that a member is, over the same data."""
    member = members_of(run.config)[index]
    config = member_config(run.config, member)
    objective = objectives.make(config, run.dataset.spec)
    return run._replace(config=config, objective=objective, member=index)
