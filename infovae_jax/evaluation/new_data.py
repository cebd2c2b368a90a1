"""A trained run applied to rows that it was not trained on, and its own mapped back."""

import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from infovae_jax.data import cache, new_rows, raw_splits
from infovae_jax.data.new_rows import Rows
from infovae_jax.errors import ConfigError, DataError, printable
from infovae_jax.evaluation import clustering, row_files, rows
from infovae_jax.evaluation.rows import Results
from infovae_jax.training.saved import Saved

# What each mode asks for beside clusters and probabilities.
WANTED = {"encode": ("codes",), "predict": ("bounds",), "evaluate": ("bounds",)}
_BATCHES = 32  # in a part
_NAMED = 8  # columns or labels in a note


def apply(
    saved: Saved,
    mode: str,
    path: pathlib.Path,
    output: pathlib.Path,
    unusual_below: float | None,
) -> list[str]:
    """Writes a row for every example of an input; returns lines that sum them up.

    Columns: those of a table that tell its rows apart (`input_row` where one is called
    as one of ours); `row`; `file` of images in files, with escapes for what is no
    letter; `label` where the input has known ones; `cluster` and `probability` (of an
    N-VAE `class`, its name) where there are some; `mean` and `log_var` of the code
    (encode); `bound`, nats, and `unusual` (predict and evaluate).

    Args:
      saved: the run, possibly without its data.
      mode: of WANTED.
      path: of the input, see `new_rows.read`.
      output: a path that `row_files.check` takes.
      unusual_below: the bound below which a row is unusual; None: not known.

    Raises:
      DataError, StorageError: as `new_rows.read` and `row_files.write`.
    """
    size = _BATCHES * saved.run.config.evaluation.batch_size
    summary, path = _Summary(saved, unusual_below), new_rows.require(path)

    def parts() -> Iterator[row_files.Table]:
        for part in new_rows.read(path, saved.run.dataset, size):
            found = rows.results(
                saved.run, saved.params, part.x, part.first, WANTED[mode]
            )
            summary.add(part, found)
            yield table(saved, part, found, unusual_below)

    verb, count = row_files.verb(output), row_files.write(output, parts())
    return [f"{verb} {output}: {count} rows", *summary.lines()]


def training_rows(saved: Saved) -> Iterator[row_files.Table]:
    """A row for every example of a run's own data: split, place, label, code."""
    dataset = saved.run.dataset
    splits = (
        ("train", dataset.train_x, dataset.train_y),
        (
            "test",
            dataset.test_x,
            dataset.test_y,
        ),
    )
    size = _BATCHES * saved.run.config.evaluation.batch_size
    origins = raw_splits.origins(dataset)
    for (name, x, labels), origin in zip(splits, origins, strict=True):
        if name == "test" and dataset.tests_on_training:
            return
        files = origin.dtype.kind == "U"
        for first in range(0, len(x), size):
            part = slice(first, first + size)
            found = rows.results(
                saved.run, saved.params, np.asarray(x[part]), first, ("codes",)
            )
            own = None if labels is None else np.asarray(labels[part])
            here = Rows(first, x[part], origin[part].tolist() if files else None, own)
            made = table(saved, here, found, None)
            index = made.pop("row") if files else origin[part].astype(np.int64)
            made.pop("row", None)
            split = np.full(len(index), name)
            yield {"split": split, "index": index, **made}


def table(
    saved: Saved, part: Rows, found: Results, unusual_below: float | None
) -> row_files.Table:
    """The columns of some rows; see `apply`."""
    count, names = len(part.x), saved.run.dataset.label_names
    made: dict[str, Any] = {"row": np.arange(part.first, part.first + count)}
    if part.names is not None:
        made["file"] = np.array([printable(name) for name in part.names])
    if part.labels is not None:
        made["label"] = part.labels
        if names:
            known = (part.labels >= 0) & (part.labels < len(names))
            numbers = np.where(known, part.labels, len(names))
            made["label_name"] = np.array([*names, ""])[numbers]
    if found.cluster is not None:
        classes = saved.run.objective.uses_labels
        made["class" if classes else "cluster"] = found.cluster
        if classes and names:
            made["class_name"] = np.array(names)[found.cluster]
        made["probability"] = found.probability
    if found.mean is not None:
        made["mean"], made["log_var"] = found.mean, found.log_var
    if found.bound is not None:
        made["bound"] = found.bound
        if unusual_below is not None:
            made["unusual"] = _are_unusual(found.bound, unusual_below)
    names = {*made, *row_files.flat(made)}
    return {**{_free(name, names): v for name, v in part.ids.items()}, **made}


