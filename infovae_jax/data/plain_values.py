"""Columns of a table's any objects as numbers and texts, which a file can keep."""

import datetime
import decimal
import numbers
import re
import uuid
from typing import Any

import numpy as np

# What pandas says that a column holds.
_PLAIN = ("string", "boolean", "integer", "floating", "mixed-integer-float", "empty")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATES = ("date", "datetime", "datetime64", "time", "timedelta", "timedelta64")


def plain(values: Any, place: Any) -> Any:
    """A column `[n]` as one of numbers, bools, texts and dates alone.

    Decimals and fractions become numbers; intervals, periods and UUIDs texts.

    Args:
      values: a pandas Series.
      place: `kinds.Place`, for messages.

    Raises:
      DataError: others, which no file of a model could keep.
    """
    import pandas

    kind = _content(values)
    if kind == "categorical":
        levels = pandas.Series(values.cat.categories)
        if are_dates(levels):
            return values.astype(levels.dtype)
        told = plain(levels, place)
        return values if told is levels else values.cat.rename_categories(list(told))
    if kind in (*_PLAIN, *_DATES):
        return values
    there = values.notna().to_numpy()
    pairs = zip(values.array, there, strict=True)
    found = [_plain_value(v) if known else np.nan for v, known in pairs]
    if None in found:
        index = found.index(None)
        what = f"{type(values.array[index]).__name__} in place of numbers or texts"
        fix = f"give such, or set data.columns='{place.column}=ignore'"
        raise place.refuse(index, what, fix)
    return pandas.Series(found, values.index, object, values.name).infer_objects()


def _plain_value(value: Any) -> Any:
    """One value of `plain`, or None."""
    import pandas

    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, numbers.Rational | decimal.Decimal):
        number = float(value)
        return int(number) if number.is_integer() else number
    named = isinstance(value, pandas.Interval | pandas.Period | uuid.UUID)
    return str(value) if named else None


def _content(values: Any) -> str:
    """What pandas says that a column holds, missing values aside."""
    from pandas.api import types

    return types.infer_dtype(values, skipna=True)


def are_dates(values: Any) -> bool:
    """Whether a column holds dates, times or durations."""
    return _content(values) in _DATES


def are_written_dates(levels: list[Any]) -> bool:
    """Whether values are all texts of ISO 8601 dates, such as a CSV file has.

    YYYY-MM-DD, and a time behind it or none.
    """
    return bool(levels) and all(isinstance(v, str) and _is_date(v) for v in levels)


def _is_date(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return False
    return _DAY.match(text.strip()) is not None


def require_no_dates(values: Any, place: Any) -> None:
    """Raises DataError where `are_dates`."""
    if are_dates(values):
        what = "a date in place of numbers or texts"
        raise place.refuse(0, what, "make such of what matters in it")
