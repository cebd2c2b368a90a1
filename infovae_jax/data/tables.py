"""Tables: CSV, TSV and Parquet files, and the frames of pandas and polars."""

import importlib.util
import pathlib
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from infovae_jax.config.groups import TABLES as SUFFIXES
from infovae_jax.data import columns, raw_splits
from infovae_jax.data.columns import Scheme
from infovae_jax.errors import DataError, UserError, printable

CSV, TSV, PARQUET = SUFFIXES
SEPARATORS = {CSV: ",", TSV: "\t"}
# What pandas takes for a missing value in a file.
NA_WORDS = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"]
    + ["1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)
_SAMPLE = 1 << 16  # letters in which separators are looked for


def is_table(path: pathlib.Path) -> bool:
    """Whether a file's name is that of a table."""
    return path.suffix.lower() in SUFFIXES


def require(parts: tuple[str, ...], what: str) -> None:
    """Raises DataError where one of the packages for tables is not installed."""
    for name in parts:
        if importlib.util.find_spec(name) is None:
            raise DataError(
                f"{what} need {name}, which is not installed",
                "config.data.source",
                "pip install 'infovae_jax[tables]'",
            )


def read_table(path: pathlib.Path, config: Any) -> raw_splits.Raw:
    """Reads a table, of which a part is set aside for testing.

    Args:
      path: of a file of SUFFIXES, whose first line names the columns.
      config: reads `label_column`, `columns`, `missing`, `test_fraction` and
        `split_seed`.

    Raises:
      ConfigError: an unknown column or kind, or a senseless `test_fraction`.
      DataError: the file is damaged, cut or empty, or a value is missing; see
        `columns.learn`.
    """
    where = f"file {path}"
    frame = read_frame(path)
    labels = columns.labels(frame, config.label_column, where)
    train, test = raw_splits.split_indices(
        len(frame), config.test_fraction, config.split_seed, where, labels
    )
    scheme = columns.learn(
        frame,
        train,
        columns.parse(config.columns),
        config.missing,
        where,
        config.label_column,
    )
    x, y = scheme.encode(frame, where), scheme.labels(frame)
    names = tuple(printable(str(level)) for level in scheme.label_levels)
    labels = (None, None) if y is None else (y[train], y[test])
    return raw_splits.Raw(
        x[train],
        labels[0],
        x[test],
        labels[1],
        len(names),
        names,
        f"table {path}",
        where,
        origin=(train, test),
        scheme=scheme,
    )


def read_frame(path: pathlib.Path, scheme: Scheme | None = None) -> Any:
    """The whole table as a pandas DataFrame, whose columns are called by texts.

    `scheme`: see `read_chunks`.

    Raises:
      DataError: it cannot be read, or has no rows.
    """
    parts = list(read_chunks(path, None, scheme))
    frame = parts[0] if parts else None
    if frame is None or not len(frame) or not len(frame.columns):
        raise DataError("empty split: no rows", f"file {path}", "give a table of rows")
    return frame


def read_chunks(
    path: pathlib.Path, rows: int | None, scheme: Scheme | None = None
) -> Iterator[Any]:
    """A table as pandas DataFrames of at most so many rows; None: as one.

    Args:
      path: of the file.
      rows: in a part.
      scheme: of the model that it is read for: texts that look like numbers stay
        texts where they were some in training.

    Raises:
      DataError: it cannot be read; pandas, or pyarrow for Parquet, is missing.
    """
    suffix = path.suffix.lower()
    what = "Parquet files" if suffix == PARQUET else "tables"
    require(("pandas", "pyarrow") if suffix == PARQUET else ("pandas",), what)
    if not path.is_file():
        raise DataError(f"no file '{path}'", "a table", "check the path")
    reader = _parquet if suffix == PARQUET else _csv
    try:
        for frame in reader(path, rows, scheme):
            frame.columns = [str(name) for name in frame.columns]
            yield frame
    except UserError:
        raise
    # pandas and Arrow answer damage with errors of their own, of many classes.
    except Exception as error:
        text = str(error) or type(error).__name__
        raise DataError(
            f"cannot read the table: {text}",
            f"file {path}",
            "give a table with one line of names, in UTF-8, or a whole Parquet file",
        ) from error


def _csv(path: pathlib.Path, rows: int | None, scheme: Scheme | None) -> Iterator[Any]:
    import pandas

    sep = SEPARATORS[path.suffix.lower()]
    _require_separator(path, sep)
    # Where rows hold more values than there are names, pandas would take the first ones
    # for names of the rows and shift the others; told not to, it drops the last ones.
    options = {"sep": sep, "index_col": False} | _words(path, sep, scheme)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pandas.errors.ParserWarning)
        try:
            if rows is None:
                # Of a whole column at once: one type for all its values.
                yield pandas.read_csv(path, low_memory=False, **options)
                return
            with pandas.read_csv(path, chunksize=rows, **options) as parts:
                yield from parts
        except pandas.errors.ParserWarning:
            raise DataError(
                "more values in a row than names of columns",
                f"file {path}",
                f"name every column in the first line, and separate by {sep!r} alone",
            ) from None


