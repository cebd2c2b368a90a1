"""One declaration a knob: its default, range, options and meaning, in one place.

A group of knobs is a frozen dataclass whose fields are made by `knob`; the scalars of a
loss are a dict of `Weight`. The checks, their error texts, the defaults of `configs/`
and the reference table all follow from them.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from infovae_jax.errors import ConfigError, nearest

_KEY = "knob"


class Knob(NamedTuple):
    """What may stand under a key.

    Attributes:
      meaning: one line, with the unit.
      at_least, above, at_most, below: bounds of a number, or of every number of a
        tuple; None: none.
      options: the texts that are allowed, or None for any.
    """

    meaning: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    options: tuple[str, ...] | None = None


class Weight(NamedTuple):
    """A scalar of a loss that may be scheduled, swept or vmapped.

    Attributes:
      default: its value where the config gives none.
      meaning: one line.
      signed: whether it may be below 0.
      is_term: whether it weighs a term of the loss (and may be held at a target).
    """

    default: float
    meaning: str
    signed: bool = False
    is_term: bool = True


def knob(default: Any, meaning: str, **limits: Any) -> Any:
    """A dataclass field that declares a knob; `limits` are the fields of `Knob`."""
    return dataclasses.field(default=default, metadata={_KEY: Knob(meaning, **limits)})


def declared(group: type) -> dict[str, Knob]:
    """Name -> declaration of every knob of a dataclass, in order."""
    return {field.name: field.metadata[_KEY] for field in dataclasses.fields(group)}


def check(values: Mapping[str, Any], group: type, where: str) -> None:
    """Checks the values of one group of a config.

    Args:
      values: key -> value.
      group: the dataclass that declares the keys.
      where: name of the group, such as 'config.model'.

    Raises:
      ConfigError: an unknown key (with the nearest name), a value of another type, or
        one outside the declared range; names the key.
    """
    known, types = declared(group), typing.get_type_hints(group)
    for name, value in values.items():
        key = f"{where}.{name}"
        if name not in known:
            hint = nearest(name, known)
            raise ConfigError(
                f"unknown key '{name}'{hint}", key, f"use {', '.join(known)}"
            )
        _check_value(value, known[name], types[name], key)


def _check_value(value: Any, declaration: Knob, kind: Any, key: str) -> None:
    del value, declaration, kind, key
