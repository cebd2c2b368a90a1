"""A folder of image files, decoded once into the cache.

Laid out as `<class>/*.png`, as `train/<class>/*.png` with `test/<class>/*.png`, or
flat and then without labels. Class names in natural order (2 before 10) are the labels.
What was left out is counted and said; a class that would vanish is an error.
"""

import importlib
import pathlib
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import cache, raw_splits
from infovae_jax.errors import ConfigError, DataError, UserError, printable

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".jp2"),
)
TEST_NAMES = ("test", "val", "validation")


class Listing(NamedTuple):
    """The image files of one split.

    Attributes:
      files: the paths, in order of class and name.
      classes: the class of each file, or empty.
      left_out: reason -> how many files or folders were not read.
    """

    files: list[pathlib.Path]
    classes: list[str]
    left_out: Mapping[str, int] = {}

    def names(self) -> tuple[str, ...]:
        """The classes in natural order."""
        return tuple(sorted(set(self.classes), key=_natural))


def _natural(name: str) -> list:
    """A key that sorts the numbers within names by value."""
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts] + [(0, name)]


def read_folder(path: pathlib.Path, config: Any) -> raw_splits.Raw:
    """Reads a folder of images.

    Args:
      path: the folder.
      config: reads `image_size`, `test_fraction`, `split_seed`, `cache_dir`,
        `follow_links`.

    Returns:
      uint8 images `[n, H, W, C]`, C being 1 or 3, memory-mapped from the cache.

    Raises:
      ConfigError: for a senseless `image_size` or `test_fraction`.
      DataError: if there are no images, some lie outside behind links, one cannot be
        decoded, their sizes or channels differ, a test class is unknown in training, or
        Pillow is missing.
      StorageError: if the cache cannot be written.
    """
    size = target_size(config.image_size)
    splits, names, left_out = _find_splits(path, config)
    left = told(left_out)
    if not config.follow_links:
        _require_inside(path, [f for s in splits.values() for f in s.files])
    mark = cache.fingerprint(
        size,
        str(path.resolve()),
        names,
        [
            (f.relative_to(path).as_posix(), cache.file_mark(f.stat()))
            for f in splits["train"].files + splits["test"].files
        ],
        len(splits["train"].files),
    )

    def make():
        decode = Decoder(size)
        streams = {s: _stream(listing, names, decode) for s, listing in splits.items()}
        return streams, {"source": str(path), "label_names": list(names)}

    name = path.resolve().name or "root"
    folder = cache.root(config.cache_dir) / f"{name}-folder-{mark}"
    arrays = cache.open_or_build(folder, make).arrays
    return raw_splits.Raw(
        arrays["train_x"],
        arrays.get("train_y"),
        arrays["test_x"],
        arrays.get("test_y"),
        len(names),
        tuple(shown(name) for name in names),
        f"image folder {path}, decoded into {folder}{left and f'; left out: {left}'}",
        f"folder {path}",
        origin=tuple(
            np.array([f.relative_to(path).as_posix() for f in splits[s].files])
            for s in cache.SPLITS
        ),
    )


def _require_inside(folder: pathlib.Path, files: list[pathlib.Path]) -> None:
    """Refuses images that lie elsewhere: a folder from someone else may link any."""
    root, inside = folder.resolve(), {}

    def is_inside(path: pathlib.Path) -> bool:
        if path not in inside:
            inside[path] = path.resolve().is_relative_to(root)
        return inside[path]

    outside = [
        f
        for f in files
        if not is_inside(f.parent) or (f.is_symlink() and not is_inside(f))
    ]
    if outside:
        raise DataError(
            f"{len(outside)} images lie outside, behind links: the first is "
            f"{outside[0].relative_to(folder)}",
            f"folder {folder}",
            "copy them, or read them too by --config.data.follow_links=True",
        )


def shown(name: str) -> str:
    """The name of a class as labels have it."""
    return printable(name)


def list_images(path: pathlib.Path) -> tuple[Listing, pathlib.Path]:
    """The images of a folder that is not split, or one image, and the folder.

    Files lie in the folder or in class folders within it.

    Raises:
      DataError: there are none, or a class without any.
    """
    if not path.is_dir():
        return Listing([path], []), path.parent
    return _list(path), path


def target_size(image_size: Any) -> tuple[int, int] | None:
    """(height, width) of `data.image_size`, or None.

    Raises:
      ConfigError: it is neither a positive number nor two.
    """
    if image_size is None:
        return None
    sides = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or not all(isinstance(s, int) and s > 0 for s in sides):
        raise ConfigError(
            f"image size {image_size!r} is neither a positive number nor two",
            "config.data.image_size",
            "set data.image_size to 32 or (32, 48), that is (height, width)",
        )
    return sides


