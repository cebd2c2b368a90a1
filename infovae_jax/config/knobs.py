"""One declaration a knob: its default, range, options and meaning, in one place.

A group of knobs is a frozen dataclass whose fields are made by `knob`; the scalars of a
loss are a dict of `Weight`. The checks, their error texts, the defaults of `configs/`
and the reference table all follow from them.
"""

import dataclasses
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference, placeholder

from infovae_jax.config import schedules
from infovae_jax.errors import ConfigError, unknown

_KEY = "knob"
# Integers above are no size of anything here; seeds say their own limit.
MAX_INTEGER = 10**7
MAX_TEXT = 4096


class Knob(NamedTuple):
    """What may stand under a key.

    Attributes:
      meaning: one line, with the unit.
      at_least, above, at_most, below: bounds of a number, or of every number of a
        tuple; None: none.
      options: the texts that are allowed, or None for any.
      schedule: whether a schedule in words may stand for the number.
      length: of a tuple; None: any.
      shortest: of a tuple.
    """

    meaning: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    options: Collection[str] | None = None
    schedule: bool = False
    length: int | None = None
    shortest: int = 1


class Weight(NamedTuple):
    """A scalar of a loss that may be scheduled, swept or vmapped.

    Attributes:
      default: its value where the config gives none.
      meaning: one line.
      signed: whether it may be below 0.
      is_term: whether it weighs a term of the loss, in nats, and so may be held at a
        target; another scalar must be above 0.
    """

    default: float
    meaning: str
    signed: bool = False
    is_term: bool = True

    def check(self, value: object, where: str) -> None:
        """Raises ConfigError unless `value` is such a scalar, or a schedule of it."""
        bounds = {} if self.signed else {"minimum": 0.0}
        if not self.is_term:
            bounds = {"above": 0.0}
        schedules.check(value, where, targets=self.is_term, **bounds)


def knob(default: Any, meaning: str, **limits: Any) -> Any:
    """A dataclass field that declares a knob; `limits` are the fields of `Knob`."""
    return dataclasses.field(default=default, metadata={_KEY: Knob(meaning, **limits)})


def is_knob(field: dataclasses.Field) -> bool:
    """Whether a field of a dataclass was made by `knob`."""
    return _KEY in field.metadata


def declared(group: type) -> dict[str, Knob]:
    """Name -> declaration of every knob of a dataclass, in order."""
    fields = filter(is_knob, dataclasses.fields(group))
    return {field.name: field.metadata[_KEY] for field in fields}


def optional(group: type) -> list[str]:
    """Names of the knobs that may be None."""
    kinds = typing.get_type_hints(group)
    return [k for k in declared(group) if types.NoneType in typing.get_args(kinds[k])]


def defaults(group: type, **changes: Any) -> ConfigDict:
    """The group as a ConfigDict of typed keys, with some values changed."""
    kinds, values = typing.get_type_hints(group), ConfigDict()
    for field in dataclasses.fields(group):
        value, members = field.default, _members(kinds[field.name])
        if field.metadata[_KEY].schedule or (value is None and len(members) > 1):
            value = FieldReference(value, field_type=object)
        elif value is None:
            value = placeholder(members[0])
        values[field.name] = value
    for name, value in changes.items():
        values[name] = value
    return values


def check(values: Mapping[str, Any], group: type, where: str) -> None:
    """Checks the values of one group of a config.

    Args:
      values: key -> value; a key that is absent has its default.
      group: the dataclass that declares the keys.
      where: name of the group, such as 'config.model'.

    Raises:
      ConfigError: an unknown key (with the nearest name), a value of another type, or
        one outside the declared range; names the key.
    """
    known, kinds = declared(group), typing.get_type_hints(group)
    for name, value in values.items():
        if name not in known:
            raise unknown("key", name, known, f"{where}.{name}")
        _check_value(value, known[name], kinds[name], f"{where}.{name}")


def describe(declaration: Knob, kind: Any) -> str:
    """What may stand under a key, in words."""
    optional = " or None" if types.NoneType in typing.get_args(kind) else ""
    kind = _members(kind)[0]
    if declaration.options:
        return f"one of {', '.join(_typed(declaration.options))}{optional}"
    words = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}
    text = words.get(kind, "a tuple of integers")
    low, high = declaration.at_least, declaration.at_most
    between = low is not None and high is not None
    bounds = [
        text
        for text, value in (
            (f"from {low} to {high}", between or None),
            (f"of at least {low}", None if between else low),
            (f"above {declaration.above}", declaration.above),
            (f"of at most {high}", None if between else high),
            (f"below {declaration.below}", declaration.below),
        )
        if value is not None
    ]
    each = " each" if bounds and kind not in words else ""
    schedule = ", or a schedule" if declaration.schedule else ""
    return f"{text}{each} {' and '.join(bounds)}".rstrip() + schedule + optional


def _typed(options: Collection[str]) -> list[str]:
    """Without the names of networks of one's own, which nobody types; see `own`."""
    return [name for name in options if name.isidentifier()]


def _members(kind: Any) -> list[Any]:
    """The types of a union, None left out; of another type itself."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return [kind]
    return [member for member in typing.get_args(kind) if member is not types.NoneType]


def _check_value(value: Any, declaration: Knob, kind: Any, key: str) -> None:
    if value is None and types.NoneType in typing.get_args(kind):
        return
    declared_kind = kind
    kind = _members(kind)[-1 if isinstance(value, tuple | list) else 0]

    def refuse(what: str) -> ConfigError:
        return ConfigError(what, key, f"give {describe(declaration, declared_kind)}")

    if declaration.options:
        if value not in list(declaration.options):
            raise unknown("value", value, _typed(declaration.options), key)
    elif declaration.schedule:
        bounds = {"minimum": declaration.at_least, "above": declaration.above}
        schedules.check(value, key, **bounds)
    elif kind is bool:
        if type(value) is not bool:
            raise refuse(f"{value!r} is neither True nor False")
    elif kind is str:
        usable = isinstance(value, str) and len(value) <= MAX_TEXT and value.strip()
        if not usable or "\0" in value:  # which no path can hold
            raise refuse(f"{str(value)[:40]!r} is no text that can be used")
    elif kind in (int, float):
        _check_number(value, declaration, kind, refuse)
    else:
        sized = isinstance(value, tuple | list)
        sized = sized and declaration.shortest <= len(value) <= 64
        if not sized or declaration.length not in (None, len(value)):
            raise refuse(f"{str(value)[:40]} is no such tuple")
        for number in value:
            _check_number(number, declaration, int, refuse)


def _check_number(value: Any, declaration: Knob, kind: type, refuse) -> None:
    if type(value) not in ((int,) if kind is int else (int, float)):
        raise refuse(
            f"{str(value)[:40]!r} is no {'integer' if kind is int else 'number'}"
        )
    if kind is int and value > MAX_INTEGER and declaration.at_most is None:
        raise refuse(f"{str(value)[:40]} is too large")
    schedules.require_float32(value, refuse)
    low, high = declaration.at_least, declaration.at_most
    if low is not None and value < low:
        raise refuse(f"{value} is too small")
    if declaration.above is not None and value <= declaration.above:
        raise refuse(f"{value} is too small")
    if high is not None and value > high:
        raise refuse(f"{value} is too large")
    if declaration.below is not None and value >= declaration.below:
        raise refuse(f"{value} is too large")
