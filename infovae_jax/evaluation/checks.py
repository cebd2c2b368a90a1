"""What every metric asks of its arrays, and the errors that name metric and argument.

A figure from half-finite numbers is worse than none: NaN and infinity are refused
(MetricError, exit code 5), and so are empty or unlike arrays (DataError, exit code 3).
"""

import numpy as np

from infovae_jax.errors import DataError, MetricError


def array(
    values, metric: str, name: str, ndim: int | None = None, least: int = 1
) -> np.ndarray:
    """`values` as float64, finite, of `ndim` axes and at least `least` rows.

    Args:
      values: anything that NumPy takes.
      metric: for the message.
      name: of the argument, for the message.
      ndim: axes; None for any number above 0.
      least: rows.

    Raises:
      DataError: another rank, or too few values.
      MetricError: a value that is not finite, with its index.
    """
    checked = np.asarray(values)
    if checked.dtype.kind not in "fiub":
        raise DataError(
            f"{name} of type {checked.dtype}", f"{metric}, {name}", "give numbers"
        )
    checked = checked.astype(np.float64)
    wrong_rank = checked.ndim == 0 if ndim is None else checked.ndim != ndim
    if wrong_rank or not checked.size or len(checked) < least:
        axes = "any" if ndim is None else ndim
        raise DataError(
            f"{name} of shape {checked.shape}",
            f"{metric}, {name}",
            f"give {axes} axes and at least {least} on the first",
        )
    bad = ~np.isfinite(checked)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        where = ", ".join(map(str, index))
        raise MetricError(
            f"{checked[index]} in {name} at [{where}]",
            f"{metric}, {name}",
            "remove or repair that example",
        )
    return checked


def matrix(values, metric: str, name: str, least: int = 1) -> np.ndarray:
    """`array` of two axes, `[n, d]`."""
    return array(values, metric, name, 2, least)


def vector(values, metric: str, name: str, least: int = 1) -> np.ndarray:
    """`array` of one axis, `[n]`."""
    return array(values, metric, name, 1, least)


def integers(values, metric: str, name: str) -> np.ndarray:
    """Class numbers `[n]` as int64.

    Raises:
      DataError: fractions or negative numbers; and as `array`.
    """
    checked = vector(values, metric, name)
    whole = checked.astype(np.int64)
    if (whole != checked).any() or whole.min() < 0:
        raise DataError(
            f"fractions or negative numbers in {name}",
            f"{metric}, {name}",
            "give integers from 0",
        )
    return whole


def probabilities(values, metric: str, name: str) -> np.ndarray:
    """Rows on the simplex, `[n, K]`.

    Raises:
      DataError: a row that is none; and as `array`.
    """
    checked = matrix(values, metric, name)
    wrong = (checked < -1e-6).any(1) | (np.abs(checked.sum(1) - 1.0) > 1e-3)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"row {row} of {name} is no distribution (sum {checked[row].sum():.6g})",
            f"{metric}, {name}",
            "give probabilities, such as the softmax of logits",
        )
    return checked


def same_length(metric: str, **arrays) -> None:
    """Raises DataError where the arrays differ in their number of rows."""
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{size} {name}" for name, size in lengths.items())
        names = " and ".join(lengths)
        raise DataError(text, f"{metric}, {names}", "give one of each an example")


def same_width(metric: str, **arrays) -> None:
    """Raises DataError where the arrays differ in all axes but the first."""
    shapes = {name: np.shape(values)[1:] for name, values in arrays.items()}
    if len(set(shapes.values())) > 1:
        text = ", ".join(f"{name} of {shape} a row" for name, shape in shapes.items())
        names = " and ".join(shapes)
        raise DataError(text, f"{metric}, {names}", "give rows of one size")
