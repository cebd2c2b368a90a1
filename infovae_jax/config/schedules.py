"""Scalars that may change over training: a number, or a schedule in words.

Every weight and the learning rate accept a number or one of

    linear(start, end, epochs)          straight line, then constant
    cosine(start, end, epochs)          half a cosine, then constant
    exponential(start, end, epochs)     geometric, then constant
    ramp(start, e1, end, e2)            start until epoch e1, a line to end at e2
    piecewise(v0, e1, v1, e2, v2, ...)  v0 until epoch e1, v1 until e2, ...
    warmup_cosine(peak, warmup, end, epochs)  0 -> peak over `warmup`, then cosine

Durations are in epochs (fractions allowed) so that a recipe does not depend on
the size of the data or of the batch, or shares of the training: ramp(0, 40%, 1, 50%)
has all its parts however long one trains. The text is parsed, never evaluated.

A weight may instead be a wish about its term:

    target(value)                       keep the term at so many nats
    target(value, speed)                the same; 0.01 a step is the default speed

The weight is then a Lagrange multiplier of the training state.
"""

import ast
import math
import re
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax

from infovae_jax.errors import ConfigError, unknown

Schedule = Callable[..., object]

# Share by which a multiplier may change in one step.
TARGET_SPEED = 0.01
# Beyond these a scalar is 0 or infinite in what float32 makes of it.
SMALLEST, LARGEST = 1e-30, 1e6
MAX_TEXT, MAX_EPOCHS = 1000, 1e6
_HELP = "write a number or e.g. 'linear(0, 1, 5)' (5 epochs)"


def _exponential(steps, start, end):
    def geometric(step):
        share = jnp.minimum(step / steps[0], 1.0)
        return start * (end / start) ** share

    return geometric


def _cosine(steps, start, end):
    fall = optax.cosine_decay_schedule(1.0, steps[0])
    return lambda step: end + (start - end) * fall(step)


class _Kind(NamedTuple):
    """A schedule: places of its values and of its durations among the arguments.

    `make(steps, *values)` has the durations in steps; None: any odd number of
    arguments from 3.
    """

    values: tuple[int, ...] | None
    durations: tuple[int, ...] | None
    make: Callable


