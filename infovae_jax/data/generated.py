"""Generated images whose factors are known exactly.

'shapes': small grey images of one figure. All 12,000 combinations of five factors, each
once, so that the factors are exactly independent over the whole set: shape (square,
ellipse, triangle), scale, orientation, and the position along x and y. After dSprites
(Matthey et al. 2017), with two differences: edges are smooth, and the orientation runs
over a quarter turn only, within which no figure comes back to itself, so that an image
has one set of factors.

'basicprop...': the toy family of Ducau & Trenous, Mutual Information in Variational
Autoencoders, 2017: 28x28 grey images of bars, ten balanced classes.

  basicprop           one bar of full height, columns 3 + 2i to 6 + 2i for class i
  basicprop_angle     two bars from row 3 down, columns 3-12 and 15-24, of heights
                      3 + 2i and 3 + 2j: i is the label, j is not labelled. Binary,
                      100 distinct images: I(x; i, j) = log 100 = 4.605 nats
  basicprop_noise     the same shapes, bar pixels uniform on 150..239
  basicprop_noise_bg  the same, and the background uniform on 0..100
"""

from typing import Any

import numpy as np

from infovae_jax.data import raw_splits
from infovae_jax.data.permutation import GENERATED, words

SIZE = 32
SHAPES = ("square", "ellipse", "triangle")
SCALES = (3.5, 4.5, 5.5, 6.5)  # pixels from the centre to the farthest point
ORIENTATIONS = tuple(9.0 * i for i in range(10))  # degrees, x towards y
POSITIONS = tuple(7.0 + 2.0 * i for i in range(10))  # pixels of the centre
FACTORS = ("shape", "scale", "orientation", "position_x", "position_y")
WINDOW = 14  # holds a figure whose centre is in its middle
SUBPIXELS = 16  # a side: a value is the covered share of 256 points
ELLIPSE_RATIO = 0.5

BASICPROP_NAMES = (
    "basicprop",
    "basicprop_angle",
    "basicprop_noise",
    "basicprop_noise_bg",
)
NUM_TRAIN, NUM_TEST, NUM_CLASSES, BARS_SIZE = 100_000, 10_000, 10, 28
BAR_VALUES = (150, 240)  # half-open
BACKGROUND_VALUES = (0, 101)


