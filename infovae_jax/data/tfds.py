"""Datasets prepared by TensorFlow Datasets, read without TensorFlow.

A prepared folder is decoded once into the cache through TFDS's random-access reader.
With the cache in place TFDS is not even imported.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import cache, raw_splits
from infovae_jax.data.tfds_folders import Prepared, find, import_tfds, missing_module
from infovae_jax.errors import DataError, UserError

# Mean and standard deviation of the training images on [0, 1], per channel.
KNOWN_STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...] | None]] = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "kmnist": ((0.1918,), (0.3483,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), None),
}
STATISTICS_TOLERANCE = 0.005
TEST_SPLITS = ("test", "validation")
# The label's name, by preference. Beside further classes it is also a factor: the
# second and third are those of dSprites and Shapes3D, and of smallNORB.
LABELS = ("label", "label_shape", "label_category")
# `__getitems__` on many indices is several times as fast as single ones.
EXAMPLES_AT_ONCE = 1024


def read_tfds(full_name: str, config: Any) -> raw_splits.Raw:
    """Reads a prepared dataset.

    Args:
      full_name: `name`, `name/config` or `name:version`.
      config: reads `data_dir`, `cache_dir`, `test_fraction`, `split_seed`.

    Returns:
      Images as the dataset stores them and labels, memory-mapped from the cache.

    Raises:
      ConfigError: for an unknown dataset.
      DataError: if it is not prepared, in another format than array_record, damaged,
        not what its name says, or without images; or if TFDS is not installed.
      StorageError: if the cache cannot be written.
    """
    prepared = find(full_name, config.data_dir)
    chosen = _choose_splits(prepared, config)
    # 'factors': caches of a time before they were read are not opened.
    parts = {s: (name, i) for s, (name, i, _) in chosen.items()}
    mark = cache.fingerprint(prepared.fingerprint, parts, "factors")
    folder = cache.root(config.cache_dir) / (
        f"{prepared.name}-{prepared.version}-{prepared.config}-{mark}"
    )
    opened = cache.open_or_build(
        folder,
        lambda: _make(prepared, chosen),
        lambda meta: check_statistics(prepared, meta["splits"]["train"]),
    )
    arrays, meta = opened.arrays, opened.meta
    title = f"tfds:{full_name} {prepared.version}, decoded into {folder}"
    if meta["zero_one"]:
        title += "; its values 0 and 1 are stored as 0 and 255"
    factors = {}
    for column, factor in enumerate(meta["factors"]):
        factors[factor] = tuple(arrays[f"{s}_f"][:, column] for s in cache.SPLITS)
    if factors:
        title += "; every feature of one number is a factor"
    return raw_splits.Raw(
        arrays["train_x"],
        arrays.get("train_y"),
        arrays["test_x"],
        arrays.get("test_y"),
        meta["num_labels"],
        tuple(meta["label_names"]),
        title,
        f"dataset {prepared.path}",
        factors or None,
    )


def _choose_splits(prepared: Prepared, config: Any) -> dict[str, tuple]:
    """For 'train' and 'test': a split's name, how it was cut, and its indices."""
    where, sizes = f"dataset {prepared.path}", prepared.splits
    if "train" not in sizes and len(sizes) != 1:
        raise DataError(
            f"no split named 'train' among {sorted(sizes)}",
            where,
            "choose a dataset with a train split",
        )
    train = "train" if "train" in sizes else next(iter(sizes))
    test = next((s for s in TEST_SPLITS if s in sizes and s != train), None)
    for split in (train, test or train):
        if sizes[split] == 0:
            raise DataError(f"empty split '{split}'", where, "prepare the dataset anew")
    if test is not None:
        return {
            "train": (train, None, range(sizes[train])),
            "test": (test, None, range(sizes[test])),
        }
    cut = (config.test_fraction, config.split_seed)
    indices = raw_splits.split_indices(sizes[train], *cut, where)
    parts = zip(cache.SPLITS, indices, strict=True)
    return {split: (train, cut, chosen.tolist()) for split, chosen in parts}


def _make(prepared: Prepared, chosen: dict[str, tuple]):
    tfds = import_tfds()
    where = f"dataset {prepared.path}"
    try:
        builder = tfds.builder_from_directory(str(prepared.path))
        keys = _feature_keys(builder.info.features, where)
        label = builder.info.features[keys.label] if keys.label else None
        sources = {
            name: builder.as_data_source(name)
            for name in {name for name, _, _ in chosen.values()}
        }
        names = () if label is None else tuple(label.names or ())
        num_labels = 0 if label is None else int(label.num_classes)
        train_name, _, train_indices = chosen["train"]
        some = list(train_indices[:EXAMPLES_AT_ONCE])
        rows = sources[train_name].__getitems__(some)
        # As binary images are stored by dSprites and binarized MNIST.
        images = [np.asarray(row[keys.image]) for row in rows]
        zero_one = images[0].dtype == np.uint8 and max(x.max() for x in images) == 1
    except UserError:
        raise
    except ImportError as error:
        raise missing_module(error) from error
    except Exception as error:
        raise _unreadable(prepared, error) from error
    streams = {
        split: cache.Stream(
            len(indices),
            _chunks(prepared, sources[name], indices, keys, num_labels, zero_one),
        )
        for split, (name, _, indices) in chosen.items()
    }
    facts = {
        "source": f"tfds:{prepared.name}/{prepared.config}:{prepared.version}",
        "tfds_version": str(getattr(tfds, "__version__", "unknown")),
        "label_names": list(names),
        "num_labels": num_labels,
        "factors": list(keys.factors),
        "zero_one": bool(zero_one),
    }
    return streams, facts


