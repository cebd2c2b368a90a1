"""One column of a table: its kind by its values, and its numbers in a row.

The rules of `judge`, in this order; values that are missing are left aside:

    ignore       no value; one value throughout; dates; whole numbers that only count
                 the rows; a different text in every row, or more than MAX_LEVELS texts
    binary       two values
    categorical  texts; a pandas or polars category; 3 to MAX_FEW whole numbers, each
                 ten times on average
    numeric      other numbers
"""

import contextlib
import re
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import plain_values
from infovae_jax.data.labels import UNKNOWN
from infovae_jax.distributions.columns import COUNTS
from infovae_jax.errors import ConfigError, DataError, printable

IGNORE = "ignore"
# Texts that become categories by themselves, and those that may on demand.
MAX_LEVELS, MOST_LEVELS = 50, 1000
MAX_FEW, TIMES = 10, 10
# Share of a column's values up to which texts among numbers are taken for slips.
MOST_SLIPS = 0.2
_COMMAS = re.compile(r"[+-]?\d*(,\d+)*(\.\d+)?")
_SHOWN = 6  # columns in a message
# log(1 + count) in float32 still tells all counts up to this apart.
MAX_COUNT = 100_000


SAID, ROW_NUMBERS = "as data.columns says", "row numbers"
EACH = "a different text in every row"
_OF_IDS = (SAID, ROW_NUMBERS, EACH)


class Column(NamedTuple):
    """What one column is.

    Attributes:
      name: as in the table.
      kind: of `distributions.columns.KINDS`, or IGNORE.
      why: the reason, in words.
      levels: the values of a binary or categorical one, in order.
      shift: mean of a numeric one; of a count the log of its mean.
      factor: standard deviation of a numeric one.
      fill: what a missing value becomes; None: it is refused.
      whole: whether its values were whole numbers.
    """

    name: str
    kind: str
    why: str
    levels: tuple[Any, ...] = ()
    shift: float = 0.0
    factor: float = 1.0
    fill: Any = None
    whole: bool = False

    @property
    def size(self) -> int:
        """Numbers that it takes in a row."""
        return len(self.levels) if self.kind == "categorical" else 1

    @property
    def is_id(self) -> bool:
        """Whether it was left out as it tells rows apart, or by the user's word."""
        return self.kind == IGNORE and self.why.startswith(_OF_IDS)


class Place(NamedTuple):
    """Where a value stands, for messages: column, table, number of the first row."""

    column: str
    where: str
    first: int

    def refuse(self, index: int, what: str, fix: str) -> DataError:
        """The error about the value in the `index`-th of these rows."""
        row = self.first + int(index)
        what = f"{what} in column '{self.column}', row {row}"
        return DataError(what, self.where, fix)


def judge(
    name: str,
    values: Any,
    train: np.ndarray,
    kind: str | None,
    missing: str,
    where: str,
) -> Column:
    """Settles what a column is; see `columns.learn`.

    Args:
      name: of the column.
      values: a pandas Series.
      train: indices of the training rows.
      kind: what it is to be, or None: by its values.
      missing: 'refuse' or 'impute'.
      where: names the table in messages.
    """
    if kind == IGNORE:
        return Column(name, kind, SAID)
    values, said = plain_values.plain(values, Place(name, where, 0)), kind is not None
    if said:
        plain_values.require_no_dates(values, Place(name, where, 0))
    there = values.dropna()
    levels = _levels(there)
    if not said:
        _require_points(values, levels, Place(name, where, 0))
    kind, why = (kind, SAID) if said else _infer(there, levels)
    if kind == IGNORE:
        if len(levels) > MAX_LEVELS:
            _require_numbers(values, levels, name, where)
        return Column(name, kind, why)
    column = Column(name, kind, why, whole=_are_whole(there))
    if kind in ("binary", "categorical"):
        column = _with_levels(column, levels, said)
        column = column._replace(why=f"{why}: {_shown(column.levels)}")
    else:
        column = _with_moments(column, values, train, where, said)
    if len(there) < len(values) and missing == "impute":
        fill = column.shift if kind == "numeric" else _most_frequent(values, train)
        how = f"mean {fill:.4g}" if kind == "numeric" else f"most frequent {fill!r}"
        count = len(values) - len(there)
        become = "becomes" if count == 1 else "become"
        text = f"{column.why}; {_missing(count)} {become} the {how}"
        column = column._replace(fill=fill, why=text)
    return column


def missing_values(frame: Any) -> tuple[str, str]:
    """Which columns lack values, in words, and the first of them; '' twice for none."""
    absent = frame.isna().to_numpy()
    pairs = zip(map(str, frame.columns), absent.sum(0).tolist(), strict=True)
    counts = [(name, count) for name, count in pairs if count]
    if not counts:
        return "", ""
    (name, count), *rest = counts
    index = int(absent[:, absent.any(0).argmax()].argmax())
    more = "".join(f"; {n} in '{other}'" for other, n in rest[: _SHOWN - 1])
    if len(rest) >= _SHOWN:
        more += f"; and in {len(rest) - _SHOWN + 1} more"
    first = f"{_missing(count)} in column '{name}', the first in row {index}"
    return first + more, name


