"""Grids of images as one picture."""

import math
import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from infovae_jax.report import style

# Of a cell: images that are longer are drawn shorter.
MAX_ASPECT = 4.0
DPI = 110
COLUMNS = 10


def displayable(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """`[..., H, W, C]` as values in [0, 1] with 1 or 3 channels."""
    images = (np.asarray(images, np.float32) - low) / ((high - low) or 1.0)
    channels = images.shape[-1]
    shown = images if channels == 3 else images[..., :1]
    return np.clip(shown, 0.0, 1.0)


def tile(images: np.ndarray, gap: int = 1) -> np.ndarray:
    """`[rows, columns, H, W, C]` as one picture `[*, *, C]` with white gaps."""
    padding = [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)]
    padded = np.pad(images, padding, constant_values=1.0)
    rows, columns, height, width, channels = padded.shape
    picture = padded.transpose(0, 2, 1, 3, 4)
    return picture.reshape(rows * height, columns * width, channels)[:-gap, :-gap]


def image_grid(
    images: np.ndarray,
    value_range: Sequence[float] | None = None,
    row_names: Sequence[str] | None = None,
    column_names: Sequence[str] | None = None,
) -> Figure:
    """A grid of images with names at its edges.

    Signals and rows of tables, which are one pixel high or wide, are drawn as lines.
    A cell is at most MAX_ASPECT times as long as it is wide, whatever the images.

    Args:
      images: `[rows, columns, H, W, C]`, or without C; signals also `[rows, columns,
        D]`. One of NaN stays blank.
      value_range: what is drawn black and white; None: their least and greatest value.
      row_names: of each row, or None.
      column_names: of each column, or None.
    """
    images = _with_channels(images)
    if value_range is None:
        value_range = np.nanmin(images), np.nanmax(images)
    low, high = map(float, value_range)
    row_names, column_names = style.names(row_names), style.names(column_names)
    rows, columns, height, width, _ = images.shape
    is_signal = min(height, width) == 1 < max(height, width)
    picture = None
    if not is_signal:
        full = np.where(np.isnan(images), high, images)
        picture = tile(displayable(full, low, high))
    cell = 0.62 if columns > 12 else 0.8
    margin = 0.1 + 0.085 * max(map(len, row_names), default=0)
    top = 0.35 if column_names else 0.05
    turned = style.rotation(column_names, cell)
    if turned:
        top = 0.15 + style.LETTER * max(map(len, column_names))
    grid_width = columns * cell
    aspect = 1.0 if is_signal else (height + 1) / (width + 1)
    grid_height = rows * cell * min(max(aspect, 1 / MAX_ASPECT), MAX_ASPECT)
    figure = Figure(figsize=(grid_width + margin + 0.05, grid_height + top + 0.05))
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes(
        (
            margin / total_width,
            0.05 / total_height,
            grid_width / total_width,
            grid_height / total_height,
        )
    )
    if picture is None:
        _draw_signals(axes, images.reshape(rows, columns, height * width, -1))
        height = width = 0  # cells are then as wide as the gap
    else:
        one = picture.shape[-1] == 1
        grey = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0} if one else {}
        shown = picture[..., 0] if one else picture
        axes.imshow(shown, interpolation="nearest", aspect="auto", **grey)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=8)
    axes.xaxis.tick_top()
    shift = 0 if picture is None else 1
    centres_x = (np.arange(columns) + 0.5) * (width + 1) - shift
    centres_y = (np.arange(rows) + 0.5) * (height + 1) - shift
    axes.set_xticks(centres_x if column_names else [], column_names, rotation=turned)
    axes.set_yticks(centres_y if row_names else [], row_names)
    return figure


def _with_channels(images: np.ndarray) -> np.ndarray:
    """`[rows, columns, H, W, C]` of images, or of signals with H = 1."""
    images = np.asarray(images)
    if images.ndim == 3:
        images = images[:, :, None]
    return images if images.ndim == 5 else images[..., None]


def _draw_signals(axes, signals: np.ndarray) -> None:
    """Lines `[rows, columns, D, C]` in cells of side 1, all on one scale."""
    low, high = float(np.nanmin(signals)), float(np.nanmax(signals))
    rows, columns, size, channels = signals.shape
    t = np.linspace(0.06, 0.94, size)
    heights = 0.94 - 0.88 * (signals - low) / max(high - low, 1e-12)
    lines = [
        np.stack([column + t, row + heights[row, column, :, channel]], axis=1)
        for row in range(rows)
        for column in range(columns)
        for channel in range(channels)
        if not np.isnan(signals[row, column]).any()
    ]
    axes.add_collection(LineCollection(lines, linewidths=0.6))
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)


def in_rows(images: np.ndarray, columns: int) -> np.ndarray:
    """`[n, H, W, C]` as `[rows, columns, H, W, C]`; what is left at the end is NaN."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    blank = np.full((rows * columns - len(images), *images.shape[1:]), np.nan)
    return np.concatenate([images, blank]).reshape(rows, columns, *images.shape[1:])


def pairs(above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Images `[n, ...]` over what they are decoded to, and the names of the rows."""
    halves = [in_rows(np.asarray(part), COLUMNS) for part in (above, below)]
    grid = np.stack(halves, 1).reshape(-1, *halves[0].shape[1:])
    return grid, ["original", "mean of p(x|z)"] * len(halves[0])


def square_grid(images: np.ndarray, limits: tuple[float, float]) -> Figure:
    """`[n, H, W, C]` in a grid as near to square as n allows."""
    return image_grid(in_rows(images, math.ceil(math.sqrt(len(images)))), limits)


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a PNG; without date and version, so that equal figures are equal bytes."""
    figure.set_dpi(DPI)
    layout = figure.get_layout_engine()
    if layout is not None:
        # Now, and not by a drawing of which nothing is kept.
        layout.execute(figure)
        figure.set_layout_engine("none")
    figure.savefig(path, dpi=DPI, metadata={"Software": None}, format="png")
