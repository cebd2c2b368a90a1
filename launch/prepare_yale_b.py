#!/usr/bin/env python3
"""Brings the cropped Extended Yale B faces to the size and split of our studies.

    python launch/prepare_yale_b.py yale_b_cropped_96x84.npz yale_b_48.npz

The source is an .npz with `image` [n, 96, 84] uint8, `subject`, `azimuth` and
`elevation` (degrees). Out comes an .npz of 48x48 images with labels (the subject),
split 80/20 within every subject by a fixed seed, and the light's azimuth and elevation
as factors, which the evaluation reads. The data are for research only and are not part
of this project (Georghiades, Belhumeur & Kriegman 2001; Lee, Ho & Kriegman 2005).
"""

import sys

import numpy as np
from PIL import Image

SIZE, TEST_SHARE, SEED = 48, 0.2, 0


def resize(images: np.ndarray) -> np.ndarray:
    """`[n, H, W]` uint8 to `[n, 48, 48]`; the aspect ratio gives way."""
    box = Image.Resampling.BOX
    return np.stack(
        [np.asarray(Image.fromarray(i).resize((SIZE, SIZE), box)) for i in images]
    )


def is_test(labels: np.ndarray) -> np.ndarray:
    """A fifth of each subject's images, drawn with a fixed seed."""
    rng, chosen = np.random.default_rng(SEED), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen[members[: round(TEST_SHARE * len(members))]] = True
    return chosen


def main(source: str, target: str) -> None:
    """Reads `source`, writes `target`."""
    with np.load(source, allow_pickle=False) as data:
        image, subject = data["image"], data["subject"]
        factors = {name: data[name] for name in ("azimuth", "elevation")}
    _, labels = np.unique(subject, return_inverse=True)
    test = is_test(labels)
    x = resize(image)
    arrays = {}
    for name, rows in (("train", ~test), ("test", test)):
        arrays[f"x_{name}"], arrays[f"y_{name}"] = x[rows], labels[rows]
        for factor, values in factors.items():
            arrays[f"factor_{factor}_{name}"] = values[rows].astype(np.float64)
    np.savez_compressed(target, **arrays)
    print(f"wrote {target}: {(~test).sum()} training and {test.sum()} test images")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} SOURCE.npz TARGET.npz")
    main(*sys.argv[1:])
