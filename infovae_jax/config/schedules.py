"""Scalars that may change over training: a number, or a schedule in words.

Every weight and the learning rate accept a number or one of

    linear(start, end, epochs)          straight line, then constant
    cosine(start, end, epochs)          half a cosine, then constant
    exponential(start, end, epochs)     geometric, then constant
    ramp(start, e1, end, e2)            start until epoch e1, a line to end at e2
    piecewise(v0, e1, v1, e2, v2, ...)  v0 until epoch e1, v1 until e2, ...
    warmup_cosine(peak, warmup, end, epochs)  0 -> peak over `warmup`, then cosine

Durations are in epochs (fractions allowed) so that a recipe does not depend on
the size of the data or of the batch. The text is parsed, never evaluated.

A weight may instead be a wish about its term:

    target(value)                       keep the term at so many nats
    target(value, speed)                the same; 0.01 a step is the default speed

The weight is then a Lagrange multiplier of the training state.
"""

import ast
import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax

from infovae_jax.errors import ConfigError, nearest

Schedule = Callable[..., object]

# Share by which a multiplier may change in one step.
TARGET_SPEED = 0.01

_NUM_ARGUMENTS = {
    "linear": 3,
    "cosine": 3,
    "exponential": 3,
    "ramp": 4,
    "warmup_cosine": 4,
}


def is_constant(value: object) -> bool:
    """Whether `value` is a plain number (not a schedule in words)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_target(value: object) -> bool:
    """Whether `value` asks for a target of the term instead of giving a weight."""
    return isinstance(value, str) and value.strip().startswith("target")


class Target(NamedTuple):
    """A term to be held at `value` nats by a multiplier; `speed` is its step."""

    value: float
    speed: float


def make_target(value: str, where: str) -> Target:
    """Reads `target(value)` or `target(value, speed)`.

    Raises:
      ConfigError: other arguments, or not above 0.
    """
    _, args = _parse(value, where)
    return Target(args[0], args[1] if len(args) == 2 else TARGET_SPEED)


def check(
    value: object,
    where: str,
    minimum: float | None = None,
    targets: bool = False,
) -> None:
    """Raises ConfigError unless `value` is a finite number or a valid schedule.

    Args:
      value: number or schedule text.
      where: the config key, for the message.
      minimum: smallest value allowed at any time (None: any).
      targets: whether `target(...)` is allowed too.
    """
    if is_target(value):
        if not targets:
            raise ConfigError(
                f"'{value}' is for a term of the loss",
                where,
                "write a number or a schedule",
            )
        make_target(value, where)
        return
    numbers = [value] if is_constant(value) else _values(*_parse(value, where))
    for number in numbers:
        if not math.isfinite(number):
            raise ConfigError(f"{number} is not a finite number", where, "give one")
        if minimum is not None and number < minimum:
            raise ConfigError(
                f"{number} is too small", where, f"give a value of at least {minimum}"
            )


def make_schedule(value: object, steps_per_epoch: int, where: str) -> Schedule:
    """Turns a number or a schedule text into `schedule(step) -> scalar`.

    Args:
      value: number or text, see the module's docstring.
      steps_per_epoch: steps in one epoch.
      where: the config key, for error messages.

    Raises:
      ConfigError: the text is not a schedule.
    """
    if is_constant(value):
        return optax.constant_schedule(float(value))
    name, args = _parse(value, where)
    steps = [
        max(1, round(epochs * steps_per_epoch)) for epochs in _durations(name, args)
    ]
    if name == "linear":
        return optax.linear_schedule(args[0], args[1], steps[0])
    if name == "cosine":
        start, end = args[:2]
        fall = optax.cosine_decay_schedule(1.0, steps[0])
        return lambda step: end + (start - end) * fall(step)
    if name == "exponential":
        start, end = args[:2]

        def geometric(step):
            share = jnp.minimum(step / steps[0], 1.0)
            return start * (end / start) ** share

        return geometric
    if name == "ramp":
        start, _, end, _ = args
        return optax.linear_schedule(start, end, steps[1] - steps[0], steps[0])
    if name == "warmup_cosine":
        peak, _, end, _ = args
        return optax.warmup_cosine_decay_schedule(0.0, peak, steps[0], steps[1], end)
    pieces = [optax.constant_schedule(value) for value in args[0::2]]
    return optax.join_schedules(pieces, steps)


def _parse(value: object, where: str) -> tuple[str, list[float]]:
    """Splits `name(a, b, ...)` into its name and numbers, without evaluating."""
    help_text = "write a number or e.g. 'linear(0, 1, 5)' (5 epochs)"
    try:
        call = ast.parse(str(value).strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.keywords:
            raise ValueError
        name = call.func.id
        args = [float(ast.literal_eval(argument)) for argument in call.args]
    except (SyntaxError, ValueError, AttributeError, TypeError):
        raise ConfigError(
            f"'{value}' is neither a number nor a schedule", where, help_text
        ) from None
    known = [*_NUM_ARGUMENTS, "piecewise", "target"]
    if name not in known:
        hint = nearest(name, known)
        raise ConfigError(
            f"unknown schedule '{name}'{hint}", where, f"use one of {', '.join(known)}"
        )
    if name == "target":
        if not (len(args) in (1, 2) and all(0 < a < math.inf for a in args)):
            raise ConfigError(
                f"wrong arguments in '{value}'",
                where,
                "write target(nats) or target(nats, speed), both above 0",
            )
        return name, args
    if name == "piecewise":
        valid = len(args) >= 3 and len(args) % 2 == 1
        valid = valid and args[1::2] == sorted(args[1::2])
    else:
        valid = len(args) == _NUM_ARGUMENTS[name]
        valid = valid and _durations(name, args) == sorted(_durations(name, args))
    if not valid or any(duration <= 0 for duration in _durations(name, args)):
        raise ConfigError(f"wrong arguments in '{value}'", where, help_text)
    if name == "exponential" and not (args[0] > 0 and args[1] > 0):
        raise ConfigError(
            f"'{value}' has a value <= 0", where, "exponential needs positive values"
        )
    return name, args


def _durations(name: str, args: list[float]) -> list[float]:
    return args[1::2] if name in ("piecewise", "ramp", "warmup_cosine") else [args[2]]


def _values(name: str, args: list[float]) -> list[float]:
    return args[0::2] if name in ("piecewise", "ramp", "warmup_cosine") else args[:2]