def told(left_out: Mapping[str, int]) -> str:
    """`Listing.left_out` in words; nothing where nothing was."""
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items())


def _find_splits(path, config):
    """Both splits, the class names (empty without labels), and what was left out."""
    tests = [path / name for name in TEST_NAMES if (path / name).is_dir()]
    if (path / "train").is_dir():
        _require_no_classes_beside(path, tests)
    if (path / "train").is_dir() and tests:
        train, test = _list(path / "train"), _list(tests[0])
        names = train.names()
        unknown = sorted(set(test.classes) - set(names))
        if unknown or bool(train.classes) != bool(test.classes):
            what = f"class '{unknown[0]}'" if unknown else "a flat list of images"
            raise DataError(
                f"label out of range: {what} occurs in testing but not in training",
                f"folder {tests[0]}",
                "use the same class folders in both splits",
            )
        left_out = Counter(train.left_out) + Counter(test.left_out)
        left_out += Counter(f"split {folder.name}" for folder in tests[1:])
        return {"train": train, "test": test}, names, left_out
    whole = _list(path / "train" if (path / "train").is_dir() else path)
    indices = raw_splits.split_indices(
        len(whole.files), config.test_fraction, config.split_seed, f"folder {path}"
    )
    parts = {
        split: Listing(
            [whole.files[i] for i in chosen],
            [whole.classes[i] for i in chosen] if whole.classes else [],
        )
        for split, chosen in zip(cache.SPLITS, indices, strict=True)
    }
    return parts, whole.names(), whole.left_out


def _require_no_classes_beside(path: pathlib.Path, tests: list[pathlib.Path]) -> None:
    """Refuses folders of images beside train/, which would be left out."""
    known = {path / "train", *tests}
    for entry in sorted(path.iterdir()):
        hidden = entry.name.startswith(".")
        if entry in known or hidden or not entry.is_dir():
            continue
        if any(_is_image(file) for file in entry.iterdir()):
            raise DataError(
                f"'{entry.name}/' with images beside 'train/': is train a class?",
                f"folder {path}",
                "rename the class, or leave only train/ and test/ there",
            )


def _list(folder: pathlib.Path) -> Listing:
    try:
        entries = [e for e in sorted(folder.iterdir()) if not e.name.startswith(".")]
        flat = [e for e in entries if _is_image(e)]
        inside = {
            e.name: [f for f in sorted(e.iterdir()) if not f.name.startswith(".")]
            for e in entries
            if e.is_dir()
        }
    except OSError as error:
        raise DataError(
            f"cannot list the folder: {error}", f"folder {folder}", "check its rights"
        ) from error
    pairs = [(f, name) for name, files in inside.items() for f in files if _is_image(f)]
    if flat and pairs:
        raise DataError(
            f"images lie beside class folders ('{flat[0].name}' beside "
            f"'{pairs[0][1]}/')",
            f"folder {folder}",
            "put every image into a class folder, or none",
        )
    if not flat and not pairs:
        raise DataError(
            f"empty split: no {', '.join(SUFFIXES)} images",
            f"folder {folder}",
            "lay images out as <class>/<name>.png, or directly in the folder; of "
            "deeper ones name a folder within",
        )
    _require_all_classes(folder, inside, {name for _, name in pairs})
    left_out = _left_out(entries, inside, {*flat, *(f for f, _ in pairs)})
    return Listing(flat or [f for f, _ in pairs], [name for _, name in pairs], left_out)


def _require_all_classes(folder: pathlib.Path, inside, found: set[str]) -> None:
    """Refuses class folders with content but no image that is read."""
    for name, files in inside.items():
        if found and files and name not in found:
            kinds = sorted({f.suffix.lower() or "folders" for f in files})
            raise DataError(
                f"class '{name}' would vanish: it holds no image but "
                f"{', '.join(kinds[:3])}",
                f"folder {folder}",
                "lay images out as <class>/<name>.png, or move that folder away",
            )


def _left_out(entries, inside, read: set[pathlib.Path]) -> dict[str, int]:
    """Reason -> number of what is there and not read."""
    counts = Counter({"empty folders": sum(not files for files in inside.values())})
    deeper = [f for files in inside.values() for f in files if f not in read]
    counts["folders inside classes"] = sum(f.is_dir() for f in deeper)
    for entry in [e for e in entries if e not in read] + deeper:
        if not entry.is_dir():
            counts[f"{entry.suffix.lower() or 'nameless'} files"] += 1
    return dict(+counts)


