"""What an estimator is given, checked in scikit-learn's words, as `[n, H, W, C]`."""

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from infovae_jax.data import columns, raw_splits, sources, tables
from infovae_jax.data.columns import Scheme
from infovae_jax.data.kinds import missing_values
from infovae_jax.data.labels import UNKNOWN
from infovae_jax.export import numpy_runtime

_SHAPES = "give rows [n, d] or images [n, H, W] or [n, H, W, C], channels last"


def read(X: Any, size: Callable[[], Any], scheme: Any = None) -> Any:
    """X itself, or where it is a path or 'tfds:<name>' what is there.

    What a masked array masks is missing; tables of other packages than pandas and
    polars become pandas's, see `tables.known_frame`. `size`: gives `data.image_size`
    of the config; `scheme`: of the model of a table that X is read for.

    Raises:
      DataError: nothing that can be read, or a table of unknown kind.
    """
    if isinstance(X, np.ma.MaskedArray):
        return X.astype(np.float64).filled(np.nan) if np.ma.is_masked(X) else X.data
    if not isinstance(X, str | os.PathLike):
        return tables.known_frame(X)
    return sources.read_examples(os.fspath(X), size(), scheme)


def is_table(estimator: Any, X: Any) -> bool:
    """Whether X is to be looked at column by column.

    A DataFrame with a column that holds no numbers, or any X where `columns` says what
    its columns are, or `missing` that some values may not be there, or the fit goes on
    from one of a table.
    """
    if estimator.goes_on() and estimator._scheme is not None:
        return True
    if estimator.columns is not None or estimator.missing != "refuse":
        return True
    return tables.is_mixed(X)


def as_frame(
    estimator: Any, X: Any, scheme: Scheme | None = None, least: int = 1
) -> Any:
    """A table as a pandas DataFrame.

    As in scikit-learn's ColumnTransformer the names of a DataFrame say what is what:
    their order is free, and columns that the fit had none of are not looked at.

    Args:
      estimator: gets `n_features_in_` and `feature_names_in_` without a scheme.
      X: DataFrame of pandas or polars, or an array `[n, d]` in the order of the fit.
      scheme: of the fit; None: this is the first.
      least: rows that it must have.

    Raises:
      DataError: two columns of one name.
      ValueError: an array of another width, or too few rows.
    """
    names = scheme and [column.name for column in scheme.columns]
    if tables.package_of(X) is None:
        # Of lists: numbers beside texts would become texts.
        X = np.asarray(X, object if isinstance(X, list | tuple) else None)
        if X.ndim != 2:
            raise ValueError(
                f"Expected 2D array, got {X.ndim}D array instead; give rows [n, d] or "
                "a DataFrame"
            )
        names = names or [f"x{i}" for i in range(X.shape[1])]
        if X.shape[1] != len(names):
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(estimator).__name__} is "
                f"expecting {len(names)} features as input"
            )
    frame = tables.as_frame(X, names)
    columns.require_different(frame, "X")
    if scheme is None:
        validate_data(estimator, X, skip_check_array=True)
        estimator.image_shape_ = None
    if len(frame) < least:
        raise ValueError(
            f"Found array with {len(frame)} sample(s) while a minimum of {least} is "
            "required."
        )
    return frame


def learn(
    X: Any, frame: Any, train: np.ndarray, kinds: Mapping[str, str] | None, missing: str
) -> Scheme:
    """The scheme of a table X, as `frame`; see `data.columns.learn`."""
    package, kinds = tables.package_of(X) or "pandas", {} if kinds is None else kinds
    return columns.learn(frame, train, kinds, missing, "X", package=package)


