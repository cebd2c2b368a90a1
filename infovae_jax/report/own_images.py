"""One's own images through a trained model, as a PNG or as arrays.

`--mode=reconstruct|interpolate|traverse --input=...`. Images are drawn and kept in the
range that the model sees.
"""

import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import folder, new_rows
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
from infovae_jax.types import Dataset

# Rows of a picture of traversals: one of a dim of an image.
MAX_ROWS = 100
_LONGEST_NAME = 16
_AT_ONCE = 1000  # images of an array that are read together


# Arrays of images, in the range of the model.
_IN_RANGE = ("x", "image", "reconstruction")


class Shown(NamedTuple):
    """What was made of some images.

    Attributes:
      arrays: of the npz, by name.
      grid: of the PNG, `[rows, columns, H, W, C]`; NaN is blank.
      row_names: of its rows.
      column_names: of its columns, or None.
      chosen: which of the images it is of; None: all.
    """

    arrays: dict[str, np.ndarray]
    grid: np.ndarray
    row_names: list[str]
    column_names: list[str] | None = None
    chosen: np.ndarray | None = None


class Taken(NamedTuple):
    """Images of an input.

    Attributes:
      x: as stored, `[m, H, W, C]`.
      index: of each in the input, `[m]`.
      total: that the input has.
      files: that they are, within the folder; None: there are none.
      left_out: what else lies in the input and is not read, in words.
    """

    x: np.ndarray
    index: np.ndarray
    total: int
    files: list[str] | None = None
    left_out: str = ""


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
    chosen = evenly(len(x), max(1, MAX_ROWS // len(dims)))
    found = walk(codes[chosen], num, dims)
    _, kinds = code_paths.named_dims(run.objective)
    rows = [f"{names[i]} {dim}" for i in chosen for dim in found.names]
    grid = found.images.reshape(-1, *found.images.shape[2:])
    arrays = {
        "x": prepared(run, x[chosen]),
        "code": found.codes,
        "image": found.images,
        "dim": found.dims,
        "dim_name": np.array(found.names),
    }
    return Shown(arrays, grid, rows, traversal_columns(kinds[dims], num), chosen)


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
    """Makes what a mode makes of images of an input; returns lines about it.

    Args:
      saved: the run, possibly without its data.
      mode: of MODES.
      path: of the input, see `new_rows.read`.
      num: at most so many images, evenly over the input: it may be in the order of
        its classes.
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
    taken = take(path, dataset, num)
    shown = MODES[mode](saved.run, saved.params, taken.x, _names(taken))
    count, lines = len(shown.arrays["x"]), not_read(taken.left_out)
    chosen = np.arange(count) if shown.chosen is None else shown.chosen
    shown.arrays["index"] = taken.index[chosen]
    if taken.files is not None:
        shown.arrays["file"] = np.array(taken.files)[chosen]
    if count < taken.total:
        more = "--num_samples=N takes more"
        if count < len(taken.x):
            more = f"they fill a picture of {MAX_ROWS} rows"
        lines.append(
            f"note: of {count} of {taken.total} images, evenly over the input; {more}"
        )
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


def evenly(total: int, count: int) -> np.ndarray:
    """`count` of 0..total-1 at equal distances, or all where there are fewer."""
    return np.arange(min(count, total)) * total // max(min(count, total), 1)


def take(path: pathlib.Path, dataset: Dataset, num: int) -> Taken:
    """At most `num` images of an input, evenly over it; of a folder no other is read.

    Raises:
      DataError: as `new_rows.read`.
    """
    path = new_rows.require(path)
    if path.is_dir():
        listing, root = folder.list_images(path)
        index = evenly(len(listing.files), num)
        chosen = [listing.files[i] for i in index]
        x = [next(new_rows.read(file, dataset, 1)).x for file in chosen]
        names = [file.relative_to(root).as_posix() for file in chosen]
        told = folder.told(listing.left_out)
        return Taken(np.concatenate(x), index, len(listing.files), names, told)
    # How many there are is known at the end: every `step`-th is kept until then.
    kept, total, step, part = [], 0, 1, None
    for part in new_rows.read(path, dataset, max(num, _AT_ONCE)):
        total += len(part.x)
        for i in range(-part.first % step, len(part.x), step):
            kept.append((part.first + i, np.array(part.x[i])))
        while len(kept) > 2 * num:
            kept, step = kept[::2], 2 * step
    index, x = zip(*(kept[i] for i in evenly(len(kept), num)), strict=True)
    return Taken(np.stack(x), np.array(index), total, part.names, part.left_out)


def _names(taken: Taken) -> list[str]:
    """Of each image: of its file, or its number; short enough for a picture."""
    if taken.files is None:
        return [str(number) for number in taken.index]
    stems = [pathlib.PurePath(name).stem for name in taken.files]
    return [stem[-_LONGEST_NAME:] for stem in stems]


def outputs(mode: str, folder: pathlib.Path, output: str | None) -> list[pathlib.Path]:
    """The file that is asked for, by default a PNG and an npz in the run's folder."""
    if output:
        return [pathlib.Path(output)]
    return [files.outlet(folder / f"{mode}{ending}") for ending in (".png", ".npz")]
