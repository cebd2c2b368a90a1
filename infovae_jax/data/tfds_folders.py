"""Finds what TensorFlow Datasets prepared, by name and without importing it."""

import importlib
import json
import os
import pathlib
import re
from typing import Any, NamedTuple

from infovae_jax.data import cache
from infovae_jax.errors import ConfigError, DataError, UserError, nearest

_NAME = re.compile(
    r"(?P<name>\w+)(/(?P<config>[\w\-.]+))?(:(?P<version>\d+\.\d+\.\d+))?"
)
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Prepared(NamedTuple):
    """A prepared dataset on disk.

    Attributes:
      name: its TFDS name.
      config: its builder config, or 'default'.
      version: such as '3.0.1'.
      path: the folder that holds `dataset_info.json`.
      splits: examples of each split.
      command: the shell command that prepares it anew.
      fingerprint: changes with the description and with the record files.
    """

    name: str
    config: str
    version: str
    path: pathlib.Path
    splits: dict[str, int]
    command: str
    fingerprint: str


def default_data_dir() -> str:
    """Where TFDS prepares datasets unless told otherwise."""
    return os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"


def prepare_command(full_name: str, data_dir: str | None) -> str:
    """The shell command that prepares a dataset in the format read here."""
    place = f"data_dir={str(data_dir)!r}, " if data_dir else ""
    return (
        'python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{full_name}', {place}file_format='array_record')"
        '.download_and_prepare()"'
    )


def find(full_name: str, data_dir: str | None) -> Prepared:
    """Finds a prepared dataset by its name, without importing TFDS.

    Args:
      full_name: `name`, `name/config` or `name:version`; the newest version if none
        is said.
      data_dir: where datasets were prepared, or None for TFDS's default.

    Raises:
      ConfigError: for a malformed or unknown name.
      DataError: if the dataset is not prepared there, or in another format.
    """
    match = _NAME.fullmatch(full_name)
    if match is None or "://" in str(data_dir or ""):
        raise ConfigError(
            f"malformed dataset name '{full_name}'"
            if match is None
            else f"'{data_dir}' is not a local folder",
            "config keys data.source and data.data_dir",
            "use 'tfds:<name>', 'tfds:<name>/<config>' or 'tfds:<name>:<version>' and "
            "a local folder",
        )
    root = cache.expanded(data_dir or default_data_dir())
    base = root / match["name"]
    if match["config"]:
        base = base / match["config"]
    elif not _versions(base) and base.is_dir():
        base = _only_config(base, full_name)
    versions = [v for v in _versions(base) if match["version"] in (None, v)]
    if not versions:
        _refuse_other_preparation(full_name, base, root / match["name"])
        raise _not_prepared(full_name, match["name"], root, data_dir)
    builder_config = base.name if base.name != match["name"] else "default"
    path = base / versions[-1]
    command = prepare_command(full_name, data_dir)
    return _describe(match["name"], builder_config, path, command)


def _versions(base: pathlib.Path) -> list[str]:
    found = [p.parent.name for p in base.glob("*/dataset_info.json")]
    found = [name for name in found if _VERSION.fullmatch(name)]
    return sorted(found, key=lambda name: tuple(map(int, name.split("."))))


def _only_config(base: pathlib.Path, full_name: str) -> pathlib.Path:
    configs = sorted(p for p in base.iterdir() if p.is_dir() and _versions(p))
    if len(configs) > 1:
        raise ConfigError(
            f"'{full_name}' is prepared in several configs: "
            f"{', '.join(p.name for p in configs)}",
            "config.data.source",
            f"say which one: 'tfds:{full_name}/{configs[0].name}'",
        )
    return configs[0] if configs else base


def _refuse_other_preparation(full_name, base, whole) -> None:
    """Names the versions or configs there are, if only another one was asked for."""
    found = _versions(base) or sorted(
        p.name for p in whole.glob("*") if p.is_dir() and _versions(p)
    )
    if found:
        raise ConfigError(
            f"'{full_name}' is not prepared, but {', '.join(found)} is",
            f"config.data.source; folder {whole}",
            "name one of those or prepare the missing one",
        )


def _not_prepared(full_name, name, root, data_dir) -> UserError:
    command = prepare_command(full_name, data_dir)
    try:
        tfds = import_tfds()
    except DataError as error:
        # Whether there is such a dataset is not known then.
        return DataError(
            f"dataset '{full_name}' is not prepared, and {error.what}",
            f"config.data.source; data.data_dir, folder {root}",
            f"{error.fix}; then, where TensorFlow is installed, run: {command}",
        )
    known = set(tfds.list_builders(with_community_datasets=False))
    if name not in known:
        if root.is_dir():
            known |= {p.name for p in root.iterdir() if p.is_dir()} - {"downloads"}
        return ConfigError(
            f"unknown dataset 'tfds:{name}'{nearest(name, known)}",
            f"config.data.source; it is neither in TFDS nor prepared in {root}",
            "name a dataset of tensorflow_datasets.list_builders(), or set "
            "data.data_dir to the folder in which yours was prepared",
        )
    return DataError(
        f"dataset '{full_name}' is not prepared",
        f"data.data_dir, folder {root}",
        f"where TensorFlow is installed, run: {command}",
    )


def _describe(name, builder_config, path, command) -> Prepared:
    try:
        info_bytes = (path / "dataset_info.json").read_bytes()
        info = json.loads(info_bytes)
        splits = {
            s["name"]: sum(int(n) for n in s["shardLengths"]) for s in info["splits"]
        }
        file_format = info.get("fileFormat", "tfrecord")
        features = (path / "features.json").read_bytes()
        records = []
        for record in sorted(path.glob(f"*{file_format}*")):
            with open(record, "rb") as f:
                records.append((record.name, record.stat().st_size, f.read(1 << 16)))
    except (
        *(OSError, ValueError, KeyError, TypeError, AttributeError),
        RecursionError,
    ) as error:
        raise DataError(
            f"the prepared dataset's description cannot be read ({error!r})",
            f"dataset {path}",
            f"delete the folder and run: {command}",
        ) from error
    if file_format != "array_record":
        raise DataError(
            f"dataset '{name}' was prepared as {file_format}, which cannot be "
            "read at random and without TensorFlow",
            f"dataset {path}",
            "a prepared folder cannot be switched; prepare into a new one: "
            + prepare_command(name, "<new folder>"),
        )
    mark = cache.fingerprint(info_bytes, features, records)
    return Prepared(name, builder_config, path.name, path, splits, command, mark)


def import_tfds() -> Any:
    """The module `tensorflow_datasets`.

    Raises:
      DataError: if it or something it needs is not installed.
    """
    try:
        return importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise missing_module(error) from error


def missing_module(error: ImportError) -> DataError:
    if error.name == "importlib_resources":
        # TFDS needs it on Python 3.11 and does not declare it.
        return DataError(
            "TensorFlow Datasets needs importlib_resources, which is not installed",
            "config.data.source",
            "pip install importlib_resources",
        )
    return DataError(
        f"TensorFlow Datasets or a part of it is not installed ({error})",
        "config.data.source",
        "pip install 'infovae_jax[tfds]'",
    )
