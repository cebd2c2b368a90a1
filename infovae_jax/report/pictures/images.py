"""Pictures made of images; those that have no function here are plain `image_grid`s."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from infovae_jax.report.grids import image_grid, pairs


def reconstructions(
    originals: np.ndarray,
    means: np.ndarray,
    value_range: Sequence[float] | None = None,
) -> Figure:
    """Images, ten a row, and below each what its code is decoded to.

    Args:
      originals: `[n, H, W, C]`, `[n, H, W]`, or signals `[n, D]`.
      means: of the same shape.
      value_range: what is drawn black and white; None: their least and greatest value.
    """
    images, names = pairs(originals, means)
    return image_grid(images, value_range, names)


def cluster_members(
    images: np.ndarray,
    names: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    value_range: Sequence[float] | None = None,
) -> Figure:
    """Real examples of each cluster, some of each kind.

    Args:
      images: a row a cluster, `[K, kinds, m, H, W, C]`; NaN where there are fewer.
      names: of the clusters, `[K]`.
      kinds: what the examples are, such as 'centre'.
      value_range: see `reconstructions`.
    """
    images = np.asarray(images, np.float32)
    count, num_kinds, each, *shape = images.shape
    blank = np.full((count, num_kinds, 1, *shape), np.nan, np.float32)
    parted = np.concatenate([images, blank], axis=2)
    parted = parted.reshape(count, num_kinds * (each + 1), *shape)[:, :-1]
    columns = None
    if kinds is not None:
        columns = [name for kind in kinds for name in (kind, *[""] * each)][:-1]
    figure = image_grid(parted, value_range, names, columns)
    figure.axes[0].tick_params(labelsize=10)  # wide: the page shows it smaller
    # A name stands over the first of its columns, and reaches over the others.
    for label in figure.axes[0].get_xticklabels():
        label.set_ha("left")
    return figure