def _is_image(path: pathlib.Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def _stream(listing: Listing, names: tuple[str, ...], decode) -> cache.Stream:
    number = {name: i for i, name in enumerate(names)}

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        batch: list[np.ndarray] = []
        start = 0
        for i, path in enumerate(listing.files):
            batch.append(decode(path))
            last = i + 1 == len(listing.files)
            if last or len(batch) * batch[0].size >= raw_splits.CHUNK_VALUES:
                classes = listing.classes[start : i + 1]
                labels = np.array([number[c] for c in classes], np.int32)
                yield np.stack(batch), labels if names else None
                batch, start = [], i + 1

    return cache.Stream(len(listing.files), chunks())


def _require_single(image, path: pathlib.Path) -> None:
    """Raises DataError where a file holds several images.

    Those of an MPO, as telephones write them into a .jpg, are views of the first.
    """
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format != "MPO":
        raise DataError(
            f"{count} pages or frames in one file",
            f"file {path}",
            "store each as a file of its own, or all as an array [n, H, W]",
        )


class Decoder:
    """Decodes files one by one and holds them to the form of the first.

    Raises DataError where Pillow is missing.
    """

    def __init__(self, size: tuple[int, int] | None):
        try:
            self._pil = importlib.import_module("PIL.Image")
            self._ops = importlib.import_module("PIL.ImageOps")
        except ImportError as error:
            raise DataError(
                "reading image files needs Pillow, which is not installed",
                "config.data.source",
                "pip install 'infovae_jax[images]'",
            ) from error
        self._size = size
        self._first: tuple[pathlib.Path, tuple[int, ...]] | None = None

    def __call__(self, path: pathlib.Path) -> np.ndarray:
        """Returns uint8 `[H, W, C]`."""
        image = self._pixels(path)
        if self._first is None:
            self._first = (path, image.shape)
        other, shape = self._first
        if image.shape[:2] != shape[:2]:
            raise DataError(
                f"mixed image sizes: {other.name} is {shape[0]}x{shape[1]} (HxW) but "
                f"{path.name} is {image.shape[0]}x{image.shape[1]}",
                f"files {other} and {path}",
                "set data.image_size to resize all images",
            )
        if image.shape != shape:
            raise DataError(
                f"mixed channels: {other.name} has {shape[2]} but {path.name} has "
                f"{image.shape[2]}",
                f"files {other} and {path}",
                "convert all images to grey, or all to RGB",
            )
        return image

    def _pixels(self, path: pathlib.Path) -> np.ndarray:
        try:
            with warnings.catch_warnings():
                # Pillow only warns of an image up to twice its safe size.
                warnings.simplefilter("error", self._pil.DecompressionBombWarning)
                with self._pil.open(path) as image:
                    _require_single(image, path)
                    image = self._plain(self._ops.exif_transpose(image), path)
                    if self._size is not None:
                        height, width = self._size
                        bilinear = self._pil.Resampling.BILINEAR
                        image = image.resize((width, height), bilinear)
                    pixels = np.asarray(image, dtype=np.uint8)
        except (
            self._pil.DecompressionBombError,
            self._pil.DecompressionBombWarning,
        ) as error:
            raise DataError(
                f"the image unpacks to too many pixels ({error})",
                f"file {path}",
                "remove the file or store it smaller",
            ) from error
        except UserError:
            raise
        # Pillow answers damage with OSError, SyntaxError, struct.error, zlib.error...
        except Exception as error:
            raise DataError(
                f"damaged or cut image ({error})",
                f"file {path}",
                "copy the file again or remove it",
            ) from error
        return pixels[..., None] if pixels.ndim == 2 else pixels

    def _plain(self, image, path: pathlib.Path):
        """Grey or RGB without an alpha channel."""
        if image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        if image.mode in ("LA", "RGBA"):
            if image.getchannel("A").getextrema() != (255, 255):
                raise DataError(
                    "the image has transparent pixels, whose colour is undefined",
                    f"file {path}",
                    "store it without an alpha channel",
                )
            image = image.convert(image.mode.removesuffix("A"))
        if image.mode == "1":
            image = image.convert("L")
        if image.mode not in ("L", "RGB"):
            raise DataError(
                f"pixels of type '{image.mode}' (neither 8-bit grey nor RGB)",
                f"file {path}",
                "convert the image to 8-bit grey or RGB",
            )
        return image
