"""Arrays and errors of a saved model's files; see `folder` for what they are."""

import contextlib
import importlib.util
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from infovae_jax.data import numpy_files
from infovae_jax.errors import CheckpointError, ConfigError, DataError
from infovae_jax.export import numpy_runtime
from infovae_jax.export.numpy_runtime import ARRAYS


def flatten(tree: dict, prefix: str) -> dict[str, np.ndarray]:
    """Nested dicts as 'a/b/c' -> array; an empty dict is an empty array."""
    flat = {}
    for name, value in tree.items():
        path = f"{prefix}/{name}"
        if isinstance(value, dict):
            flat |= flatten(value, path) or {f"{path}/": np.zeros(0, np.float32)}
        else:
            flat[path] = np.asarray(value, order="C")
    return flat


def unflatten(flat: dict[str, Any], prefix: str) -> dict:
    """The nested dicts under the first part of the paths."""
    tree: dict = {}
    for path, value in flat.items():
        first, *names = path.split("/")
        if first != prefix:
            continue
        node = tree
        for name in names[:-1]:
            node = node.setdefault(name, {})
        if names[-1]:
            node[names[-1]] = value
    return tree


def write_arrays(folder: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """All arrays, as safetensors or else as an npz; scalars stay scalars.

    Raises:
      OSError: they cannot be written.
    """
    if importlib.util.find_spec("safetensors") is None:
        np.savez(folder / ARRAYS[1], **arrays)
        return
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    scalars = json.dumps([k for k, v in arrays.items() if not np.ndim(v)])
    arrays = {name: np.atleast_1d(value) for name, value in arrays.items()}
    try:
        save_file(arrays, folder / ARRAYS[0], metadata={"scalars": scalars})
    except SafetensorError as error:  # its own kind, of a full disk, too
        raise OSError(str(error)) from error


def read_arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a saved model, by their paths.

    Raises:
      ValueError, DataError: the file is missing or damaged.
    """
    if (folder / ARRAYS[0]).is_file():
        return numpy_runtime.read_arrays(folder)
    return numpy_files.read_archive(folder / ARRAYS[1], sorted)


@contextlib.contextmanager
def reading(folder: pathlib.Path) -> Iterator[None]:
    """Turns whatever a damaged or foreign folder ends in into one line.

    Raises:
      CheckpointError: in place of any error of the files' content.
    """
    try:
        yield
    except CheckpointError:
        raise
    except (
        *(ConfigError, DataError, OSError, ValueError, KeyError, TypeError),
        *(AttributeError, IndexError, OverflowError, MemoryError, RecursionError),
        *(AssertionError, ZeroDivisionError),
    ) as error:
        raise CheckpointError(
            f"the model cannot be read ({type(error).__name__}: {str(error)[:300]})",
            str(folder),
            "save it again, or get it anew",
        ) from error
