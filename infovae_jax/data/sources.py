"""Where images come from: one function a kind of source, chosen by `data.source`."""

import importlib
import importlib.util
import os
import pathlib
import warnings
from typing import Any

import numpy as np

from infovae_jax.config import groups
from infovae_jax.data import (
    cache,
    folder,
    generated,
    numpy_files,
    raw_splits,
    spec,
    tables,
    tfds,
)
from infovae_jax.errors import ConfigError, DataError, nearest, printable
from infovae_jax.types import Dataset

FILE_READERS = {
    ".npz": numpy_files.read_npz,
    ".npy": numpy_files.read_npy,
    **dict.fromkeys(tables.SUFFIXES, tables.read_table),
}


def load(config: Any) -> Dataset:
    """Reads, checks and describes the data.

    Args:
      config: the `data` part of the configuration:
        `source`: 'digits', 'shapes', a name of `generated.BASICPROP_NAMES`,
          'tfds:<name>', a `.npz` or `.npy` file, a folder of images, or a table (a
          file of `tables.SUFFIXES`).
        `data_dir`: where TFDS datasets were prepared; None for TFDS's default.
        `cache_dir`: folder of decoded images; None for the user's cache folder.
        `test_fraction`, `split_seed`: the part set aside where a source has no test
          split of its own, and what fixes its choice.
        `num_train`: how many training examples are used, or None; drawn by
          `split_seed`.
        `likelihood`: see `distributions.likelihoods`.
        `levels`: number of grey levels of a discretised likelihood.
        `binarize`: 'none', 'threshold' or 'stochastic'.
        `follow_links`: read images of a folder that links lead to outside it.
        `image_size`: int, (H, W) or None; resizes the images of a folder.
        `scaling`: of the numbers of a NumPy file, see `scaling.asked`.
        `label_column`, `columns`, `missing`: of a table, see `columns.learn`.

    Returns:
      The `Dataset`: images `[n, H, W, C]`, uint8 or float32, int32 labels `[n]` or
      None, and the decision to print.

    Raises:
      ConfigError: for an unknown source or option, or a likelihood or binarisation
        that does not fit the range of the data.
      DataError: for missing, damaged or senseless data.
      StorageError: if the cache cannot be written.
    """
    reader, argument = _choose(str(config.source))
    raw = reader(argument, config)
    if config.num_train is not None:
        count, seed = len(raw.train_x), config.split_seed
        raw = raw_splits.some_examples(raw, config.num_train, seed)
    dataset = spec.decide(raw, config)
    if config.source in SOURCES and os.path.exists(config.source):
        note = (
            f"  note: a file or folder of this name lies here; write ./{config.source}"
        )
        dataset = dataset._replace(decision=f"{dataset.decision}\n{note} for it")
    if config.num_train is not None:
        used = f"{config.num_train} of {count} examples"
        note = f"  training on {used}, drawn by seed {seed}"
        dataset = dataset._replace(decision=f"{dataset.decision}\n{note}")
    if config.image_size is not None and reader is not folder.read_folder:
        note = "  data.image_size is not used: it resizes image folders only"
        dataset = dataset._replace(decision=f"{dataset.decision}\n{note}")
    if config.scaling not in ("auto", "none") and dataset.intake.scaling is None:
        note = "  data.scaling is not used: it changes numbers of NumPy files only"
        dataset = dataset._replace(decision=f"{dataset.decision}\n{note}")
    if dataset.intake.scheme is None and (config.label_column or config.columns):
        note = "  data.label_column and data.columns are not used: they are of tables"
        dataset = dataset._replace(decision=f"{dataset.decision}\n{note}")
    return dataset


def is_path(source: str) -> bool:
    """Whether a source is a file or a folder, and no name of a dataset."""
    return source not in SOURCES and not source.startswith("tfds:")


def read_examples(source: str, image_size: Any = None, scheme: Any = None) -> Any:
    """All examples of a source in memory, for who wants them as X.

    Args:
      source: 'tfds:<name>', whose training split it is, a `.npz` or `.npy` file, a
        folder of images or an image, or a table.
      image_size: resizes the images of a folder: side, (H, W) or None.
      scheme: of the model that a table is read for, see `tables.read_chunks`.

    Returns:
      Images `[n, H, W, C]`, or of a table a pandas DataFrame.

    Raises:
      ConfigError, DataError: as `load`.

    Warns:
      UserWarning: there is more than is read.
    """
    if source.startswith("tfds:"):
        options = groups.default_config().data
        return tfds.read_tfds(source.removeprefix("tfds:"), options).train_x
    path = cache.expanded(source)
    if not os.path.isfile(path) and not os.path.isdir(path):
        raise DataError(f"no file or folder '{source}'", "X", "check the path")
    suffix = path.suffix.lower()
    if tables.is_table(path):
        return tables.read_frame(path, scheme)
    if suffix == ".npy":
        return numpy_files.open_npy(path)
    if suffix == ".npz":
        _warn_of(path, ", ".join(numpy_files.unread(path)))
        return numpy_files.read_images(path)
    listing, _ = folder.list_images(path)
    _warn_of(path, folder.told(listing.left_out))
    decode = folder.Decoder(folder.target_size(image_size))
    return np.stack([decode(file) for file in listing.files])


