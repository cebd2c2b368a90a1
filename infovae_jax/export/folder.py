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

import datetime
import errno
import json
import pathlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from infovae_jax.data.scaling import Scaling
from infovae_jax.errors import ConfigError, StorageError, unknown
from infovae_jax.export import files, numpy_runtime, onnx_files
from infovae_jax.export import functions as functions_lib
from infovae_jax.export import graphs as graphs_lib
from infovae_jax.export.functions import Functions
from infovae_jax.export.numpy_runtime import ARRAYS, CHECK, GRAPHS, MANIFEST, MODEL
from infovae_jax.training.files import write_atomically

FORMATS = ("stablehlo", "onnx")
# Folder of a save that goes on, or was cut off.
_NEW = ".infovae-new-"
# Files that only some models have.
_PROGRAMS = (".stablehlo", ".onnx")


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
        there = folder.exists() or folder.is_symlink()  # to nothing, as it may be
        held = {path.name for path in folder.iterdir()} if there else set()
        held = {name for name in held if not name.startswith(_NEW)}
    except OSError as error:
        raise ConfigError(
            f"it cannot be used as a folder ({error.strerror})",
            str(folder),
            "name another",
        ) from None
    if held and not holds_model(folder):
        raise ConfigError(
            "the folder holds something that is no model",
            str(folder),
            "name a new one",
        )
    return folder


def holds_model(folder: pathlib.Path) -> bool:
    """Whether a folder is one of ours.

    By `model.json`, or where that is damaged by the manifest; of other programs there
    are files of either name.
    """
    record, listed = _read(folder / MODEL), _read(folder / MANIFEST).get("sha256")
    ours = type(record.get("format_version")) is int and "class" in record
    return ours or (isinstance(listed, dict) and {MODEL, GRAPHS, CHECK} <= set(listed))


def _read(path: pathlib.Path) -> dict[str, Any]:
    """The record of a JSON file; empty where it holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    return found if isinstance(found, dict) else {}


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
      folder: of the model, see `claim`; the model that it held is replaced once the
        new one is whole.
      record: what `model.json` is to hold.
      arrays: by path; parameters under 'params/'.
      check: rows 'x' and what the model makes of them, by name.
      make: makes the model's `functions.Functions`; ValueError: it has none.
      scaling: of its rows.
      formats: of FORMATS.

    Raises:
      ConfigError: an unknown format, one whose package is absent, or one that cannot
        hold the model; a folder of something else.
      StorageError: the disk is full, or the folder cannot be written.
    """
    check_formats(formats)
    claim(folder)
    if formats and record.get("scheme") is not None:
        raise ConfigError(
            f"a model of a table cannot be written as {', '.join(formats)}: a program "
            "takes numbers, not columns",
            "formats",
            "leave the formats out, and read the folder with infovae_jax.load",
        )
    had = (record.get("intake") or {}).get("intake", {})
    if formats and had.get("bits"):
        raise ConfigError(
            f"a model of bytes 0 and 1 cannot be written as {', '.join(formats)}: to a "
            "program 1 is nearly black",
            "formats",
            "leave the formats out, or train on 0 and 255",
        )
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
    rows, shape = None, record["image_shape"]
    if formats:
        rows = functions_lib.of_rows(functions, scaling, shape)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_NEW, dir=folder) as place:
            parts = record, arrays | constants, graphs, check
            _write_files(pathlib.Path(place), *parts, rows, formats)
            _remove_old(folder, pathlib.Path(place))
            for path in sorted(pathlib.Path(place).iterdir(), key=_manifest_last):
                path.replace(folder / path.name)
    except OSError as error:
        what = f"cannot write: {error.strerror or error}"
        fix = "name another folder"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fix = f"free some space, or {fix}"
        raise StorageError(what, str(folder), fix) from error


def _write_files(folder, record, arrays, graphs, check, rows, formats) -> None:
    """All of them, the manifest last; `rows`: the programs of the formats."""
    params = {k: v for k, v in arrays.items() if k.startswith("params/")}
    files.write_arrays(folder, arrays)
    (folder / GRAPHS).write_text(json.dumps(graphs) + "\n", encoding="utf-8")
    np.savez(folder / CHECK, **check)
    source = pathlib.Path(numpy_runtime.__file__)
    (folder / source.name).write_bytes(source.read_bytes())
    names = [GRAPHS, CHECK, source.name]
    if "stablehlo" in formats:
        from infovae_jax.export import stablehlo

        try:
            names += stablehlo.write(folder, rows, files.unflatten(params, "params"))
        except (TypeError, ValueError) as error:  # of somebody's own module
            raise _no_format("stablehlo", error) from error
    if "onnx" in formats:
        names += _write_onnx(folder, rows, params, check)
    write_atomically(folder / MODEL, json.dumps(record, indent=1) + "\n")
    names += [MODEL, *(name for name in ARRAYS if (folder / name).is_file())]
    digests = {name: numpy_runtime.digest(folder / name) for name in sorted(names)}
    # Last: a folder without it is a save that was cut off.
    write_atomically(
        folder / MANIFEST, json.dumps({"sha256": digests}, indent=1) + "\n"
    )


def _manifest_last(path: pathlib.Path) -> tuple[bool, str]:
    return path.name == MANIFEST, path.name


def _remove_old(folder: pathlib.Path, place: pathlib.Path) -> None:
    """The manifest first: what is then left is no model. `place` holds the new one."""
    listed = _read(folder / MANIFEST).get("sha256")
    programs = [path for path in folder.iterdir() if path.suffix in _PROGRAMS]
    programs = [path.name for path in programs if path.name in (listed or ())]
    for name in [MANIFEST, MODEL, *ARRAYS, GRAPHS, CHECK, *programs]:
        (folder / name).unlink(missing_ok=True)
    for cut_off in folder.glob(f"{_NEW}*"):
        if cut_off != place:
            shutil.rmtree(cut_off, ignore_errors=True)


def _graphs(functions: Functions, params: dict[str, np.ndarray]):
    """The graphs of both directions, and their constants."""

    latent, trace = (functions.objective.latent_dim,), functions_lib.trace
    shapes = {"x": functions.spec.shape}, {"z": latent}
    encode, first = trace(functions.encode, params, shapes[0], "encode")
    decode, second = trace(functions.decode, params, shapes[1], "decode")
    return {"encode": encode, "decode": decode}, first | second


def _no_format(name: str, error: Exception) -> ConfigError:
    text = (str(error).splitlines() or [""])[0][:200]
    what = f"the model cannot be written as {name} ({text})"
    return ConfigError(what, "formats", f"leave {name} out")


def _write_onnx(folder, rows, params, check) -> list[str]:
    """Of rows as the data have them: codes and probabilities, and back."""

    def encode(flat, x):
        nested = files.unflatten(flat, "params")
        found = {"codes": rows.encode(nested, x)}
        if rows.predict is not None:
            found["probabilities"] = rows.predict(nested, x)
        return found

    def decode(flat, z):
        return {"decoded": rows.decode(files.unflatten(flat, "params"), z)}

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
            raise _no_format("onnx", error) from None
        onnx_files.check(path, given, check)
    return ["encode.onnx", "decode.onnx"]
