"""What the columns of a table are: looked at once, said in words, and kept.

A `Scheme` turns rows of a table of mixed columns into rows of numbers, blocks of
columns of one kind side by side (`types.ColumnBlock`), and back. Its statistics are
those of the training rows; it belongs to the model.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import kinds, plain_values
from infovae_jax.data.kinds import Column
from infovae_jax.distributions.columns import COUNTS, KINDS
from infovae_jax.errors import ConfigError, DataError, nearest, unknown
from infovae_jax.types import ColumnBlock

MISSING = ("refuse", "impute")
MARKS = ";\t|,"  # that separate columns in somebody's files
_COLUMNS = "config.data.columns"
# Of more columns the printed decision has a line for each kind only.
_MANY = 100
_SHOWN = 8


class Scheme(NamedTuple):
    """How rows of a table become numbers.

    Attributes:
      columns: all that stand in the table, in its order, those that are ignored too;
        the label is none of them.
      label: name of the column that holds the labels, or None.
      label_levels: its values, in the order of their numbers.
      package: 'pandas' or 'polars', whose frames rows come back as.
    """

    columns: tuple[Column, ...]
    label: str | None = None
    label_levels: tuple[Any, ...] = ()
    package: str = "pandas"

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that the model sees, in the order of the table."""
        return tuple(c for c in self.columns if c.kind != kinds.IGNORE)

    @property
    def ordered(self) -> tuple[Column, ...]:
        """The same in the order of a row of numbers: by kind, and by size."""
        return tuple(sorted(self.used, key=lambda c: (KINDS.index(c.kind), c.size)))

    def blocks(self) -> tuple[ColumnBlock, ...]:
        """What lies where in a row of numbers."""
        found: dict[tuple[str, int], list[Column]] = {}
        for column in self.ordered:
            found.setdefault((column.kind, column.size), []).append(column)
        return tuple(
            ColumnBlock(
                kind,
                len(members),
                size,
                tuple(c.shift for c in members) if kind in COUNTS else (),
            )
            for (kind, size), members in found.items()
        )

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(column.size for column in self.used)

    def slices(self) -> dict[str, slice]:
        """Name of a column -> its numbers in a row."""
        ends = np.cumsum([column.size for column in self.ordered])
        return {
            column.name: slice(int(end) - column.size, int(end))
            for column, end in zip(self.ordered, ends, strict=True)
        }

    def encode(self, frame: Any, where: str, first: int = 0) -> np.ndarray:
        """Rows of a table as images `[n, 1, W, 1]` of float32.

        Args:
          frame: a pandas DataFrame with all columns that are used, in any order.
          where: names the table in messages.
          first: number of its first row, for messages.

        Raises:
          DataError: a column is missing, or a value is: names the row; or it is no
            number, no whole number, infinite, or a category that training had none of.
        """
        require_different(frame, where)
        used = [c.name for c in self.used]
        absent = [name for name in used if name not in frame.columns]
        if absent:
            others = self.extra(frame)
            missed = [f"{name!r}{nearest(name, others)}" for name in absent]
            raise DataError(
                f"no column {_listed(missed)}",
                where,
                f"give the {len(used)} columns that the model was trained on: "
                f"{_listed(used)}",
            )
        out = np.zeros((len(frame), self.width), np.float32)
        at = self.slices()
        for column in self.ordered:
            values = frame[column.name]
            place = kinds.Place(column.name, where, first)
            kinds.write(out, at[column.name], column, values, place)
        return out[:, None, :, None]

    def imputed(self, frame: Any) -> int:
        """How many missing values of a table `encode` fills."""
        names = [c.name for c in self.used if c.fill is not None]
        return int(frame[names].isna().to_numpy().sum())

    def extra(self, frame: Any) -> list[str]:
        """Columns of a table that training did not have; they are not looked at."""
        known = {c.name for c in self.columns} | {self.label}
        return [name for name in map(str, frame.columns) if name not in known]

    def ids(self, frame: Any) -> dict[str, np.ndarray]:
        """Columns of a table that tell its rows apart, and those left out on demand.

        As texts, '' where missing: parts of a file may differ in the type of numbers.
        """
        here = [c.name for c in self.columns if c.is_id and c.name in frame.columns]
        return {name: kinds.texts(frame[name]) for name in here}

    def labels(self, frame: Any) -> np.ndarray | None:
        """Number of each row's label, int32 `[n]`, -1 where unknown or missing.

        None where the table has no such column.
        """
        if self.label is None or self.label not in frame.columns:
            return None
        place = kinds.Place(self.label, "labels", 0)
        values = plain_values.plain(frame[self.label], place)
        return kinds.level_numbers(values, self.label_levels)

    def decode(self, rows: np.ndarray, drawn: bool = False) -> Any:
        """Rows of numbers `[n, 1, W, 1]` as a frame in the table's own units.

        Of a category the most probable one, of a count its mean; where the rows are
        `drawn` from the model, whole numbers are whole.
        """
        import pandas

        rows = np.asarray(rows).reshape(len(rows), -1)
        at = self.slices()
        found = {c.name: kinds.read(rows[:, at[c.name]], c, drawn) for c in self.used}
        frame = pandas.DataFrame(found)
        if self.package == "polars":
            import polars

            return polars.from_pandas(frame)
        return frame

    def decision(self) -> list[str]:
        """What was taken for what, and why: a line a column."""
        lines = []
        if len(self.columns) <= _MANY:
            return [f"  {c.name}: {c.kind}, {c.why}" for c in self.columns]
        for kind in (*KINDS, kinds.IGNORE):
            names = [c.name for c in self.columns if c.kind == kind]
            if names:
                more = ", ..." if len(names) > _SHOWN else ""
                shown = ", ".join(names[:_SHOWN])
                lines.append(f"  {kind}: {len(names)} columns, {shown}{more}")
        return lines

    def log_factor(self) -> float:
        """Nats that a density of standardised columns is above that of raw ones."""
        return float(sum(np.log(c.factor) for c in self.used if c.kind == "numeric"))