def require_whole(frame: Any, where: str) -> None:
    """Raises DataError where a value of a table is missing, with all such columns."""
    what, name = missing_values(frame)
    if what:
        fix = f"fill them, set data.missing='impute', or data.columns='{name}=ignore'"
        raise DataError(what, where, fix)


def _require_numbers(values: Any, levels: list[Any], name: str, where: str) -> None:
    """Raises DataError where nearly all values are numbers, as texts, and some are not.

    A slip of the pen would else cost the whole column.
    """
    import pandas

    if not any(isinstance(level, str) for level in levels):
        return
    slips = pandas.to_numeric(values, errors="coerce").isna() & values.notna()
    count = int(slips.sum())
    if 0 < count <= MOST_SLIPS * int(values.notna().sum()):
        index = int(slips.to_numpy().argmax())
        raise DataError(
            f"{count} of {len(values)} values of column '{name}' "
            f"{'is' if count == 1 else 'are'} no number, the first, "
            f"{str(values.iloc[index])[:40]!r}, in row {index}",
            where,
            f"repair them, or set data.columns='{name}=ignore'",
        )


def _require_points(values: Any, levels: list[Any], place: Place) -> None:
    """Raises DataError where nearly all values are numbers, some of them with a comma.

    Texts of many numbers would else be categories, or ignored.
    """
    texts = [level for level in levels if isinstance(level, str)]
    like = [level for level in texts if _COMMAS.fullmatch(level.strip())]
    commas = {level for level in like if "," in level}
    if commas and len(texts) - len(like) <= MOST_SLIPS * len(levels):
        index = int(values.isin(commas).to_numpy().argmax())
        raise place.refuse(
            index,
            f"numbers with a comma, {values.iloc[index]!r},",
            "write points: pandas.read_csv has decimal=',' and thousands=','; or set "
            f"data.columns='{place.column}=categorical'",
        )


def _levels(there: Any) -> list[Any]:
    """The different values, in order."""
    found = [v.item() if isinstance(v, np.generic) else v for v in there.unique()]
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=str)


def _infer(there: Any, levels: list[Any]) -> tuple[str, str]:
    dtype, count = there.dtype, len(levels)
    if plain_values.are_dates(there) or plain_values.are_written_dates(levels):
        return IGNORE, "dates; make numbers of what matters in them"
    if count == 0:
        return IGNORE, "no value"
    if count == 1:
        return IGNORE, f"constant, {levels[0]!r} throughout"
    if count == 2:
        return "binary", "two values"
    category = str(dtype) == "category"
    if category or not _are_numbers(levels):
        if count > MAX_LEVELS:
            each = count == len(there) and not category
            what = EACH if each else f"{count} categories"
            return IGNORE, f"{what}; at most {MAX_LEVELS} are taken by themselves"
        return "categorical", f"{count} categories"
    if _are_whole(there):
        if count == len(there) and levels[-1] - levels[0] == count - 1:
            return IGNORE, ROW_NUMBERS
        if count <= MAX_FEW and len(there) >= TIMES * count:
            return "categorical", f"{count} whole numbers only"
    return "numeric", f"numbers from {levels[0]:.4g} to {levels[-1]:.4g}"


def _are_numbers(levels: list[Any]) -> bool:
    return all(isinstance(v, int | float) for v in levels)


def _are_plain_numbers(levels: tuple[Any, ...]) -> bool:
    return all(isinstance(v, int | float) and type(v) is not bool for v in levels)


def _are_whole(there: Any) -> bool:
    from pandas.api import types

    if not types.is_numeric_dtype(there.dtype) or types.is_bool_dtype(there.dtype):
        return False
    if types.is_integer_dtype(there.dtype):
        return True
    numbers = there.to_numpy(np.float64)
    return bool((numbers == np.rint(numbers)).all())


def _missing(count: int) -> str:
    return f"{count} missing value{'s' * (count != 1)}"


def _shown(levels: tuple[Any, ...]) -> str:
    more = ", ..." if len(levels) > 6 else ""
    return ", ".join(map(str, levels[:6])) + more


def _with_levels(column: Column, levels: list[Any], said: bool) -> Column:
    where = f"config.data.columns, '{column.name}'"
    if column.kind == "binary" and len(levels) != 2:
        what = f"{len(levels)} values, {_shown(tuple(levels))}, are not two"
        raise ConfigError(what, where, "say 'categorical'")
    if column.kind == "categorical" and not 2 <= len(levels) <= MOST_LEVELS:
        what = f"{len(levels)} categories"
        raise ConfigError(what, where, f"2 to {MOST_LEVELS} can be; say 'ignore'")
    del said
    return column._replace(levels=tuple(levels))


