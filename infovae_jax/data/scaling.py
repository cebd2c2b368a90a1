"""Columns and pictures of any range become values that a likelihood suits, and back.

The statistics are those of the training examples; they belong to the model.
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.config.groups import SCALINGS as KINDS
from infovae_jax.data import raw_splits
from infovae_jax.data.kinds import MAX_COUNT
from infovae_jax.distributions.likelihoods import LIKELIHOODS, make_likelihood
from infovae_jax.errors import ConfigError, DataError, unknown
from infovae_jax.types import DataSpec

# Whole numbers from 0 to this are grey levels, in pictures and in tables of at least
# MIN_PIXELS columns.
MAX_GREY, MIN_PIXELS = 255, 16
_KEY = "config.data.scaling"
# What dividing and multiplying by a factor again may leave.
_ROUNDING = 1e-6


class Scaling(NamedTuple):
    """stored = (x - shift) / factor, as `dtype`.

    Attributes:
      kind: one of KINDS, 'auto' excepted.
      shift: broadcasts against `[n, H, W, C]`, float64.
      factor: as `shift`; never 0.
      dtype: 'uint8' for bytes that are divided by 255 on the device, else 'float32'.
      decision: what was done and why, in words.
    """

    kind: str
    shift: np.ndarray
    factor: np.ndarray
    dtype: str
    decision: str

    def stored(self, x: np.ndarray) -> np.ndarray:
        """Images `[n, H, W, C]` of any numbers as the model takes them.

        Bytes stay bytes; other numbers of a model of bytes are divided by 255.

        Raises:
          DataError: fractions up to 1, for a model of bytes: they are divided already.
        """
        if self.dtype == "uint8" and x.dtype == np.uint8:
            return x
        if self.dtype == "uint8" and x.dtype == bool:
            return x.astype(np.float32)  # black and white
        if self.dtype == "uint8" and self.kind == "none" and are_fractions(x):
            raise DataError(
                "fractions from 0 to 1, for a model of bytes",
                "X",
                "give whole numbers from 0 to 255, as it was trained on",
            )
        shift, factor = self.shift, self.factor
        if self.kind == "none":
            if self.dtype != "uint8":
                return np.ascontiguousarray(x, np.float32)
            shift, factor = 0.0, 255.0
        out = np.empty(x.shape, np.float32)
        for start, part in raw_splits.chunks(x):
            scaled = (np.asarray(part, np.float64) - shift) / factor
            # What lies beyond float32 is shown as such by the checks that follow.
            with np.errstate(over="ignore"):
                out[start : start + len(part)] = scaled
        return out

    def known(self, x: np.ndarray, likelihood: str, are_images: bool) -> np.ndarray:
        """`stored`, of new examples, which are to be like those of training.

        Raises:
          DataError: values that the likelihood, one of [0, 1], does not have.
        """
        out = self.stored(x)
        of_unit = self.kind == "none" and _is_of_unit(likelihood)
        scaled = are_images and self.kind in ("grey", "unit")
        if out.dtype == np.uint8 or not out.size or not (of_unit or scaled):
            return out
        low, high = _range(out)
        if of_unit:
            if low < -_ROUNDING or high > 1 + _ROUNDING:
                top = 255 if self.dtype == "uint8" else 1
                low, high = _range(x)
                raise DataError(
                    f"values from {told(low)} to {told(high)}; training had 0 to {top}",
                    "X",
                    "scale it as the training data were",
                )
        elif max(-low, high - 1) > 1:
            warnings.warn(
                f"values of X are far outside those of training ({self.decision}): "
                "scale it as the training data were",
                stacklevel=4,
            )
        return out

    def original(self, images: np.ndarray) -> np.ndarray:
        """Images in the range of the model `[n, H, W, C]` in that of the data."""
        if self.kind == "none":
            return images * np.float32(255.0) if self.dtype == "uint8" else images
        return (images * self.factor + self.shift).astype(np.float32)


UNCHANGED = Scaling("none", np.zeros(()), np.ones(()), "float32", "taken as they are")


def choose(
    x: Any, kind: str, likelihood: str, is_table: bool, where: str = "X"
) -> Scaling:
    """Settles how the training examples are scaled.

    Args:
      x: `[n, H, W, C]` finite numbers or bools; an array, or what has its length,
        shape, type and slices.
      kind: one of KINDS. 'auto': nothing for bytes and for values in [0, 1]; grey
        levels by 'grey', over the greatest; tables by 'standardize', or where the
        likelihood is one of [0, 1] by 'unit'; pictures by 'unit'.
      likelihood: 'auto' or a name of LIKELIHOODS.
      is_table: whether columns have ranges of their own.
      where: names the examples in messages.

    Raises:
      ConfigError: unknown kind, or 'grey' of numbers below 0 or of 0 alone.
      DataError: numbers that float32 does not hold.
    """
    if kind not in KINDS:
        raise unknown("value", kind, KINDS, _KEY)
    axis = 0 if is_table else None
    lows, highs = _ends(x, axis)
    low, high = float(lows.min()), float(highs.max())
    if raw_splits.lost_in_float32(low, high):
        raw_splits.require_float32(lows, highs, where)
    bytes_ = x.dtype == np.uint8 and high > 1
    dtype = "uint8" if bytes_ else "float32"
    span = f"values of {told(low)} to {told(high)}"
    if kind == "none" or (kind == "auto" and (bytes_ or 0 <= low <= high <= 1)):
        how = "bytes, divided by 255" if bytes_ else f"{span}, taken as they are"
        return Scaling("none", np.zeros(()), np.ones(()), dtype, how)
    size = math.prod(x.shape[1:])
    grey = low >= 0 and high <= MAX_GREY and (not is_table or size >= MIN_PIXELS)
    if kind == "auto" and grey and all((p == np.rint(p)).all() for p in _parts(x)):
        kind = "grey"
    if kind == "grey":
        if not 0 <= low < high:
            fix = "give 'unit', or numbers from 0"
            raise ConfigError(f"{span} are no grey levels", _KEY, fix)
        text = f"grey levels 0 to {high:.4g}, divided by {high:.4g}"
        text += _of_counts(x, lows, highs) if is_table else ""
        return Scaling("grey", np.zeros(()), np.asarray(high), "float32", text)
    if kind == "auto":
        kind = "standardize" if is_table and not _is_of_unit(likelihood) else "unit"
    raw_splits.require_float32(lows, highs, where)
    each = "each column" if is_table else "all values"
    if kind == "unit":
        shift, factor = lows, highs - lows
        text = f"{span}; {each} brought to [0, 1]"
    else:
        shift, factor = _moments(x, axis)
        text = f"{span}; {each} standardised to mean 0 and standard deviation 1"
    constant = _is_constant(factor, shift)
    if constant.any() and is_table:
        text += f"; {int(constant.sum())} constant"
    if is_table and kind == "standardize":
        text += _of_counts(x, lows, highs)
    return Scaling(kind, shift, np.where(constant, 1.0, factor), "float32", text)


def asked(
    x: Any, is_table: bool, kind: str, likelihood: str, where: str = "X"
) -> Scaling | None:
    """What `data.scaling` means for the training examples of a file.

    'auto' is narrower than `choose`'s: rows of fractions of which some are outside
    [0, 1] are scaled, where no likelihood is named; pictures have the range that
    somebody gave them.

    Returns:
      None where the examples are to be taken as they are.
    """
    type_ = np.dtype(x.dtype).kind
    wanted = is_table and type_ == "f" and likelihood == "auto"
    if kind == "none" or type_ not in "biuf" or (kind == "auto" and not wanted):
        return None
    # Of what is not finite there are no statistics; the scan of `spec` names it.
    if not all(np.isfinite(part).all() for part in _parts(x)):
        return None
    found = choose(x, kind, likelihood, is_table, where)
    return None if found.kind == "none" else found


def told(value: float, digits: int = 4) -> str:
    """So many digits of a value, or as many as tell it from 0 and from 1."""
    text = f"{value:.{digits}g}"
    hidden = float(text) in (0.0, 1.0) and float(text) != value
    return f"{value:.9g}" if hidden else text


def _moments(x: Any, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of columns, or with None of all values; float64."""
    count = len(x) if axis == 0 else math.prod(x.shape)
    mean = sum(part.sum(axis, dtype=np.float64) for part in _parts(x)) / count
    spread = sum(
        np.square(np.asarray(part, np.float64) - mean).sum(axis) for part in _parts(x)
    )
    return np.asarray(mean), np.sqrt(np.asarray(spread) / count)


