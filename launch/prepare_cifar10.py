#!/usr/bin/env python3
"""Makes one .npz of CIFAR-10 (Krizhevsky 2009) from the files it comes in.

    python launch/prepare_cifar10.py SOURCE cifar10.npz [--per_class=N]

SOURCE is the official binary archive (cifar-10-binary.tar.gz: data_batch_1..5.bin and
test_batch.bin), a tar of JPEG or PNG files train/<class>/*.jpg and test/<class>/*.jpg
(lossy where JPEG: do not quote a likelihood or a distance from it), or one file of
official records (.bin, .bin.xz; its last fifth becomes the test split). Nothing is
unpacked to disk. --per_class keeps the first N of each class in each split.
"""

import argparse
import io
import lzma
import pathlib
import sys
import tarfile

import numpy as np
from PIL import Image

SIZE, RECORD = 32, 1 + 3 * 32 * 32
NAMES = (
    "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905
)


class WrongInput(Exception):
    """What is wrong with a file, in one line."""


def records(data: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 32, 32, 3]` and labels `[n]` of official records.

    Raises:
      WrongInput: not a whole number of records, or a label above 9.
    """
    if not data or len(data) % RECORD:
        raise WrongInput(f"{name} holds {len(data)} bytes, no multiple of {RECORD}")
    rows = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    if rows[:, 0].max() >= len(NAMES):
        raise WrongInput(f"{name} holds label {rows[:, 0].max()}")
    images = rows[:, 1:].reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1)
    return images, rows[:, 0]


def read_tar(path: str) -> dict[str, list]:
    """Split -> (images, labels) parts of an archive of records or of pictures.

    Raises:
      WrongInput: a picture of another size or class.
    """
    parts, pictures = {"train": [], "test": []}, {"train": [], "test": []}
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isfile():
                continue
            name = pathlib.PurePosixPath(member.name)
            if name.suffix == ".bin" and "batch" in name.stem:
                split = "test" if name.stem.startswith("test") else "train"
                data = archive.extractfile(member).read()
                parts[split].append((name.name, *records(data, name.name)))
            elif name.suffix in (".jpg", ".png") and name.parts[-3:-2]:
                split, label = name.parts[-3:-1]
                if split not in parts or label not in NAMES:
                    raise WrongInput(f"{name} is not train|test/<class>/<file>")
                image = Image.open(io.BytesIO(archive.extractfile(member).read()))
                if image.size != (SIZE, SIZE):
                    raise WrongInput(f"{name} is {image.size[0]}x{image.size[1]}")
                array = np.asarray(image.convert("RGB"))
                pictures[split].append((member.name, array[None], [NAMES.index(label)]))
    return {k: sorted(parts[k] + pictures[k], key=lambda part: part[0]) for k in parts}


def read(path: str) -> dict[str, np.ndarray]:
    """`x_train`, `y_train`, `x_test`, `y_test` of any of the forms.

    Raises:
      WrongInput: none of them.
    """
    try:
        if tarfile.is_tarfile(path):
            parts = read_tar(path)
        else:
            opened = lzma.open if path.endswith(".xz") else open
            with opened(path, "rb") as f:
                x, y = records(f.read(), path)
            cut = len(x) - len(x) // 5
            parts = {
                "train": [(path, x[:cut], y[:cut])],
                "test": [(path, x[cut:], y[cut:])],
            }
    except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
        raise WrongInput(f"cannot read {path}: {error}") from None
    arrays = {}
    for split, found in parts.items():
        if not sum(len(part[2]) for part in found):
            raise WrongInput(f"no {split} images in {path}")
        arrays[f"x_{split}"] = np.concatenate([part[1] for part in found])
        arrays[f"y_{split}"] = np.concatenate([part[2] for part in found])
    return arrays


def first_of_each_class(arrays: dict, num: int) -> dict[str, np.ndarray]:
    """The first `num` examples of each class in both splits."""
    kept = {}
    for split in ("train", "test"):
        labels = arrays[f"y_{split}"]
        rows = [np.flatnonzero(labels == label)[:num] for label in range(len(NAMES))]
        rows = np.sort(np.concatenate(rows))
        for key in (f"x_{split}", f"y_{split}"):
            kept[key] = arrays[key][rows]
    return kept


def main() -> None:
    """Reads the source, writes the target."""
    parser = argparse.ArgumentParser(description="CIFAR-10 as one .npz")
    parser.add_argument("source")
    parser.add_argument("target", metavar="TARGET.npz")
    parser.add_argument("--per_class", type=int)
    options = parser.parse_args()
    try:
        arrays = read(options.source)
    except WrongInput as error:
        sys.exit(f"error: {error}; give CIFAR-10 in one of the forms of --help")
    if options.per_class:
        arrays = first_of_each_class(arrays, options.per_class)
    # Pictures come class by class; an order without classes suits any first n.
    for split in ("train", "test"):
        order = np.random.default_rng(0).permutation(len(arrays[f"y_{split}"]))
        for key in (f"x_{split}", f"y_{split}"):
            arrays[key] = arrays[key][order]
    np.savez_compressed(options.target, **arrays)
    print(
        f"wrote {options.target}: {len(arrays['x_train'])} training and "
        f"{len(arrays['x_test'])} test images"
    )


if __name__ == "__main__":
    main()