def _with_moments(
    column: Column, values: Any, train: np.ndarray, where: str, said: bool
) -> Column:
    place = Place(column.name, where, 0)
    numbers = _numbers(values, place)
    known = numbers[train][~np.isnan(numbers[train])]
    if not len(known):
        raise place.refuse(0, "no value in the training rows", "ignore that column")
    # In units of the power of two above the largest: exact, and squares of any stay
    # within what float64 holds.
    _, exponent = np.frexp(np.abs(known).max())
    known = np.ldexp(known, -exponent)
    shift = float(np.ldexp(known.mean(), exponent))
    if column.kind in COUNTS:
        _require_counts(numbers, place, "say 'numeric'")
        mean, shift = shift, float(np.log(max(shift, 0.5 / len(known))))
        why = f"{column.why}; counts of mean {mean:.4g}"
        return column._replace(shift=shift, why=why)
    factor = float(np.ldexp(known.std(), exponent))
    # The spread of a constant column is rounding.
    if factor <= 10 * np.finfo(np.float64).eps * abs(shift):
        factor = 1.0
    why = f"{column.why}; mean {shift:.4g}, standard deviation {factor:.4g}"
    whole = column.whole and not np.nanmin(numbers) < 0
    if whole and not said and np.nanmax(numbers) <= MAX_COUNT:
        why += "; if they count something, say 'count'"
    return column._replace(shift=shift, factor=factor, why=why)


def _require_counts(numbers: np.ndarray, place: Place, fix: str) -> None:
    known = np.where(np.isnan(numbers), 0.0, numbers)
    bad = (known < 0) | (known > MAX_COUNT) | (known != np.rint(known))
    if bad.any():
        index = int(bad.argmax())
        fix = f"counts are whole numbers from 0 to {MAX_COUNT}; {fix}"
        raise place.refuse(index, f"{numbers[index]:.6g} is no count", fix)


def _most_frequent(values: Any, train: np.ndarray) -> Any:
    modes = values.iloc[train].mode()
    value = modes.iloc[0] if len(modes) else values.dropna().iloc[0]
    return value.item() if isinstance(value, np.generic) else value


def _numbers(values: Any, place: Place) -> np.ndarray:
    """A column as float64 `[n]`, NaN where missing.

    Raises:
      DataError: what is there is no number, or infinite.
    """
    import pandas
    from pandas.api import types

    if types.is_numeric_dtype(values.dtype) and not types.is_complex_dtype(
        values.dtype
    ):
        numbers = values.to_numpy(np.float64, na_value=np.nan)
    else:
        # Dates and complex numbers would become numbers, of no sense.
        if values.dtype.kind not in "OTU" and str(values.dtype) != "category":
            what = f"{values.dtype} in place of numbers"
            raise place.refuse(0, what, "give numbers, or ignore that column")
        numbers = pandas.to_numeric(values, errors="coerce")
        numbers = numbers.to_numpy(np.float64, na_value=np.nan)
        bad = np.isnan(numbers) & ~values.isna().to_numpy()
        if bad.any():
            index = int(bad.argmax())
            what = f"'{printable(str(values.iloc[index]))}' is no number"
            raise place.refuse(index, what, "give numbers, as training had")
    infinite = np.isinf(numbers)
    if infinite.any():
        index = int(infinite.argmax())
        raise place.refuse(index, f"{numbers[index]}", "give finite numbers")
    return numbers


def _filled(missing: np.ndarray, column: Column, place: Place) -> Any:
    """The value that stands for missing ones.

    Raises:
      DataError: there are to be none.
    """
    if column.fill is None:
        index = int(missing.argmax())
        fix = "fill it; the model was trained without missing values in this column"
        raise place.refuse(index, "a missing value", fix)
    return column.fill


def write(out: np.ndarray, at: slice, column: Column, values: Any, place: Place):
    """Writes a column `[n]` into its numbers `at` of rows `[n, W]`, which are 0."""
    values = plain_values.plain(values, place)
    if column.kind in ("binary", "categorical"):
        numbers = level_numbers(values, column.levels)
        missing = numbers < 0
        if missing.any():
            absent = values.isna().to_numpy()
            strange = missing & ~absent
            if strange.any():
                index = int(strange.argmax())
                raise place.refuse(
                    index,
                    f"'{printable(str(values.iloc[index]))}', which training never had",
                    f"known are {_shown(column.levels)}",
                )
            fill = _filled(absent, column, place)
            numbers[missing] = column.levels.index(fill)
        if column.kind == "binary":
            out[:, at.start] = numbers
        else:
            out[np.arange(len(out)), at.start + numbers] = 1.0
        return
    numbers = _numbers(values, place)
    missing = np.isnan(numbers)
    if missing.any():
        numbers = np.where(missing, _filled(missing, column, place), numbers)
    if column.kind in COUNTS:
        _require_counts(numbers, place, "repair that value")
        out[:, at.start] = np.log1p(numbers)
        return
    scaled = (numbers - column.shift) / column.factor
    beyond = np.abs(scaled) > np.finfo(np.float32).max
    if beyond.any():
        index = int(beyond.argmax())
        what = f"{numbers[index]:.4g} is beyond all that training had"
        raise place.refuse(index, what, "repair that value")
    out[:, at.start] = scaled