def _of_counts(x: Any, lows: np.ndarray, highs: np.ndarray) -> str:
    """What else columns of whole numbers from 0 can be."""
    found = (lows >= 0) & (highs > 1) & (highs <= MAX_COUNT)
    for part in _parts(x) if found.any() else ():
        found &= (part == np.rint(part)).all(0)
    count = int(found.sum())
    what = f"; {count} of whole numbers from 0: if they count something, `columns` of a"
    return f"{what} table may call them 'count'" if count else ""


def _is_constant(factor: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Where the spread of a column is no more than rounding."""
    return factor <= 10 * np.finfo(np.float64).eps * np.abs(shift)


def are_fractions(x: np.ndarray) -> bool:
    """Whether all is in [0, 1] and not all of it whole."""
    low, high = _range(x) if x.size else (0.0, 0.0)
    return 0 <= low <= high <= 1 and any((p != np.rint(p)).any() for p in _parts(x))


def _parts(x: Any):
    return (part for _, part in raw_splits.chunks(x))


def _range(x: Any) -> tuple[float, float]:
    low, high = _ends(x, None)
    return float(low), float(high)


def _ends(x: Any, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest numbers, float64; one pass, as they may come from a file."""
    lows, highs = zip(*((p.min(axis), p.max(axis)) for p in _parts(x)), strict=True)
    return np.min(lows, 0).astype(np.float64), np.max(highs, 0).astype(np.float64)


def _is_of_unit(likelihood: str) -> bool:
    """Whether a likelihood is one of values in [0, 1]."""
    if likelihood not in LIKELIHOODS:
        return False
    spec = DataSpec((1, 1, 1), "float32", likelihood, 1, 0, False)
    return make_likelihood(spec).support == (0.0, 1.0) or likelihood == "bernoulli"


def to_json(scaling: Scaling) -> dict[str, Any]:
    """As JSON holds it."""
    return scaling._replace(
        shift=scaling.shift.tolist(), factor=scaling.factor.tolist()
    )._asdict()


def from_json(values: dict[str, Any]) -> Scaling:
    """From `to_json`.

    Raises:
      ConfigError: fields are missing, or are not what they should be.
    """
    try:
        scaling = Scaling(**values)
        return scaling._replace(
            shift=np.asarray(scaling.shift, np.float64),
            factor=np.asarray(scaling.factor, np.float64),
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"no statistics of a scaling ({error})", "model file", "save it again"
        ) from None
