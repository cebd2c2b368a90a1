"""Sweeps and seeds of a config -> the members of a population.

A member is a run of its own: its keys and batches are those of the single run with
its seed, its weights those of the single run with its values.
"""

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from infovae_jax.config import schedules
from infovae_jax.config.knobs import Weight
from infovae_jax.errors import ConfigError, nearest

LEARNING_RATE = "learning_rate"
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


def count_members(config: ConfigDict) -> int:
    """How many members there would be; nothing of their number is made."""
    sizes = [len(parse_sweep(v, f"config.sweep.{k}")) for k, v in config.sweep.items()]
    return config.num_seeds * math.prod(sizes)


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
        name, numbers = schedules.parse_text(value)
        if name is not None:
            values = _spaced(name, *numbers)
        else:
            values = tuple(map(float, numbers))
        if not values:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise ConfigError(
            f"'{str(value)[:60]}' gives no values",
            where,
            "write geom(a, b, n) with a and b above 0, lin(a, b, n), or 0.5, 1, 4",
        ) from None
    if not all(map(math.isfinite, values)):
        raise ConfigError(f"'{value}' holds a value that is not finite", where, "mend")
    if len(set(values)) < len(values):
        raise ConfigError(f"'{value}' holds a value twice", where, "give each once")
    return values


def _spaced(name: str, first: float, last: float, count: float) -> tuple[float, ...]:
    spaces = {"geom": np.geomspace, "lin": np.linspace}
    counted = type(count) is int and 2 <= count <= MAX_MEMBERS
    if not counted or name not in spaces:
        raise ValueError
    if not all(map(math.isfinite, (first, last))):
        raise ValueError
    if name == "geom" and min(first, last) <= 0:
        raise ValueError
    return tuple(spaces[name](first, last, count).tolist())


def check(config: ConfigDict, weights: Mapping[str, Weight]) -> None:
    """Checks `config.sweep` against the objective's weights.

    Args:
      config: the whole config.
      weights: of the objective.

    Raises:
      ConfigError: a key that cannot be swept (with the nearest name), one that is
        scheduled or held at a target, or a value out of range.
    """
    known = [*weights, LEARNING_RATE]
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
        for number in parse_sweep(value, where):
            if is_rate:
                schedules.check(number, where, above=0.0)
            else:
                weights[key].check(number, where)
    for key in ("data.stream", "train.shard_params") if is_population(config) else ():
        group, _, name = key.partition(".")
        if config[group][name]:
            raise ConfigError(
                "not for a population", f"config.{key}", "set it to False, or train one"
            )
    count = count_members(config)
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
