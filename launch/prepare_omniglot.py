#!/usr/bin/env python3
"""Makes a 28x28 set of labelled Omniglot characters from the original archives.

    python launch/prepare_omniglot.py images_background_small1.zip omniglot_28.npz
        [--task=characters|alphabets] [--alphabet=NAME] [--rotations=4|1]

The archives hold <set>/<alphabet>/<character>/*.png, black on white, 20 drawers a
character (Lake, Salakhutdinov & Tenenbaum 2015); several may be named before the
target. Images are inverted (strokes are 1) and averaged down to 28x28.

  characters  5 characters of one alphabet (the first, or --alphabet), each turned by
              0, 90, 180 and 270 degrees: 400 images, the 300 of 15 drawers for
              training and the 100 of the other 5 for testing. With --rotations=1
              75 and 25. Our reading of the VIMAE paper, whose 300 and 100 are more
              than 5 characters have.
  alphabets   all characters, labelled by their alphabet; split by drawer as above.
"""

import argparse
import io
import pathlib
import sys
import zipfile

import numpy as np
from PIL import Image

SIZE, NUM_CHARACTERS, TRAIN_DRAWERS = 28, 5, 15


class WrongInput(Exception):
    """What is wrong with a file, in one line."""


def read_archives(paths: list[str]) -> dict[tuple[str, str], list[np.ndarray]]:
    """(alphabet, character) -> images in the order of their drawers, uint8 `[28, 28]`.

    Raises:
      WrongInput: no zip, or not of the layout of Omniglot.
    """
    found = {}
    for path in paths:
        try:
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    parts = pathlib.PurePosixPath(name).parts
                    if not name.endswith(".png") or len(parts) < 3:
                        continue
                    image = Image.open(io.BytesIO(archive.read(name))).convert("L")
                    found.setdefault(parts[-3:-1], []).append(shrunk(image))
        except (OSError, zipfile.BadZipFile) as error:
            raise WrongInput(f"cannot read {path}: {error}") from None
    if not found:
        raise WrongInput(f"no <alphabet>/<character>/*.png in {', '.join(paths)}")
    short = [key for key, images in found.items() if len(images) <= TRAIN_DRAWERS]
    if short:
        raise WrongInput(
            f"{'/'.join(short[0])} has {len(found[short[0]])} drawings, "
            f"more than {TRAIN_DRAWERS} are needed"
        )
    return found


def shrunk(image: Image.Image) -> np.ndarray:
    """Inverted, `[28, 28]` uint8: each pixel the mean of what it covers."""
    small = image.resize((SIZE, SIZE), Image.Resampling.BOX)
    return 255 - np.asarray(small, np.uint8)


def labelled(found: dict, task: str, alphabet: str | None) -> list[list]:
    """The characters of each class, as lists of drawings.

    Raises:
      WrongInput: no such alphabet, or too few characters in it.
    """
    names = sorted({key[0] for key in found})
    if task == "alphabets":
        return [[found[k] for k in sorted(found) if k[0] == name] for name in names]
    alphabet = alphabet or names[0]
    chosen = [found[key] for key in sorted(found) if key[0] == alphabet]
    if len(chosen) < NUM_CHARACTERS:
        raise WrongInput(
            f"alphabet {alphabet} has {len(chosen)} characters, "
            f"{NUM_CHARACTERS} are needed; there are {', '.join(names)}"
        )
    return [[drawings] for drawings in chosen[:NUM_CHARACTERS]]


def split(classes: list[list], rotations: int) -> dict[str, np.ndarray]:
    """The arrays of the .npz: the first 15 drawers train, the others test."""
    arrays = {}
    for name, drawers in (
        ("train", slice(TRAIN_DRAWERS)),
        ("test", slice(TRAIN_DRAWERS, None)),
    ):
        images, labels = [], []
        for label, characters in enumerate(classes):
            for drawings in characters:
                for image in drawings[drawers]:
                    images += [np.rot90(image, turn) for turn in range(rotations)]
                    labels += rotations * [label]
        order = np.random.default_rng(0).permutation(len(labels))
        arrays[f"x_{name}"] = np.stack(images)[order]
        arrays[f"y_{name}"] = np.array(labels)[order]
    return arrays


def main() -> None:
    """Reads the archives, writes the target."""
    parser = argparse.ArgumentParser(description="Omniglot as one .npz of 28x28")
    parser.add_argument("sources", nargs="+", metavar="SOURCE.zip")
    parser.add_argument("target", metavar="TARGET.npz")
    parser.add_argument(
        "--task", choices=("characters", "alphabets"), default="characters"
    )
    parser.add_argument("--alphabet")
    parser.add_argument("--rotations", type=int, choices=(1, 4))
    options = parser.parse_args()
    # An alphabet turned on its side is another one; a few characters need the images.
    rotations = options.rotations or (4 if options.task == "characters" else 1)
    try:
        found = read_archives(options.sources)
        classes = labelled(found, options.task, options.alphabet)
    except WrongInput as error:
        sys.exit(f"error: {error}; give the original Omniglot archives")
    arrays = split(classes, rotations)
    np.savez_compressed(options.target, **arrays)
    print(
        f"wrote {options.target}: {len(arrays['x_train'])} training and "
        f"{len(arrays['x_test'])} test images of {len(classes)} classes"
    )


if __name__ == "__main__":
    main()
