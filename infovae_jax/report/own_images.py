"""One's own images through a trained model, as a PNG or as arrays.

`--mode=reconstruct|interpolate|traverse --input=...`. Images are drawn and kept in the
range that the model sees.
"""

import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import new_rows
from infovae_jax.data.new_rows import Rows
from infovae_jax.errors import ConfigError, DataError
from infovae_jax.evaluation import (
    code_paths,
    decode_codes,
    encode_split,
    prepared,
    row_files,
)
from infovae_jax.evaluation.encoding import require_finite
from infovae_jax.evaluation.new_data import not_read
from infovae_jax.report import grids
from infovae_jax.report.figures import shown_range, traversal_columns
from infovae_jax.report.grids import COLUMNS
from infovae_jax.training import files
from infovae_jax.training.run import Run
from infovae_jax.training.saved import Saved

# Rows of a picture of traversals: one of a dim of an image.
MAX_ROWS = 100
_LONGEST_NAME = 16


# Arrays of images, in the range of the model.
_IN_RANGE = ("x", "image", "reconstruction")


class Shown(NamedTuple):
    """What was made of some images.

    Attributes:
      arrays: of the npz, by name.
      grid: of the PNG, `[rows, columns, H, W, C]`; NaN is blank.
      row_names: of its rows.
      column_names: of its columns, or None.
    """

    arrays: dict[str, np.ndarray]
    grid: np.ndarray
    row_names: list[str]
    column_names: list[str] | None = None


def reconstruct(run: Run, params: Any, x: np.ndarray, names: list[str]) -> Shown:
    """Images as stored `[n, H, W, C]`, and what their posterior means decode to."""
    codes, images = _codes(run, params, x), prepared(run, x)
    made = decode_codes(run, params, codes)
    arrays = {"x": images, "code": codes, "reconstruction": made}
    return Shown(arrays, *grids.pairs(images, made))


def interpolate(run: Run, params: Any, x: np.ndarray, names: list[str]) -> Shown:
    """From each image to the next, in equal steps of the code.

    Raises:
      DataError: a single image.
    """
    if len(x) < 2:
        what = "a single image, and a walk needs two"
        raise DataError(what, "--input", "give a folder or an array of at least two")
    decode = functools.partial(decode_codes, run, params)
    made, codes = code_paths.interpolate(decode, _codes(run, params, x), COLUMNS)
    pairs = [f"{a} to {b}" for a, b in zip(names, names[1:], strict=False)]
    images = prepared(run, x)
    grid = np.concatenate([images[:-1, None], made, images[1:, None]], 1)
    columns = ["original", *[""] * COLUMNS, "original"]
    return Shown({"x": images, "code": codes, "image": made}, grid, pairs, columns)


def traverse(run: Run, params: Any, x: np.ndarray, names: list[str]) -> Shown:
    """One dim of the code after the other moved, of as many images as fit MAX_ROWS."""
    decode, num = functools.partial(decode_codes, run, params), COLUMNS + 1
    codes = _codes(run, params, x)
    walk = functools.partial(code_paths.traverse, run.objective, params, decode)
    dims = walk(codes[:1], num).dims
    count = max(1, MAX_ROWS // len(dims))
    found = walk(codes[:count], num, dims)
    _, kinds = code_paths.named_dims(run.objective)
    rows = [f"{image} {dim}" for image in names[:count] for dim in found.names]
    grid = found.images.reshape(-1, *found.images.shape[2:])
    arrays = {
        "x": prepared(run, x[:count]),
        "code": found.codes,
        "image": found.images,
        "dim": found.dims,
        "dim_name": np.array(found.names),
    }
    return Shown(arrays, grid, rows, traversal_columns(kinds[dims], num))


MODES: dict[str, Callable[[Run, Any, np.ndarray, list[str]], Shown]] = {
    "reconstruct": reconstruct,
    "interpolate": interpolate,
    "traverse": traverse,
}


def apply(
    saved: Saved,
    mode: str,
    path: pathlib.Path,
    num: int,
    outputs: list[pathlib.Path],
) -> list[str]:
    """Makes what a mode makes of the first images of an input; returns lines about it.

    Args:
      saved: the run, possibly without its data.
      mode: of MODES.
      path: of the input, see `new_rows.read`.
      num: at most so many images.
      outputs: paths that end with .png or .npz.

    Raises:
      ConfigError: the model is of a table.
      DataError: as `new_rows.read`; or too few images.
      NonFiniteError: the model diverged.
    """
    dataset = saved.run.dataset
    if dataset.spec.blocks:
        raise ConfigError(
            f"--mode={mode} shows images, and the model is of a table",
            str(saved.folder),
            "use --mode=encode or predict, or infovae_jax.load(...).reconstruct(table)",
        )
    parts = new_rows.read(path, dataset, num)
    part = next(parts)
    left = next(parts, None) is not None
    shown = MODES[mode](saved.run, saved.params, part.x, _names(part))
    count, lines = len(shown.arrays["x"]), not_read(part.left_out)
    if part.names is not None:
        shown.arrays["file"] = np.array(part.names[:count])
    if count < len(part.x):
        fill = f"which fill a picture of {MAX_ROWS} rows"
        lines.append(f"note: of the first {count} images alone, {fill}")
    elif left:
        lines.append(f"note: of the first {num} images; --num_samples=N takes more")
    kept = {
        name: dataset.intake.original(array) if name in _IN_RANGE else array
        for name, array in shown.arrays.items()
    }
    for output in outputs:
        verb = row_files.verb(output)
        with row_files.whole(output) as path:
            if output.suffix.lower() == ".npz":
                row_files.write_arrays(path, kept)
            else:
                limits = shown_range(dataset.spec, shown.arrays["x"])
                names = shown.row_names, shown.column_names
                grids.save(grids.image_grid(shown.grid, limits, *names), path)
        lines.append(f"{verb} {output}")
    return lines


def _codes(run: Run, params: Any, x: np.ndarray) -> np.ndarray:
    codes = encode_split(run, params, x).mean
    require_finite(codes, "code")
    return codes


def _names(part: Rows) -> list[str]:
    """Of each image: of its file, or its number; short enough for a picture."""
    if part.names is None:
        return [str(part.first + i) for i in range(len(part.x))]
    stems = [pathlib.PurePath(name).stem for name in part.names]
    return [stem[-_LONGEST_NAME:] for stem in stems]


def outputs(mode: str, folder: pathlib.Path, output: str | None) -> list[pathlib.Path]:
    """The file that is asked for, by default a PNG and an npz in the run's folder."""
    if output:
        return [pathlib.Path(output)]
    return [files.outlet(folder / f"{mode}{ending}") for ending in (".png", ".npz")]
