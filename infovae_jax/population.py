"""Many runs as one: members that differ in their seed and in swept scalars.

A member is a run of its own: its keys and batches are those of the single run with
its seed, its weights those of the single run with its values. Only the program is
shared, which maps the steps of one run over a leading axis of the state.
"""

import ast
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec
from ml_collections import ConfigDict

from infovae_jax import objectives, schedules, train_step
from infovae_jax.errors import ConfigError, nearest
from infovae_jax.optimizer import TracedRate
from infovae_jax.types import Dataset, Objective, TrainState

LEARNING_RATE = "learning_rate"
STRATEGIES = ("vmap", "scan", "chunks")
MAX_MEMBERS = 4096


class Member(NamedTuple):
    """One run of a population.

    Attributes:
      seed: its seed, as in `config.seed`.
      values: swept key -> its value.
    """

    seed: int
    values: dict[str, float]

    def name(self) -> str:
        """The member in words, such as 'kl_z 0.5, seed 1'."""
        swept = [f"{key} {value:.4g}" for key, value in self.values.items()]
        return ", ".join([*swept, f"seed {self.seed}"])


def is_population(config: ConfigDict) -> bool:
    """Whether `config` asks for more than one run, or sweeps anything."""
    return config.num_seeds > 1 or len(config.sweep) > 0


def members_of(config: ConfigDict) -> list[Member]:
    """Every seed with every combination of swept values, equal values together."""
    sweeps = {
        key: parse_sweep(value, f"config.sweep.{key}")
        for key, value in sorted(config.sweep.items())
    }
    return [
        Member(config.seed + offset, dict(zip(sweeps, values, strict=True)))
        for values in itertools.product(*sweeps.values())
        for offset in range(config.num_seeds)
    ]


def parse_sweep(value: object, where: str) -> tuple[float, ...]:
    """The values of a sweep.

    Args:
      value: `geom(a, b, n)` or `lin(a, b, n)`, n values from a to b with equal ratios
        or differences; or numbers with commas between, as text or as a sequence. The
        text is parsed, never evaluated.
      where: the config key, for the message.

    Raises:
      ConfigError: anything else, a value that is not finite, or one twice.
    """
    try:
        tree = ast.parse(f"({value})".strip(), mode="eval").body
        if isinstance(tree, ast.Call):
            values = _spaced(tree)
        else:
            found = ast.literal_eval(tree)
            found = found if isinstance(found, tuple | list) else (found,)
            if not found or not all(type(number) in (int, float) for number in found):
                raise ValueError
            values = tuple(map(float, found))
    except (SyntaxError, ValueError, TypeError, AttributeError, OverflowError):
        raise ConfigError(
            f"'{value}' gives no values",
            where,
            "write geom(a, b, n) with a and b above 0, lin(a, b, n), or 0.5, 1, 4",
        ) from None
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"'{value}' holds a value that is not finite", where, "mend")
    if len(set(values)) < len(values):
        raise ConfigError(f"'{value}' holds a value twice", where, "give each once")
    return values


def _spaced(call: ast.Call) -> tuple[float, ...]:
    first, last, count = (ast.literal_eval(argument) for argument in call.args)
    first, last = float(first), float(last)
    spaces = {"geom": np.geomspace, "lin": np.linspace}
    counted = type(count) is int and 2 <= count <= MAX_MEMBERS
    if call.keywords or not counted or call.func.id not in spaces:
        raise ValueError
    if not all(map(math.isfinite, (first, last))):
        raise ValueError
    if call.func.id == "geom" and min(first, last) <= 0:
        raise ValueError
    return tuple(spaces[call.func.id](first, last, count).tolist())


def check(config: ConfigDict) -> None:
    """Checks `config.sweep` against the objective's weights.

    Raises:
      ConfigError: a key that cannot be swept (with the nearest name), one that is
        scheduled or held at a target, or a value out of range.
    """
    module = objectives.load(config.objective)
    known = [*module.HPARAMS, LEARNING_RATE]
    for key, value in config.sweep.items():
        where = f"config.sweep.{key}"
        if key not in known:
            raise ConfigError(
                f"'{key}' cannot be swept{nearest(key, known)}",
                where,
                f"use {', '.join(known)}",
            )
        is_rate = key == LEARNING_RATE
        group = config.optimizer if is_rate else config.weights
        if key in group and not schedules.is_constant(group[key]):
            kind = (
                "held at a target" if schedules.is_target(group[key]) else "a schedule"
            )
            full = f"{'optimizer' if is_rate else 'weights'}.{key}"
            raise ConfigError(
                f"{full} is {kind} ('{group[key]}'), and a sweep gives constants",
                where,
                f"sweep another key, or set config.{full} to a number",
            )
        signed = key in getattr(module, "SIGNED_HPARAMS", ())
        for number in parse_sweep(value, where):
            schedules.check(number, where, None if signed else 0.0)
            if is_rate and number == 0:
                raise ConfigError("0 is no learning rate", where, "give one above 0")
    for key in ("data.stream", "train.shard_params") if is_population(config) else ():
        group, _, name = key.partition(".")
        if config[group][name]:
            raise ConfigError(
                "not for a population", f"config.{key}", "set it to False, or train one"
            )
    count = len(members_of(config))
    if count > MAX_MEMBERS:
        raise ConfigError(
            f"{count} members",
            "config.num_seeds and config.sweep",
            f"at most {MAX_MEMBERS}",
        )


def member_config(config: ConfigDict, member: Member) -> ConfigDict:
    """The config of the single run that a member is."""
    single = ConfigDict(config.to_dict(), type_safe=False)
    single.seed, single.num_seeds, single.sweep = member.seed, 1, ConfigDict()
    for key, value in member.values.items():
        group = single.optimizer if key == LEARNING_RATE else single.weights
        group[key] = value
    return single


def hold_out(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, np.ndarray]:
    """Takes a random share of the training split away from training.

    Args:
      dataset: both splits.
      share: in (0, 1).
      seed: of the choice.

    Returns:
      The dataset with the smaller training split, and the images held out.
    """
    count = dataset.spec.num_examples
    size = min(max(1, round(share * count)), count - 1)
    words = np.random.Philox(key=seed).random_raw(count)  # the same in every NumPy
    order = np.argsort(words, kind="stable")
    away, kept = np.sort(order[:size]), np.sort(order[size:])
    labels = dataset.train_y
    factors = dataset.factors
    if factors:
        factors = {name: (a[kept], b) for name, (a, b) in factors.items()}
    smaller = dataset._replace(
        train_x=dataset.train_x[kept],
        train_y=None if labels is None else labels[kept],
        spec=dataset.spec._replace(num_examples=len(kept)),
        factors=factors,
        decision=f"{dataset.decision}\nvalidation: {size} of {count} training examples",
    )
    return smaller, dataset.train_x[away]


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