_KINDS = {
    "linear": _Kind((0, 1), (2,), lambda s, a, b: optax.linear_schedule(a, b, s[0])),
    "cosine": _Kind((0, 1), (2,), _cosine),
    "exponential": _Kind((0, 1), (2,), _exponential),
    "ramp": _Kind(
        (0, 2),
        (1, 3),
        lambda s, a, b: optax.linear_schedule(a, b, s[1] - s[0], s[0]),
    ),
    "warmup_cosine": _Kind(
        (0, 2),
        (1, 3),
        lambda s, a, b: optax.warmup_cosine_decay_schedule(0.0, a, s[0], s[1], b),
    ),
    "piecewise": _Kind(
        None,
        None,
        lambda s, *v: optax.join_schedules([optax.constant_schedule(x) for x in v], s),
    ),
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
    fix = "write target(nats) or target(nats, speed), both above 0"
    _, args = parse_call(value, where, fix, ["target"])
    if not (len(args) in (1, 2) and all(SMALLEST < a < LARGEST for a in args)):
        raise ConfigError(f"wrong arguments in '{value}'", where, fix)
    return Target(args[0], args[1] if len(args) == 2 else TARGET_SPEED)


def require_float32(number: float, refuse: Callable[[str], ConfigError]) -> None:
    """Raises `refuse(what)` for NaN, infinity, and what float32 cannot hold well."""
    if isinstance(number, int) and abs(number) >= 1e30:  # also beyond any float
        raise refuse(f"{str(number)[:40]} is beyond single precision")
    if not math.isfinite(number):
        raise refuse(f"{number} is not a finite number")
    if number and not SMALLEST < abs(number) < 1e30:
        raise refuse(f"{number:.3g} is beyond single precision")


def check(
    value: object,
    where: str,
    minimum: float | None = None,
    targets: bool = False,
    above: float | None = None,
) -> None:
    """Raises ConfigError unless `value` is a finite number or a valid schedule.

    Args:
      value: number or schedule text.
      where: the config key, for the message.
      minimum: smallest value allowed at any time (None: any).
      targets: whether `target(...)` is allowed too.
      above: a number must be above it, and a schedule at some time (None: any).
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
    numbers = [value] if is_constant(value) else _read(value, where)[1]
    for number in numbers:
        require_float32(number, lambda what: ConfigError(what, where, "give another"))
        if minimum is not None and number < minimum:
            raise ConfigError(
                f"{number} is too small", where, f"give a value of at least {minimum:g}"
            )
        if abs(number) > LARGEST:
            raise ConfigError(
                f"{number:g} is too large", where, f"give at most {LARGEST:g}"
            )
    if above is not None and max(numbers) <= above:
        raise ConfigError(
            f"{value} is never above {above:g}", where, f"give one above {above:g}"
        )
    if above is not None and min(numbers) < above:
        raise ConfigError(
            f"{value} falls below {above:g}", where, f"give one above {above:g}"
        )


def make_schedule(
    value: object, steps_per_epoch: int, where: str, num_epochs: float
) -> Schedule:
    """Turns a number or a schedule text into `schedule(step) -> scalar`.

    Args:
      value: number or text, see the module's docstring.
      steps_per_epoch: steps in one epoch.
      where: the config key, for error messages.
      num_epochs: of the training, which durations in per cent are shares of.

    Raises:
      ConfigError: the text is not a schedule, or its durations do not follow one
        another in so many epochs.
    """
    if is_constant(value):
        return optax.constant_schedule(float(value))
    kind, values, _ = _read(value, where)
    epochs = durations(value, num_epochs, where)
    return kind.make([max(1, round(e * steps_per_epoch)) for e in epochs], *values)


def durations(value: object, num_epochs: float, where: str) -> list[float]:
    """The ends of a schedule's parts in epochs, of a training of `num_epochs`.

    Raises:
      ConfigError: as `make_schedule`.
    """
    _, _, given = _read(value, where)
    epochs = [n * num_epochs / 100 if share else n for n, share in given]
    if epochs != sorted(epochs):
        raise ConfigError(
            f"the parts of '{value}' do not follow one another in {num_epochs:g} "
            "epochs",
            where,
            "give all of them in epochs, or all in per cent",
        )
    return epochs


def depends_on_length(value: object) -> bool:
    """Whether a schedule has durations in per cent of the training."""
    return isinstance(value, str) and "%" in value


def _shares(value: object) -> tuple[str, list[bool]]:
    """A text without its per cent signs, and which of its arguments had one."""
    text = str(value)
    inside = text[text.find("(") + 1 : text.rfind(")")]
    shares = [part.rstrip().endswith("%") for part in inside.split(",")]
    return re.sub(r"(?<=[\d.])\s*%(?=\s*[,)])", "", text), shares


def _read(
    value: object, where: str
) -> tuple[_Kind, list[float], list[tuple[float, bool]]]:
    """Kind, values and durations of a schedule in words.

    A duration is a number, and whether it is per cent of the training (else epochs).
    """
    text, shares = _shares(value)
    name, args = parse_call(text, where, _HELP, [*_KINDS, "target"])
    wrong = ConfigError(f"wrong arguments in '{value}'", where, _HELP)
    if name == "target":
        raise wrong
    kind = _KINDS[name]
    if kind.values is None:
        if len(args) < 3 or len(args) % 2 == 0:
            raise wrong
        of_values, of_durations = range(0, len(args), 2), range(1, len(args), 2)
    else:
        if len(args) != len(kind.values) + len(kind.durations):
            raise wrong
        of_values, of_durations = kind.values, kind.durations
    values = [args[i] for i in of_values]
    given = [(args[i], shares[i]) for i in of_durations]
    _check_durations(value, given, any(shares[i] for i in of_values), where)
    if name == "exponential" and not min(values) > 0:
        raise ConfigError(
            f"'{value}' has a value <= 0", where, "exponential needs positive values"
        )
    return kind, values, given


def _check_durations(value, given, shared_value: bool, where: str) -> None:
    """Raises ConfigError where the parts of a schedule have no order of their own."""
    shares = [number for number, share in given if share]
    epochs = [number for number, share in given if not share]
    ordered = shares == sorted(shares) and epochs == sorted(epochs)
    if shared_value or not ordered or min(number for number, _ in given) <= 0:
        raise ConfigError(f"wrong arguments in '{value}'", where, _HELP)
    if max(shares, default=0) > 100:
        raise ConfigError(
            f"'{value}' goes on after 100 % of the training", where, "give at most 100%"
        )
    if max(epochs, default=0) > MAX_EPOCHS:
        raise ConfigError(
            f"'{value}' lasts {max(epochs):g} epochs",
            where,
            f"give at most {MAX_EPOCHS:g}",
        )


def parse_call(
    value: object, where: str, fix: str, known: list[str]
) -> tuple[str, list[float]]:
    """Name and numbers of `name(a, b, ...)`.

    Args:
      value: the text.
      where: the config key, for the message.
      fix: what to do about anything else.
      known: the names.

    Raises:
      ConfigError: no such call, or an unknown name (with the nearest).
    """
    try:
        name, args = parse_text(value)
        if name is None:
            raise ValueError
        args = [float(number) for number in args]
    except (ValueError, OverflowError):
        raise ConfigError(
            f"'{str(value)[:60]}' is neither a number nor a schedule", where, fix
        ) from None
    if name not in known:
        raise unknown("schedule", name, known, where)
    return name, args


def parse_text(value: object) -> tuple[str | None, tuple[float, ...]]:
    """Name and numbers of `name(a, b, ...)`, or None and the numbers of `a, b, ...`.

    The text is parsed, never evaluated.

    Raises:
      ValueError: anything else.
    """
    text = str(value).strip()
    if len(text) > MAX_TEXT:
        raise ValueError("too long")
    try:
        tree = ast.parse(text, mode="eval").body
        name, numbers = None, tree
        if isinstance(tree, ast.Call):
            name = tree.func.id
            numbers = ast.Tuple(tree.args, ast.Load())
            if tree.keywords:
                raise ValueError("arguments by name")
        numbers = ast.literal_eval(numbers)
    except (SyntaxError, AttributeError, TypeError, MemoryError, RecursionError):
        raise ValueError("no numbers") from None
    numbers = numbers if isinstance(numbers, tuple | list) else (numbers,)
    if not all(type(number) in (int, float) for number in numbers):
        raise ValueError("no numbers")
    return name, tuple(numbers)