def _warn_of(path: pathlib.Path, left_out: str) -> None:
    if left_out:
        warnings.warn(f"of {path} not read: {printable(left_out)}", stacklevel=5)


def _choose(source: str):
    """The function that reads a source, and its first argument."""
    if source in SOURCES:
        return SOURCES[source], source
    if source.startswith("tfds:"):
        return tfds.read_tfds, source.removeprefix("tfds:")
    path = cache.expanded(source)
    suffix = path.suffix.lower()
    try:
        is_folder = bool(source) and path.is_dir()
    except (OSError, ValueError) as error:  # no right, too long, a null byte
        what = f"'{source[:80]}' cannot be read ({getattr(error, 'strerror', error)})"
        raise DataError(what, "config.data.source", "check the path") from None
    if is_folder:
        return folder.read_folder, path
    if suffix in FILE_READERS:
        if path.is_file():
            return FILE_READERS[suffix], path
        raise DataError(f"no file '{source}'", "config.data.source", "check the path")
    if path.is_file():
        raise ConfigError(
            f"unknown file type '{suffix}'",
            f"config.data.source, file {path}",
            "give a .npz, .npy, .csv, .tsv or .parquet file or a folder of images",
        )
    if "/" in source or source.startswith("~"):
        raise DataError(
            f"no file or folder '{source}'", "config.data.source", "check the path"
        )
    bare = {name.removeprefix("tfds:"): name for name in KNOWN_SOURCES}
    hint = f" (did you mean '{bare[source]}'?)" if source in bare else None
    raise ConfigError(
        f"unknown source '{source}'{hint or nearest(source, KNOWN_SOURCES)}",
        "config.data.source",
        "use 'digits', 'shapes', 'basicprop', 'tfds:<name>', a .npz, .npy, .csv, .tsv "
        "or .parquet file or a folder",
    )


def _digits_table() -> tuple[np.ndarray, np.ndarray]:
    """Images `[1797, 8, 8]` of 0..16 and labels `[1797]`.

    Raises:
      DataError: scikit-learn, which brings them, is not installed.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise DataError(
            "the digits need scikit-learn, which is not installed",
            "config.data.source",
            "pip install scikit-learn",
        )
    # Its table is read directly where it lies as usual: importing scikit-learn takes
    # longer than the first step of training.
    path = pathlib.Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():
        table = np.loadtxt(path, delimiter=",", dtype=np.int32)
        if table.shape == (1797, 65):
            return table[:, :64].reshape(-1, 8, 8), table[:, 64]
    digits = importlib.import_module("sklearn.datasets").load_digits()
    return digits.images, digits.target


def _read_digits(source: str, config: Any) -> raw_splits.Raw:
    """The 1,797 digits of 8x8 pixels that come with scikit-learn."""
    images, labels = _digits_table()
    # 0..16 over a power of two is exact in float32.
    x = raw_splits.as_images(images.astype(np.float32) / 16, source)
    y = raw_splits.as_labels(labels, len(x), source, 10)
    train, test = raw_splits.split_indices(
        len(x), config.test_fraction, config.split_seed, "config.data.source"
    )
    names = tuple(str(name) for name in range(10))
    return raw_splits.Raw(
        x[train],
        y[train],
        x[test],
        y[test],
        len(names),
        names,
        "digits (scikit-learn), values 0..16 divided by 16",
        f"source {source}",
        origin=(train, test),
        divisor=16.0,
    )


# Names -> functions `read(name, config.data) -> Raw`.
SOURCES = {
    "digits": _read_digits,
    "shapes": generated.read_shapes,
    **dict.fromkeys(generated.BASICPROP_NAMES, generated.read_basicprop),
}
# What a mistyped name is compared with; more TFDS names work than are listed.
KNOWN_SOURCES = (
    *SOURCES,
    "tfds:mnist",
    "tfds:fashion_mnist",
    "tfds:kmnist",
    "tfds:emnist",
    "tfds:omniglot",
    "tfds:binarized_mnist",
    "tfds:cifar10",
    "tfds:svhn_cropped",
    "tfds:dsprites",
)
