"""Small pictures of test images, as the scripts of the page are given them."""

import math

import numpy as np

from infovae_jax.report import grids
from infovae_jax.report.figures import Scene, value_range


def thumbs(scene: Scene, chosen: np.ndarray, longest: int) -> np.ndarray:
    """Test images as bytes, from black to white.

    Args:
      scene: of the pictures.
      chosen: which, `[n]`.
      longest: pixels of the longer side; of a signal all numbers stay.

    Returns:
      uint8 `[n, h, w, 1 or 3]`.
    """
    height, width = scene.test_x.shape[1:3]
    step = math.ceil(max(height, width) / longest) if min(height, width) > 1 else 1
    images = scene.test_x[chosen][:, ::step, ::step]
    shown = grids.displayable(images, *value_range(scene))
    return np.round(255 * shown).astype(np.uint8)