def _words(path: pathlib.Path, sep: str, scheme: Scheme | None) -> dict[str, Any]:
    """What pandas is told of the texts in a file, by its names and a model's levels.

    Raises:
      DataError: two columns of one name, of which pandas would rename one.
    """
    import pandas

    first = pandas.read_csv(
        path, sep=sep, header=None, nrows=1, dtype=str, keep_default_na=False
    )
    names = [name or f"Unnamed: {i}" for i, name in enumerate(first.iloc[0])]
    columns.require_different(pandas.DataFrame(columns=names), f"file {path}")
    options: dict[str, Any] = {}
    if len(names) == 1:  # a blank line is a row without a value
        with open(path, encoding="utf-8-sig") as lines:
            before = next(i for i, line in enumerate(lines) if line.strip())
        options = {"skip_blank_lines": False, "header": before}
    if scheme is None:
        return options
    levels = {c.name: c.levels for c in scheme.columns}
    levels[scheme.label] = scheme.label_levels
    options["dtype"] = {
        name: str
        for name, known in levels.items()
        if known and all(isinstance(level, str) for level in known)
    }
    options["dtype"] |= {c.name: str for c in scheme.columns if c.is_id}
    if any(NA_WORDS.intersection(map(str, known)) for known in levels.values()):
        options["keep_default_na"] = False
        options["na_values"] = {
            name: sorted(NA_WORDS.difference(levels.get(name, ()))) for name in names
        }
    return options


def _require_separator(path: pathlib.Path, sep: str) -> None:
    """Raises DataError where the line of names is separated by something else."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        names, rows = stream.readline(_SAMPLE), stream.read(_SAMPLE)
    others = [mark for mark in columns.MARKS if mark in names]
    if sep in names or not others:
        return
    decimal = ", decimal=','" if re.search(r"\d,\d", rows) else ""
    how = f"pandas.read_csv({path.name!r}, sep={others[0]!r}{decimal})"
    raise DataError(
        f"columns separated by {others[0]!r} and not by {sep!r}",
        f"file {path}",
        f"read it by {how}, and give that, or what its to_csv(..., index=False) writes",
    )


def _parquet(path: pathlib.Path, rows: int | None, scheme: Any) -> Iterator[Any]:
    import pandas
    from pyarrow import parquet

    del scheme
    if rows is None:
        yield pandas.read_parquet(path)
        return
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=rows):
            yield batch.to_pandas()


def as_frame(table: Any, names: list[str] | None = None) -> Any:
    """A pandas DataFrame of a frame of pandas or polars, or of an array `[n, d]`.

    Args:
      table: what it is made of.
      names: of an array's columns.
    """
    require(("pandas",), "tables")
    import pandas

    if isinstance(table, pandas.DataFrame):
        table = pandas.DataFrame(table)  # of a class of another package
        return table.set_axis([str(name) for name in table.columns], axis=1)
    if package_of(table) == "polars":
        return pandas.DataFrame(
            {name: _polars_column(table[name]) for name in table.columns}
        )
    return pandas.DataFrame(np.asarray(table), columns=names).infer_objects()


def _polars_column(values: Any) -> Any:
    """A polars Series as one of pandas; a category stays one."""
    import pandas

    if str(values.dtype).startswith(("Categorical", "Enum")):
        return pandas.Series(values.to_list(), dtype="category")
    if values.null_count() or values.dtype.is_numeric() is False:
        return pandas.Series(values.to_list()).infer_objects()
    return pandas.Series(values.to_numpy())


def package_of(table: Any) -> str | None:
    """'pandas' or 'polars' where the table is a DataFrame of it, or of its kind."""
    # What is not imported has made no table.
    for name in ("pandas", "polars"):
        own = getattr(sys.modules.get(name), "DataFrame", None)
        if own is not None and isinstance(table, own):
            return name
    return None


def known_frame(table: Any) -> Any:
    """A table of another package as a pandas DataFrame; all else as it is.

    Names of columns that nobody looks at would be columns in another order, unsaid.

    Raises:
      DataError: it has names of columns, and none of the known ways to pandas.
    """
    if package_of(table) or isinstance(table, np.ndarray):
        return table
    kind = f"{type(table).__module__.partition('.')[0]} {type(table).__name__}"
    lazy = getattr(sys.modules.get("polars"), "LazyFrame", None)
    if lazy is not None and isinstance(table, lazy):
        raise DataError(f"a {kind}, whose rows are not there", "X", "give X.collect()")
    if not hasattr(table, "columns") and not hasattr(table, "column_names"):
        return table
    convert = getattr(table, "to_pandas", None)
    found = convert() if callable(convert) else None
    if package_of(found) != "pandas":
        raise DataError(
            f"a {kind}, a table of unknown kind", "X", "make a pandas DataFrame of it"
        )
    return found


def is_mixed(table: Any) -> bool:
    """Whether a DataFrame has a column that is neither of numbers nor of bools."""
    package = package_of(table)
    if package == "polars":
        return any(
            not (dtype.is_numeric() or str(dtype) == "Boolean")
            for dtype in table.schema.dtypes()
        )
    if package != "pandas":
        return False
    from pandas.api import types

    for position, dtype in enumerate(table.dtypes):
        if str(dtype) == "object":
            if not _holds_numbers(table.iloc[:, position]):
                return True
        elif not types.is_numeric_dtype(dtype):
            return True
    return False


def _holds_numbers(values: Any) -> bool:
    """Whether a column of any objects holds such as scikit-learn takes for numbers."""
    from pandas.api import types

    names = "integer floating mixed-integer-float boolean decimal complex empty"
    return types.infer_dtype(values, skipna=True) in names.split()