def as_images(estimator: Any, X: Any, reset: bool) -> np.ndarray:
    """Rows or images as `[n, H, W, C]`, in the type that they have.

    Args:
      estimator: gets `n_features_in_` and `image_shape_` (None for rows) with `reset`,
        and is compared with them without.
      X: array, memory map, DataFrame or nested lists of numbers: `[n, d]`, which
        becomes `[n, 1, d, 1]`, `[n, H, W]` or `[n, H, W, C]`.
      reset: whether the estimator is being fitted.

    Raises:
      ValueError: another shape, NaN, infinity, complex numbers, dates or text.
      DataError: two columns of one name.
      TypeError: a sparse matrix.
    """
    if isinstance(X, list | tuple):
        X = _of_lists(X)
    shape = getattr(X, "shape", ())
    image_shape = tuple(shape[1:]) if len(shape) > 2 else None
    if image_shape is not None:
        if len(image_shape) > 3 or 0 in image_shape:
            raise ValueError(f"X of shape {tuple(shape)} holds no images: {_SHAPES}")
        told = reset and raw_splits.channels_first(shape)
        if told:
            what = f"X is taken for images of {shape[1]}x{shape[2]} pixels and "
            warnings.warn(f"{what}{shape[3]} channels: {told}", stacklevel=5)
        X = np.asarray(X).reshape(shape[0], -1)
        plain = numpy_runtime.plain_shape
        if not reset and plain(image_shape) != plain(estimator.image_shape_ or ()):
            fitted = estimator.image_shape_ or (estimator.n_features_in_,)
            raise ValueError(
                f"X has examples of shape {image_shape}, but "
                f"{type(estimator).__name__} is expecting {fitted}"
            )
    _require_known(X)
    before = getattr(estimator, "feature_names_in_", None)
    X = validate_data(
        estimator, X, reset=reset, dtype="numeric", ensure_min_samples=2 if reset else 1
    )
    if reset:
        estimator.image_shape_ = image_shape
        _require_names(estimator, before)
    if X.dtype.kind in "mM":
        raise ValueError("X holds dates or durations: give them as numbers")
    if X.dtype.kind == "O":  # decimals of lists and of polars, which are left so
        X = X.astype(np.float64)
    return X.reshape(len(X), *stored_shape(estimator))


def _require_names(estimator: Any, before: Any) -> None:
    """Keeps the names of a fit that goes on; raises ValueError of other ones."""
    names = getattr(estimator, "feature_names_in_", None)
    if before is None or not estimator.goes_on():
        return
    if names is None:
        estimator.feature_names_in_ = before
    elif list(names) != list(before):
        raise ValueError(
            f"warm_start with columns {', '.join(map(str, names))} in place of "
            f"{', '.join(map(str, before))}: give them as before, or start anew"
        )


def _require_known(X: Any) -> None:
    """Raises ValueError where a number is missing, with what to do about it.

    scikit-learn would name estimators of its own that take NaN. Neither does it tell of
    frames without columns, or with two of one name.
    """
    what = ""
    if tables.package_of(X) is not None:
        frame = tables.as_frame(X)
        columns.require_different(frame, "X")
        if not frame.shape[1]:
            raise ValueError(
                f"Found array with 0 feature(s) (shape={frame.shape}) while a minimum "
                "of 1 is required."
            )
        what, _ = missing_values(frame)
    elif isinstance(X, np.ndarray) and X.dtype.kind == "f" and X.ndim:
        missing = np.isnan(X)
        if missing.any():
            row = int(missing.reshape(len(missing), -1).any(1).argmax())
            what = f"{int(missing.sum())} missing values, the first in row {row}"
    if what:
        raise ValueError(
            f"Input X contains NaN: {what}; fill them, or of a table set "
            "missing='impute'"
        )


def _of_lists(X: Any) -> Any:
    """Images as an array; rows as they are, for scikit-learn to judge."""
    try:
        images = np.asarray(X)
    except ValueError:
        raise ValueError(f"examples of X differ in their shape: {_SHAPES}") from None
    return images if images.ndim > 2 else X