def texts(values: Any) -> np.ndarray:
    """A column `[n]` as texts, whole numbers without a point, '' where missing."""
    missing = values.isna()
    # Above 2^53 a float is no longer every whole number.
    small = values.dtype.kind == "f" and bool((values.dropna().abs() < 2**53).all())
    if small and _are_whole(values.dropna()):
        values = values.fillna(0).astype(np.int64)
    found = values.astype(str).astype(object)
    return found.mask(missing, "").to_numpy(object)


def level_numbers(values: Any, levels: tuple[Any, ...]) -> np.ndarray:
    """Number of each value among the levels, int32 `[n]`; -1 where it is none."""
    if values.dtype.kind in "biuf":
        return _indices(values, levels)
    # Each different value is looked for once: texts are slow to compare.
    if str(values.dtype) == "category":
        codes, found = values.cat.codes.to_numpy(), values.cat.categories
    else:
        codes, found = values.factorize()
    return np.append(_indices(found, levels), np.int32(-1))[codes]


def _indices(values: Any, levels: tuple[Any, ...]) -> np.ndarray:
    """`level_numbers` value by value; numbers and texts that say them are the same."""
    import pandas

    if _are_plain_numbers(levels):
        kind = values.dtype.kind
        if kind == "b":
            values = values.astype(np.int64)
        elif kind not in "iuf":
            values = pandas.to_numeric(pandas.Series(values), errors="coerce")
    found = pandas.Index(levels).get_indexer(values).astype(np.int32)
    unknown = found < 0
    if unknown.any():
        codes, others = pandas.factorize(np.asarray(values)[unknown])
        texts = {level: i for i, level in enumerate(levels) if isinstance(level, str)}
        meant: dict[Any, int] = {}
        for i, level in enumerate(levels):
            key = _meant(level)
            meant[key] = -1 if key in meant else i  # of two it may be either
        alike = [
            texts.get(str(value), meant.get(_meant(value), -1))
            for value in others.tolist()
        ]
        found[unknown] = np.array([*alike, -1], np.int32)[codes]
    return found


def _meant(value: Any) -> Any:
    """The number that a text is; a bool is a word."""
    if isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or "_" in value:
        return value
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(value)
    return value


def label_levels(values: Any, where: str) -> tuple[Any, ...]:
    """The labels in order, without what says that a label is not known.

    That is a missing value, and -1 (of texts the text '-1') where there is more than
    one other label: y of two classes may be -1 and 1.

    Raises:
      DataError: there are fewer than two labels, or one for almost every row.
    """
    name = f"{where}, data.label_column '{values.name}'"
    place = Place(str(values.name), name, 0)
    values = plain_values.plain(values, place)
    plain_values.require_no_dates(values, place)
    levels = _levels(values.dropna())
    if all(type(v) is float and v.is_integer() for v in levels):
        levels = [int(v) for v in levels]  # which they were, but for empty cells
    others = [v for v in levels if v not in (UNKNOWN, str(UNKNOWN))]
    levels = others if len(others) > 1 else levels
    if not 2 <= len(levels) <= max(MOST_LEVELS, 2):
        raise DataError(
            f"{len(levels)} different labels", name, f"give 2 to {MOST_LEVELS} classes"
        )
    return tuple(levels)


def read(numbers: np.ndarray, column: Column, drawn: bool = False) -> np.ndarray:
    """The values `[n]` that numbers `[n, size]` of a row stand for, in own units.

    `drawn`: counts, and numbers that all were whole, are rounded.
    """
    if column.kind in ("binary", "categorical"):
        types = {type(level) for level in column.levels}
        of_one = len(types) == 1 or types == {int, float}
        levels = np.array(column.levels, None if of_one else object)
        if column.kind == "binary":
            return levels[(numbers[:, 0] >= 0.5).astype(np.int64)]
        return levels[numbers.argmax(-1)]
    values = numbers[:, 0].astype(np.float64)
    if column.kind in COUNTS:
        values = np.expm1(values)
    else:
        values = values * column.factor + column.shift
    whole = drawn and (column.kind in COUNTS or column.whole)
    return np.rint(values).astype(np.int64) if whole else values