class _Keys(NamedTuple):
    """Names of features: the image's, the label's or None, and those of factors."""

    image: str
    label: str | None
    factors: tuple[str, ...]


def _feature_keys(features: Any, where: str) -> _Keys:
    """The usual names by preference; every other feature of one number is a factor."""
    kinds = {key: type(feature).__name__ for key, feature in features.items()}
    images = [key for key, kind in kinds.items() if kind == "Image"]
    labels = [key for key, kind in kinds.items() if kind == "ClassLabel"]
    if "image" in kinds:
        images = ["image"]
    # Of several, none of them named like a label, none is the label.
    usual = [key for key in LABELS if key in labels]
    label = usual[0] if usual else labels[0] if len(labels) == 1 else None
    if not images:
        raise DataError(
            f"no image among the features {sorted(kinds)}",
            where,
            "choose a dataset with an Image feature",
        )
    factors = tuple(
        key
        for key, feature in features.items()
        if _is_number(feature) and (key != label or key in LABELS[1:])
    )
    return _Keys(images[0], label, factors)


def _is_number(feature: Any) -> bool:
    """Whether a feature is one integer, float or truth value per example."""
    shape, dtype = (getattr(feature, name, None) for name in ("shape", "np_dtype"))
    return shape == () and dtype is not None and np.dtype(dtype).kind in "iufb"


def _unreadable(prepared: Prepared, error: Exception) -> DataError:
    return DataError(
        f"damaged or cut record file ({type(error).__name__}: {error})",
        f"dataset {prepared.path}",
        f"delete that folder and prepare the dataset anew: {prepared.command}",
    )


def _chunks(
    prepared: Prepared,
    source: Any,
    indices: Sequence[int],
    keys: _Keys,
    num_labels: int,
    zero_one: bool,
) -> Iterator[tuple[np.ndarray | None, ...]]:
    where = f"dataset {prepared.path}"
    first = None
    for start in range(0, len(indices), EXAMPLES_AT_ONCE):
        wanted = list(indices[start : start + EXAMPLES_AT_ONCE])
        try:
            rows = source.__getitems__(wanted)
            images = [np.asarray(row[keys.image]) for row in rows]
            labels = [row[keys.label] for row in rows] if keys.label else None
            factors = [[row[key] for key in keys.factors] for row in rows]
        except ImportError as error:
            raise missing_module(error) from error
        # TFDS and array_record raise whatever comes: TypeError, RuntimeError, ...
        except Exception as error:
            raise _unreadable(prepared, error) from error
        first = images[0].shape if first is None else first
        for offset, image in enumerate(images):
            if image.shape != first:
                raise DataError(
                    f"mixed image sizes: example {indices[0]} is {first} but example "
                    f"{wanted[offset]} is {image.shape}",
                    where,
                    "export the images to a folder and set data.image_size",
                )
        y = None
        if labels is not None:
            y = raw_splits.as_labels(labels, len(images), where, num_labels)
        x = raw_splits.as_images(np.stack(images), where)
        if zero_one:
            x = _spread(x, prepared)
        yield x, y, np.array(factors, np.float64) if keys.factors else None


def _spread(x: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Binary images of values 0 and 1 as uint8 of 0 and 255, which stand for them."""
    if x.max() > 1:
        raise DataError(
            f"value {x.max()} in an image after {EXAMPLES_AT_ONCE} of values 0 and 1",
            f"dataset {prepared.path}",
            "prepare the dataset anew, with one range for all images",
        )
    return x * np.uint8(255)


def check_statistics(prepared: Prepared, statistics: dict[str, Any]) -> None:
    """Compares the training images with what is known of the dataset so named.

    TFDS names an extracted file by its bare file name, so two datasets whose files
    have equal names and which share a folder swap their images without an error.

    Raises:
      DataError: if mean or standard deviation differ by more than 0.005.
    """
    if prepared.name not in KNOWN_STATISTICS or _is(prepared.name, statistics):
        return
    likely = [name for name in KNOWN_STATISTICS if _is(name, statistics)]
    mean, std = KNOWN_STATISTICS[prepared.name]
    raise DataError(
        f"the dataset prepared as '{prepared.name}' holds other images than its name "
        f"says{f' (those of {likely[0]}?)' if likely else ''}: mean "
        f"{np.round(statistics['mean'], 4).tolist()}, not {list(mean)}; std "
        f"{np.round(statistics['std'], 4).tolist()}"
        f"{f', not {list(std)}' if std else ''}",
        f"dataset {prepared.path}",
        "its raw files were probably mixed up with another dataset's; delete that "
        "folder and prepare it anew with a download and extract folder of its own",
    )


def _is(name: str, statistics: dict[str, Any]) -> bool:
    for known, found in zip(
        KNOWN_STATISTICS[name], (statistics["mean"], statistics["std"]), strict=True
    ):
        if known is None:
            continue
        if len(known) != len(found):
            return False
        if not np.allclose(found, known, rtol=0, atol=STATISTICS_TOLERANCE):
            return False
    return True
