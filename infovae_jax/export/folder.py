"""The files of a saved model, written as a whole and read with care.

    model.json            class, parameters, config, scaling, names, versions, digests
    model.safetensors     arrays; model.npz where safetensors is not installed
    graphs.json           what the networks compute, for `numpy_runtime`
    numpy_runtime.py      a copy of it
    check.npz             rows, and what the model made of them when it was saved
    *.stablehlo, *.onnx   programs, where they were asked for
    manifest.json         SHA-256 of each, written last

Nothing is pickled.
"""

import contextlib
import datetime
import importlib.util
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from infovae_jax.data import numpy_files
from infovae_jax.data.scaling import Scaling
from infovae_jax.errors import CheckpointError, ConfigError, DataError, unknown
from infovae_jax.export import functions as functions_lib
from infovae_jax.export import graphs as graphs_lib
from infovae_jax.export import numpy_runtime, onnx_files
from infovae_jax.export.functions import Functions
from infovae_jax.export.numpy_runtime import ARRAYS, CHECK, GRAPHS, MANIFEST, MODEL
from infovae_jax.training.files import write_atomically

FORMATS = ("stablehlo", "onnx")


def check_formats(formats: Sequence[str]) -> None:
    """Raises ConfigError: an unknown format, or one whose package is absent."""
    for name in formats:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS, "formats")
    if "onnx" in formats:
        onnx_files.require()


def claim(folder: pathlib.Path) -> pathlib.Path:
    """The folder, which is new, empty or holds a model.

    Raises:
      ConfigError: it holds something else, or is no folder.
    """
    try:
        held = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise ConfigError(
            f"it cannot be used as a folder ({error.strerror})",
            str(folder),
            "name another --output",
        ) from None
    if held and not held & {MANIFEST, MODEL}:
        raise ConfigError(
            "the folder holds something that is no model",
            str(folder),
            "name a new one as --output",
        )
    return folder


def write(
    folder: pathlib.Path,
    record: dict[str, Any],
    arrays: dict[str, np.ndarray],
    check: dict[str, np.ndarray],
    make: Any,
    scaling: Scaling,
    formats: Sequence[str] = (),
) -> None:
    """Writes a model.

    Args:
      folder: of the model; what it held of another one is replaced.
      record: what `model.json` is to hold.
      arrays: by path; parameters under 'params/'.
      check: rows 'x' and what the model makes of them, by name.
      make: makes the model's `functions.Functions`; ValueError: it has none.
      scaling: of its rows.
      formats: of FORMATS.

    Raises:
      ConfigError: an unknown format, one whose package is absent, or one that cannot
        hold the model.
    """
    check_formats(formats)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_old(folder)
    record = record | {"date": datetime.date.today().isoformat()}
    params = {k: v for k, v in arrays.items() if k.startswith("params/")}
    try:
        functions = make()
        graphs, constants = _graphs(functions, params)
    except (graphs_lib.Inexpressible, ValueError) as error:
        functions, graphs, constants = None, {"missing": str(error)}, {}
        if formats:
            raise ConfigError(
                f"the model cannot be written as {', '.join(formats)} ({error})",
                str(folder),
                "leave the formats out",
            ) from None
    _write_arrays(folder, arrays | constants)
    (folder / GRAPHS).write_text(json.dumps(graphs) + "\n", encoding="utf-8")
    np.savez(folder / CHECK, **check)
    source = pathlib.Path(numpy_runtime.__file__)
    (folder / source.name).write_bytes(source.read_bytes())
    names = [GRAPHS, CHECK, source.name]
    if formats:
        rows = functions_lib.of_rows(functions, scaling, record["image_shape"])
        if "stablehlo" in formats:
            from infovae_jax.export import stablehlo

            names += stablehlo.write(folder, rows, unflatten(params, "params"))
        if "onnx" in formats:
            names += _write_onnx(folder, rows, params, check)
    write_atomically(folder / MODEL, json.dumps(record, indent=1) + "\n")
    names += [MODEL, *(name for name in ARRAYS if (folder / name).is_file())]
    digests = {name: numpy_runtime.digest(folder / name) for name in sorted(names)}
    # Last: a folder without it is a save that was cut off.
    write_atomically(
        folder / MANIFEST, json.dumps({"sha256": digests}, indent=1) + "\n"
    )


def _remove_old(folder: pathlib.Path) -> None:
    """The manifest first: what is then left is no model."""
    endings = (".stablehlo", ".onnx")
    old = [MANIFEST, MODEL, *ARRAYS, GRAPHS, CHECK]
    old += [path.name for path in folder.iterdir() if path.suffix in endings]
    for name in old:
        (folder / name).unlink(missing_ok=True)


def _graphs(functions: Functions, params: dict[str, np.ndarray]):
    """The graphs of both directions, and their constants."""

    def of(name, function, inputs):
        return graphs_lib.trace(
            lambda flat, rows: function(unflatten(flat, "params"), rows),
            params,
            inputs,
            name,
        )

    latent = (functions.objective.latent_dim,)
    encode, first = of("encode", functions.encode, {"x": functions.spec.shape})
    decode, second = of("decode", functions.decode, {"z": latent})
    return {"encode": encode, "decode": decode}, first | second


def _write_onnx(folder, rows, params, check) -> list[str]:
    """Of rows as the data have them: codes and probabilities, and back."""

    def encode(flat, x):
        nested = unflatten(flat, "params")
        found = {"codes": rows.encode(nested, x)}
        if rows.predict is not None:
            found["probabilities"] = rows.predict(nested, x)
        return found

    def decode(flat, z):
        return {"decoded": rows.decode(unflatten(flat, "params"), z)}

    latent = check["codes"].shape[1:]
    for name, function, inputs, given in (
        ("encode", encode, {"x": rows.shape}, check["x"]),
        ("decode", decode, {"z": latent}, check["codes"]),
    ):
        path = folder / f"{name}.onnx"
        try:
            graph, constants = graphs_lib.trace(function, params, inputs, name)
            onnx_files.write(path, graph, params | constants)
        except graphs_lib.Inexpressible as error:
            raise ConfigError(
                f"the model cannot be written as onnx ({error})",
                str(path),
                "leave onnx out of the formats",
            ) from None
        onnx_files.check(path, given, check)
    return ["encode.onnx", "decode.onnx"]


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


def _write_arrays(folder: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    if importlib.util.find_spec("safetensors") is None:
        np.savez(folder / ARRAYS[1], **arrays)
        return
    from safetensors.numpy import save_file

    save_file(
        {name: np.atleast_1d(value) for name, value in arrays.items()},
        folder / ARRAYS[0],
        metadata={
            "scalars": json.dumps([k for k, v in arrays.items() if not np.ndim(v)])
        },
    )


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