def _free(name: str, taken: set[str]) -> str:
    """The name of a column of the input, with a prefix where it is one of ours."""
    name = printable(name)
    return _free(f"input_{name}", taken) if name in taken else name


def _are_unusual(bound: np.ndarray, below: float) -> np.ndarray:
    """Rows without bound are further away than any other."""
    return ~(bound >= below)


class _Summary:
    """Means over all rows, and the agreement of clusters with labels."""

    def __init__(self, saved: Saved, unusual_below: float | None):
        self._saved, self._below = saved, unusual_below
        self._count = self._unusual = self._imputed = self._without = 0
        self._bound: float | None = None
        self._extra: tuple[str, ...] = ()
        self._left_out = ""
        self._clusters: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, part: Rows, found: Results) -> None:
        """Takes some rows in."""
        self._count += len(part.x)
        self._extra, self._left_out = part.extra, part.left_out
        self._imputed += part.imputed
        if found.bound is not None:
            known = found.bound[np.isfinite(found.bound)]
            self._without += len(found.bound) - len(known)
            self._bound = (self._bound or 0.0) + float(known.sum())
            if self._below is not None:
                self._unusual += int(_are_unusual(found.bound, self._below).sum())
        if found.cluster is not None and part.labels is not None:
            known = part.labels >= 0
            self._clusters.append(found.cluster[known])
            self._labels.append(part.labels[known])

    def lines(self) -> list[str]:
        """What was found, in words."""
        lines = not_read(self._left_out)
        if self._extra:
            names = ", ".join(map(repr, self._extra[:_NAMED]))
            more = ", ..." if len(self._extra) > _NAMED else ""
            lines.append(f"note: not looked at, training had no column {names}{more}")
        if self._imputed:
            lines.append(f"note: missing values filled as in training: {self._imputed}")
        if self._bound is not None:
            if self._without:
                lines.append(
                    f"note: {self._without} rows are so far from the training data "
                    "that their bound is no number; they are left out of the mean"
                )
            mean = self._bound / max(1, self._count - self._without)
            lines.append(f"mean bound {mean:.6g} nats; {rows.BOUND}")
            if self._below is not None:
                many = "" if self._unusual == 1 else "s"
                lines.append(
                    f"{self._unusual} unusual row{many}: bound below "
                    f"{self._below:.6g}, the {rows.QUANTILE:.1%} quantile of training "
                    "rows"
                )
        if not self._labels:
            return lines
        labels = np.concatenate(self._labels)
        if not len(labels):
            names = self._saved.run.dataset.label_names
            more = ", ..." if len(names) > _NAMED else ""
            known = f": {', '.join(names[:_NAMED])}{more}" if names else ""
            lines.append(f"note: no accuracy, no row has a label of training{known}")
            return lines
        clusters = np.concatenate(self._clusters)
        if self._saved.run.objective.uses_labels:
            share = float((clusters == labels).mean())
            lines.append(f"accuracy {share:.4f} of {len(labels)} rows with a label")
            return lines
        accuracy = clustering.clustering_accuracy(clusters, labels)
        nmi = clustering.normalized_mutual_information(clusters, labels)
        lines.append(
            f"accuracy {accuracy:.4f}, clusters matched to labels one to one "
            f"(Hungarian), NMI {nmi:.4f}, of {len(labels)} rows with a label"
        )
        return lines


def not_read(left_out: str) -> list[str]:
    """A note of `Rows.left_out`, where there is some."""
    return [f"note: not read: {printable(left_out)}"] if left_out else []


def default_output(path: pathlib.Path, mode: str) -> pathlib.Path:
    """A CSV file in the working folder, called after the input."""
    return pathlib.Path(f"{cache.expanded(path).resolve().stem}-{mode}.csv")


def require_input(mode: str, path: str | None) -> pathlib.Path:
    """The path of `--input`.

    Raises:
      ConfigError: there is none.
    """
    if not path:
        what = f"--mode={mode} needs new data"
        raise ConfigError(what, "--input", "name a file or a folder")
    return pathlib.Path(path)


def find_unusual_below(saved: Saved, reopen) -> tuple[float | None, str | None]:
    """The bound of unusual rows, and a note where it is not known.

    Args:
      saved: the run.
      reopen: `reopen() -> Saved` with its data, asked the first time only.
    """
    value = rows.unusual_below(saved)
    if value is not None:
        return value, None
    try:
        return rows.keep_unusual_below(reopen()), None
    except DataError as error:
        return None, (
            f"note: which rows are unusual is not said: the training data cannot be "
            f"read ({error.what})"
        )