def _listed(texts: list[str]) -> str:
    """The first of some texts, and how many more there are."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def require_different(frame: Any, where: str) -> None:
    """Raises DataError where two columns have one name, or one holds them all."""
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = min(name for name in names if names.count(name) > 1)
        raise DataError(f"two columns called '{twice}'", where, "rename one of them")
    marks = [mark for mark in MARKS if names and mark in names[0]]
    if len(names) == 1 and marks and len(frame) and marks[0] in str(frame.iat[0, 0]):
        raise DataError(
            f"one column, '{names[0][:40]}', that was read with another separator",
            where,
            f"read the table by pandas.read_csv(..., sep={marks[0]!r})",
        )


def learn(
    frame: Any,
    train: np.ndarray,
    columns: Mapping[str, str],
    missing: str,
    where: str,
    label: str | None = None,
    package: str = "pandas",
) -> Scheme:
    """Looks at a table and settles what its columns are.

    Kinds and categories are those of all rows, statistics of the training rows.

    Args:
      frame: a pandas DataFrame.
      train: indices of the training rows.
      columns: name -> kind, for those that are not to be judged by their values.
      missing: one of MISSING; 'impute': a missing value becomes the mean, or of other
        kinds than numeric the most frequent value, of the training rows.
      where: names the table in messages.
      label: name of the column of labels, or None.
      package: see `Scheme`.

    Raises:
      ConfigError: an unknown name or kind, or a kind that the values cannot have.
      DataError: two columns of one name, none that can be used, or a missing value.
    """
    require_different(frame, where)
    if not isinstance(columns, Mapping):
        raise ConfigError(
            f"{type(columns).__name__} {columns!r} in place of names and kinds",
            _COLUMNS,
            "give a dict, such as {'age': 'numeric', 'city': 'ignore'}",
        )
    columns = {str(name): kind for name, kind in columns.items()}
    names = [str(name) for name in frame.columns]
    frame = frame.set_axis(names, axis=1)
    if missing not in MISSING:
        raise unknown("value", missing, MISSING, "config.data.missing")
    for name, kind in columns.items():
        if name not in names:
            raise unknown("column", name, names, _COLUMNS)
        if kind not in (*KINDS, kinds.IGNORE):
            raise unknown("kind", kind, (*KINDS, kinds.IGNORE), f"{_COLUMNS}, '{name}'")
    levels = _label_levels(frame, label, where)
    found = tuple(
        kinds.judge(name, frame[name], train, columns.get(name), missing, where)
        for name in names
        if name != label
    )
    scheme = Scheme(found, label, levels, package)
    if missing == "refuse":
        kinds.require_whole(frame[[c.name for c in scheme.used]], where)
    if not scheme.used:
        reasons = "; ".join(f"{c.name}: {c.why}" for c in found[:_SHOWN])
        raise DataError(
            f"no column can be used ({reasons})", where, f"name kinds by {_COLUMNS}"
        )
    return scheme


def _label_levels(frame: Any, label: str | None, where: str) -> tuple[Any, ...]:
    if label is None:
        return ()
    names = list(map(str, frame.columns))
    if label not in names:
        raise unknown("column", label, names, "config.data.label_column")
    return kinds.label_levels(frame[label], where)


def labels(frame: Any, label: str | None, where: str) -> np.ndarray | None:
    """`Scheme.labels` of a table that is learned from; raises what `learn` does."""
    require_different(frame, where)
    return Scheme((), label, _label_levels(frame, label, where)).labels(frame)


def parse(text: str | None) -> dict[str, str]:
    """`data.columns` as name -> kind: 'age=numeric, city=ignore', or a JSON object.

    Raises:
      ConfigError: neither.
    """
    fault = "write 'age=numeric, city=ignore', or a JSON object of names and kinds"
    if text is None:
        return {}
    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"no JSON ({error})", _COLUMNS, fault) from None
        if not all(isinstance(kind, str) for kind in values.values()):
            raise ConfigError("a kind that is no text", _COLUMNS, fault)
        return values
    pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
    for name, equals, kind in pairs:
        if not equals or not name.strip() or not kind.strip():
            raise ConfigError(f"{text!r} is no list of columns", _COLUMNS, fault)
    return {name.strip(): kind.strip() for name, _, kind in pairs}


def to_json(scheme: Scheme) -> dict[str, Any]:
    """As JSON holds it."""
    columns = [column._asdict() for column in scheme.columns]
    return scheme._replace(columns=columns)._asdict()


def from_json(values: Mapping[str, Any]) -> Scheme:
    """From `to_json`.

    Raises:
      TypeError, KeyError: it is not.
    """
    columns = tuple(
        Column(**{**column, "levels": tuple(column["levels"])})
        for column in values["columns"]
    )
    levels = tuple(values["label_levels"])
    own = {**values, "columns": columns, "label_levels": levels}
    if "library" in own:  # as models of a version before call it
        own["package"] = own.pop("library")
    return Scheme(**own)
