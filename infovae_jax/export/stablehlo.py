"""A model's functions by `jax.export`, for any number of rows, on CPU, CUDA and TPU.

JAX keeps such programs readable for six months, by a version that is not older than
the one that wrote them. The parameters are not in them: they lie in the folder's
arrays, and from those an older program is made anew.
"""

import datetime
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from infovae_jax import config as config_lib
from infovae_jax.data import scaling as scaling_lib
from infovae_jax.errors import CheckpointError
from infovae_jax.export import files, numpy_runtime
from infovae_jax.export import functions as functions_lib
from infovae_jax.export.functions import RowFunctions
from infovae_jax.types import DataSpec

NAMES = ("encode", "predict", "decode", "sample")
PLATFORMS = ("cpu", "cuda", "tpu")
DAYS = 180  # that JAX guarantees


def file_name(name: str) -> str:
    """Of a function."""
    return f"{name}.stablehlo"


def write(folder: pathlib.Path, rows: RowFunctions, params: Any) -> list[str]:
    """Writes a file a function; returns their names."""
    (count,) = jax_export.symbolic_shape("b")
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), params)
    x = jax.ShapeDtypeStruct((count, *rows.shape), jnp.float32)
    codes = jax.eval_shape(rows.encode, shapes, x)
    arguments = {
        "encode": (x,),
        "predict": (x,),
        "decode": (jax.ShapeDtypeStruct((count, codes.shape[-1]), jnp.float32),),
        "sample": (
            jax.ShapeDtypeStruct((), jnp.uint32),
            jax.ShapeDtypeStruct((count,), jnp.int32),
        ),
    }
    written = []
    for name in NAMES:
        function = getattr(rows, name)
        if function is None:
            continue
        exported = jax_export.export(jax.jit(function), platforms=PLATFORMS)
        program = exported(shapes, *arguments[name])
        (folder / file_name(name)).write_bytes(program.serialize())
        written.append(file_name(name))
    return written


def load(folder: str | pathlib.Path, name: str) -> Callable[..., np.ndarray]:
    """A function of the model in a folder, from its program or else its parameters.

    Args:
      folder: of a model that was saved with the format 'stablehlo'.
      name: 'encode', 'predict' (both of rows as the data have them), 'decode' (of
        codes) or 'sample' (of a seed and the numbers of clusters, one a sample).

    Returns:
      The function, of any number of rows; its attribute `rebuilt` says whether it was
      made anew.

    Raises:
      CheckpointError: no model there, a damaged one, or none with such a function.
    """
    folder = pathlib.Path(folder)
    with files.reading(folder):
        numpy_runtime.check_manifest(folder)
        record = json.loads((folder / numpy_runtime.MODEL).read_text(encoding="utf-8"))
        arrays = files.read_arrays(folder)
        params = files.unflatten(arrays, "params")
        made = datetime.date.fromisoformat(record["date"])
        path = folder / file_name(name)
        if name not in NAMES or not path.is_file():
            raise CheckpointError(
                f"no program '{name}' in the model",
                str(folder),
                "save it with formats=('stablehlo',)",
            )
        call, rebuilt = None, True
        if (datetime.date.today() - made).days <= DAYS:
            call = _deserialized(path)
            rebuilt = call is None
        if call is None:
            call = jax.jit(getattr(_rebuilt(record), name))

    def function(*arguments):
        typed = [jnp.asarray(a, jnp.float32) for a in arguments]
        if name == "sample":
            seed, clusters = arguments
            typed = [jnp.uint32(seed), jnp.asarray(clusters, jnp.int32)]
        return np.asarray(call(params, *typed))

    function.rebuilt = rebuilt
    return function


def _deserialized(path: pathlib.Path) -> Callable | None:
    """The program, or None where this version of JAX does not read it."""
    try:
        return jax.jit(jax_export.deserialize(bytearray(path.read_bytes())).call)
    except Exception:  # flatbuffers' and JAX's own are of many kinds
        return None


def _rebuilt(record: dict[str, Any]) -> RowFunctions:
    config = config_lib.from_json(json.dumps(record["config"]))
    spec = record["spec"]
    spec = DataSpec(**{**spec, "shape": tuple(spec["shape"])})
    made = functions_lib.make(config, spec)
    scale = scaling_lib.from_json(record["scaling"])
    return functions_lib.of_rows(made, scale, record["image_shape"])