def stored_shape(estimator: Any) -> tuple[int, int, int]:
    """`(H, W, C)` of one example of a fitted estimator."""
    shape = estimator.image_shape_
    if shape is None:
        return (1, estimator.n_features_in_, 1)
    return shape if len(shape) == 3 else (*shape, 1)


def as_given(estimator: Any, images: np.ndarray) -> np.ndarray:
    """Images `[n, H, W, C]` in the shape of what the estimator was fitted on."""
    shape = estimator.image_shape_ or (estimator.n_features_in_,)
    return images.reshape(len(images), *shape)


def as_classes(y: Any, num_examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and the number of the class of each example.

    Args:
      y: `[n]` numbers or texts; see `known_classes` for what is not known.
      num_examples: n.

    Returns:
      `classes` `[L]` in order, and int32 `[n]`, -1 where unknown.

    Raises:
      ValueError: y is missing, of another length, continuous, of numbers beside texts,
        or knows no class.
    """
    if y is None:
        raise ValueError(
            "NVAE requires y to be passed, but the target y is None; give -1 for the "
            "examples whose class is not known"
        )
    values, known = known_classes(y)
    if len(known) != num_examples:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: "
            f"[{num_examples}, {len(known)}]"
        )
    if not known.any():
        raise ValueError(
            "y has no known class: all of it is -1 or missing; use VAE, without y"
        )
    classes, numbers = np.unique(values, return_inverse=True)
    labels = np.full(len(known), UNKNOWN, np.int32)
    labels[known] = numbers
    return classes, labels


def known_classes(
    y: Any, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The classes that are known, `[m]`, and which of `[n]` they are, bool.

    Not known is what is missing (None, NaN, pandas.NA) and the number -1; among texts
    also the text '-1', which NumPy makes of the number, and of which a warning tells.
    Beside a single other class -1 is a class itself, as y of two classes may be -1 and
    1, with a warning too; or where it is one of the `classes` of a fit.

    Raises:
      ValueError: y is not one-dimensional, continuous, or of numbers beside texts.
    """
    mixed = isinstance(y, list | tuple) and any(isinstance(v, str) for v in y)
    # Types of pandas' own, whose integers beside what is missing would become floats.
    mixed |= not isinstance(getattr(y, "dtype", np.dtype(int)), np.dtype)
    y = column_or_1d(np.asarray(y, object if mixed else None), warn=True)
    known = np.ones(len(y), bool)
    if y.dtype.kind in "Of":
        known = np.array([not _is_missing(value) for value in y], bool)
    if y.dtype.kind == "O":
        texts = np.array([isinstance(value, str) for value in y], bool)
        if texts.any():
            rest = known & ~texts
            known[rest] = [value != UNKNOWN for value in y[rest]]
            others = y[known & ~texts]
            if len(others):
                raise ValueError(
                    f"y holds texts and {others[0]!r}, which is none: give all classes "
                    "as texts, or all as numbers"
                )
    values = y[known]
    if y.dtype.kind == "O":
        values = np.array(values.tolist())
    if len(values):
        check_classification_targets(values)
    if values.dtype.kind not in "ifU":
        return values, known
    mark = str(UNKNOWN) if values.dtype.kind == "U" else UNKNOWN
    kept = values != mark
    if classes is not None:
        kept |= mark in classes.tolist()
    elif len(others := np.unique(values[kept])) == 1 and not kept.all():
        warnings.warn(
            f"y holds {mark} and {others[0]}: both are taken as classes; give None "
            "where the class is not known",
            stacklevel=4,
        )
        return values, known
    elif values.dtype.kind == "U" and not kept.all():
        warnings.warn(
            f"y holds texts and '{mark}', which is taken as not known in "
            f"{int((~kept).sum())} of {len(y)} rows; if it is a class, call it "
            "otherwise",
            stacklevel=4,
        )
    known[known] = kept
    return values[kept], known


def _is_missing(value: Any) -> bool:
    """None, NaN or pandas.NA, whose comparisons are neither true nor false."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True
