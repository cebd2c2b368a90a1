"""BASICPROP: generated images whose information about their factors is known.

The toy family of Ducau & Trenous, Mutual Information in Variational Autoencoders,
2017: 28x28 grey images of bars, ten balanced classes.

  basicprop           one bar of full height, columns 3 + 2i to 6 + 2i for class i
  basicprop_angle     two bars from row 3 down, columns 3-12 and 15-24, of heights
                      3 + 2i and 3 + 2j: i is the label, j is not labelled. Binary,
                      100 distinct images: I(x; i, j) = log 100 = 4.605 nats
  basicprop_noise     the same shapes, bar pixels uniform on 150..239
  basicprop_noise_bg  the same, and the background uniform on 0..100
"""

import numpy as np

from infovae_jax.data import raw_splits

NAMES = ("basicprop", "basicprop_angle", "basicprop_noise", "basicprop_noise_bg")
NUM_TRAIN, NUM_TEST, NUM_CLASSES, SIZE = 100_000, 10_000, 10, 28
BAR = (150, 240)  # half-open
BACKGROUND = (0, 101)


def _uniform(key: np.ndarray, shape: tuple[int, ...], low: int, high: int):
    """Integers low..high-1 from raw words, which NumPy promises never to change."""
    words = np.random.Philox(key=key).random_raw(int(np.prod(shape)))
    scaled = (words >> np.uint64(32)) * np.uint64(high - low) >> np.uint64(32)
    return (scaled.astype(np.int64) + low).reshape(shape)


def _shapes() -> np.ndarray:
    """Masks of all pairs of heights, `[10, 10, 28, 28]` bool."""
    masks = np.zeros((NUM_CLASSES, NUM_CLASSES, SIZE, SIZE), bool)
    for i in range(NUM_CLASSES):
        masks[i, :, 3 : 6 + 2 * i, 3:13] = True
        masks[:, i, 3 : 6 + 2 * i, 15:25] = True
    return masks


def _split(name: str, num: int, seed: int, number: int):
    """`(x, label, j)` of one split."""
    label = np.arange(num, dtype=np.int32) % NUM_CLASSES
    seed = seed % 2**64
    j = _uniform(np.array([seed, 8 * number + 1], np.uint64), (num,), 0, NUM_CLASSES)
    if name == "basicprop":
        masks = np.zeros((NUM_CLASSES, SIZE, SIZE), bool)
        for i in range(NUM_CLASSES):
            masks[i, :, 3 + 2 * i : 7 + 2 * i] = True
        chosen = masks[label]
    else:
        chosen = _shapes()[label, j]
    if name == "basicprop_angle":
        return chosen.astype(np.uint8) * np.uint8(255), label, j
    x = np.zeros(chosen.shape, np.uint8)
    if name == "basicprop_noise_bg":
        key = np.array([seed, 8 * number + 2], np.uint64)
        x = _uniform(key, chosen.shape, *BACKGROUND).astype(np.uint8)
    key = np.array([seed, 8 * number + 3], np.uint64)
    x[chosen] = _uniform(key, (int(chosen.sum()),), *BAR).astype(np.uint8)
    return x, label, j


def read_basicprop(name: str, config) -> raw_splits.Raw:
    """Generates one of NAMES: 100,000 training and 10,000 test images.

    Args:
      name: of NAMES.
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