def covered(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points lie inside a figure that reaches to distance 1 of the origin."""
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) <= np.sqrt(0.5)
    if shape == "ellipse":
        return x**2 + (y / ELLIPSE_RATIO) ** 2 <= 1.0
    # An equilateral triangle: three half-planes at half the distance of its corners.
    slope = np.sqrt(0.75)
    sides = (-x, 0.5 * x + slope * y, 0.5 * x - slope * y)
    return np.max(sides, axis=0) <= 0.5


def sprite(shape: str, scale: float, orientation: float) -> np.ndarray:
    """One figure, `[WINDOW, WINDOW]` uint8, rows along y."""
    steps = (np.arange(WINDOW * SUBPIXELS) + 0.5) / SUBPIXELS - WINDOW / 2
    x, y = np.meshgrid(steps / scale, steps / scale)
    angle = np.deg2rad(orientation)
    along, across = np.cos(angle), np.sin(angle)
    inside = covered(shape, along * x + across * y, along * y - across * x)
    blocks = inside.reshape(WINDOW, SUBPIXELS, WINDOW, SUBPIXELS)
    return np.round(255.0 * blocks.mean((1, 3))).astype(np.uint8)


def images() -> tuple[np.ndarray, np.ndarray]:
    """All images `[12000, 32, 32]` uint8 and the numbers of their factors `[12000, 5]`.

    Row by row in the order of FACTORS, the last one running fastest.
    """
    counts = (len(SHAPES), len(SCALES), len(ORIENTATIONS), *2 * (len(POSITIONS),))
    x = np.zeros((*counts, SIZE, SIZE), np.uint8)
    starts = [int(centre - WINDOW / 2) for centre in POSITIONS]
    for figure in np.ndindex(counts[:3]):
        s, r, o = figure
        drawn = sprite(SHAPES[s], SCALES[r], ORIENTATIONS[o])
        for i, left in enumerate(starts):
            for j, top in enumerate(starts):
                x[figure][i, j, top : top + WINDOW, left : left + WINDOW] = drawn
    numbers = np.stack(np.unravel_index(np.arange(x.size // SIZE**2), counts), 1)
    return x.reshape(-1, SIZE, SIZE), numbers


def read_shapes(name: str, config: Any) -> raw_splits.Raw:
    """Draws the set and sets a random part of it aside for testing.

    Labels are the shapes. Factors are numbers of shapes, pixels and degrees.

    Args:
      name: 'shapes'.
      config: reads `test_fraction` and `split_seed`.
    """
    where = f"source {name}"
    x, numbers = images()
    labels = numbers[:, 0].astype(np.int32)
    train, test = raw_splits.split_indices(
        len(x), config.test_fraction, config.split_seed, where
    )
    values = (range(len(SHAPES)), SCALES, ORIENTATIONS, POSITIONS, POSITIONS)
    factors = {}
    for factor, column, of in zip(FACTORS, numbers.T, values, strict=True):
        every = np.array(of, np.float64)[column]
        factors[factor] = (every[train], every[test])
    x = raw_splits.as_images(x, where)
    return raw_splits.Raw(
        x[train],
        labels[train],
        x[test],
        labels[test],
        len(SHAPES),
        SHAPES,
        f"shapes, all {len(x)} combinations of {', '.join(FACTORS)}",
        where,
        factors,
    )


def _uniform(
    seed: int, stream: int, shape: tuple[int, ...], low: int, high: int
) -> np.ndarray:
    """Integers low..high-1."""
    raw = words(seed, GENERATED + stream, int(np.prod(shape)))
    scaled = (raw >> np.uint64(32)) * np.uint64(high - low) >> np.uint64(32)
    return (scaled.astype(np.int64) + low).reshape(shape)


def _bars() -> np.ndarray:
    """Masks of all pairs of heights, `[10, 10, 28, 28]` bool."""
    masks = np.zeros((NUM_CLASSES, NUM_CLASSES, BARS_SIZE, BARS_SIZE), bool)
    for i in range(NUM_CLASSES):
        masks[i, :, 3 : 6 + 2 * i, 3:13] = True
        masks[:, i, 3 : 6 + 2 * i, 15:25] = True
    return masks


def _split(name: str, num: int, seed: int, number: int):
    """`(x, label, j)` of one split."""
    label = np.arange(num, dtype=np.int32) % NUM_CLASSES
    j = _uniform(seed, 8 * number + 1, (num,), 0, NUM_CLASSES)
    if name == "basicprop":
        masks = np.zeros((NUM_CLASSES, BARS_SIZE, BARS_SIZE), bool)
        for i in range(NUM_CLASSES):
            masks[i, :, 3 + 2 * i : 7 + 2 * i] = True
        chosen = masks[label]
    else:
        chosen = _bars()[label, j]
    if name == "basicprop_angle":
        return chosen.astype(np.uint8) * np.uint8(255), label, j
    x = np.zeros(chosen.shape, np.uint8)
    if name == "basicprop_noise_bg":
        values = _uniform(seed, 8 * number + 2, chosen.shape, *BACKGROUND_VALUES)
        x = values.astype(np.uint8)
    lit = (int(chosen.sum()),)
    x[chosen] = _uniform(seed, 8 * number + 3, lit, *BAR_VALUES).astype(np.uint8)
    return x, label, j


def read_basicprop(name: str, config) -> raw_splits.Raw:
    """Generates one of BASICPROP_NAMES: 100,000 training and 10,000 test images.

    Args:
      name: of BASICPROP_NAMES.
      config: reads `split_seed`.
    """
    train_x, train_y, train_j = _split(name, NUM_TRAIN, config.split_seed, 0)
    test_x, test_y, test_j = _split(name, NUM_TEST, config.split_seed, 1)
    factors = None
    if name != "basicprop":
        factors = {
            "left": (train_y.astype(np.float64), test_y.astype(np.float64)),
            "right": (train_j.astype(np.float64), test_j.astype(np.float64)),
        }
    where = f"source {name}"
    return raw_splits.Raw(
        raw_splits.as_images(train_x, where),
        train_y,
        raw_splits.as_images(test_x, where),
        test_y,
        NUM_CLASSES,
        tuple(str(i) for i in range(NUM_CLASSES)),
        f"{name}, generated with seed {config.split_seed}",
        where,
        factors,
    )
