"""Folders of images: their layouts, and each way in which one can be wrong."""

import os
import pathlib
import sys

import numpy as np
import pytest

from infovae_jax import data
from infovae_jax.data import new_rows, sources
from infovae_jax.errors import ConfigError, DataError
from infovae_jax.evaluation import new_data

PIL = pytest.importorskip("PIL.Image")


def save(path, seed=0, size=(6, 8), mode="L", **options):
    """Writes a random image of `size` (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = size if mode == "L" else (*size, len(mode))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    if mode == "RGBA":
        pixels[..., 3] = options.pop("alpha", 255)
    PIL.fromarray(pixels).save(path, **options)
    return pixels


def save_classes(folder, names=("cat", "ant"), count=5):
    return {
        bytes(save(folder / name / f"{i}.png", seed=10 * k + i)): name
        for k, name in enumerate(names)
        for i in range(count)
    }


def test_classes(tmp_path, data_config):
    rows = save_classes(tmp_path / "set")
    (tmp_path / "set" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "set" / ".hidden").mkdir()
    dataset = data.load(data_config(tmp_path / "set"))
    assert dataset.spec.shape == (6, 8, 1)
    assert dataset.label_names == ("ant", "cat")
    assert (len(dataset.train_x), len(dataset.test_x)) == (8, 2)
    for x, y in zip(dataset.train_x, dataset.train_y, strict=True):
        assert dataset.label_names[y] == rows[bytes(x)]
    assert isinstance(dataset.train_x, np.memmap)


@pytest.mark.parametrize("test_name", ["test", "val", "validation"])
def test_own_splits(tmp_path, data_config, test_name):
    save_classes(tmp_path / "set" / "train")
    save_classes(tmp_path / "set" / test_name, names=("cat",), count=3)
    dataset = data.load(data_config(tmp_path / "set"))
    assert (len(dataset.train_x), len(dataset.test_x)) == (10, 3)
    assert dataset.test_y.tolist() == [1, 1, 1]


def test_train_folder_alone_is_split(tmp_path, data_config):
    save_classes(tmp_path / "set" / "train")
    dataset = data.load(data_config(tmp_path / "set"))
    assert (len(dataset.train_x), len(dataset.test_x)) == (8, 2)
    assert dataset.label_names == ("ant", "cat")


def test_flat_folder_has_no_labels(tmp_path, data_config):
    for i in range(5):
        save(tmp_path / "set" / f"{i}.bmp", seed=i, mode="RGB")
    dataset = data.load(data_config(tmp_path / "set"))
    assert dataset.spec.shape == (6, 8, 3)
    assert dataset.spec.num_labels == 0
    assert dataset.train_y is None


def test_jpeg_palette_and_opaque_alpha(tmp_path, data_config):
    folder = tmp_path / "set"
    save(folder / "0.jpg", mode="RGB")
    save(folder / "1.JPEG", mode="RGB")
    save(folder / "2.png", mode="RGBA")
    PIL.fromarray(save(folder / "3.png", mode="RGB")).quantize(8).save(folder / "3.png")
    dataset = data.load(data_config(folder))
    assert dataset.spec.shape == (6, 8, 3)


def test_decoded_once(tmp_path, data_config, monkeypatch):
    save_classes(tmp_path / "set")
    config = data_config(tmp_path / "set")
    first = data.load(config)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "PIL.Image", None)
        second = data.load(config)
    np.testing.assert_array_equal(first.train_x, second.train_x)
    # Another picture under an old name is another data set.
    pixels = save(tmp_path / "set" / "ant" / "0.png", seed=99)
    third = data.load(config)
    both = [*third.train_x, *third.test_x]
    assert bytes(pixels) in {bytes(x) for x in both}


@pytest.mark.parametrize(
    ("size", "shape"), [(4, (4, 4, 1)), ((4, 12), (4, 12, 1)), ([3, 2], (3, 2, 1))]
)
def test_resize(tmp_path, data_config, size, shape):
    for i in range(5):
        save(tmp_path / "set" / f"{i}.png", size=(6 + i, 9))
    dataset = data.load(data_config(tmp_path / "set", image_size=size))
    assert dataset.spec.shape == shape


@pytest.mark.parametrize("size", [0, -3, (3,), (0, 4), (2, 3, 4), (2.5, 3)])
def test_senseless_size(tmp_path, data_config, raises_line, size):
    save_classes(tmp_path / "set")
    with raises_line(ConfigError, 2, "data.image_size"):
        data.load(data_config(tmp_path / "set", image_size=size))


def test_mixed_sizes(tmp_path, data_config, raises_line):
    for i in range(5):
        save(tmp_path / "set" / f"{i}.png", size=(6, 8 + (i > 1)))
    with raises_line(DataError, 3, ".png is 6x8", "2.png is 6x9", "data.image_size"):
        data.load(data_config(tmp_path / "set"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_mixed_channels(tmp_path, data_config, raises_line):
    for i in range(5):
        save(tmp_path / "set" / f"{i}.png", mode="RGB" if i % 2 else "L")
    with raises_line(DataError, 3, "mixed channels", ".png has", "convert"):
        data.load(data_config(tmp_path / "set"))


@pytest.mark.parametrize("mode", ["transparent", "deep", "cmyk"])
def test_wrong_pixels(tmp_path, data_config, raises_line, mode):
    folder = tmp_path / "set"
    for i in range(4):
        save(folder / f"{i}.png", mode="RGB")
    if mode == "transparent":
        name, word = "x.png", "transparent"
        save(folder / name, mode="RGBA", alpha=7)
    elif mode == "deep":
        name, word = "x.png", "I;16"
        PIL.fromarray(np.zeros((6, 8), np.uint16)).save(folder / name)
    else:
        name, word = "x.jpg", "CMYK"
        PIL.new("CMYK", (8, 6)).save(folder / name)
    with raises_line(DataError, 3, word, name):
        data.load(data_config(folder))


@pytest.mark.parametrize("keep", [0, 4, 30, 50, -200])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp"])
def test_damaged_file(tmp_path, data_config, raises_line, keep, suffix):
    for i in range(4):
        save(tmp_path / "set" / f"{i}.{suffix}", seed=i, size=(40, 40))
    path = tmp_path / "set" / f"2.{suffix}"
    path.write_bytes(path.read_bytes()[:keep])
    with raises_line(DataError, 3, "damaged or cut", f"2.{suffix}", "again"):
        data.load(data_config(tmp_path / "set"))


def test_text_under_an_image_name(tmp_path, data_config, raises_line):
    save_classes(tmp_path / "set")
    (tmp_path / "set" / "ant" / "z.png").write_text("no picture")
    with raises_line(DataError, 3, "damaged", "z.png"):
        data.load(data_config(tmp_path / "set"))


@pytest.mark.parametrize("factor", [1.5, 3])
def test_decompression_bomb(tmp_path, data_config, raises_line, monkeypatch, factor):
    for i in range(4):
        save(tmp_path / "set" / f"{i}.png", size=(40, 40))
    monkeypatch.setattr(PIL, "MAX_IMAGE_PIXELS", int(1600 / factor))
    with raises_line(DataError, 3, "too many pixels", ".png", "smaller"):
        data.load(data_config(tmp_path / "set"))


def test_empty_folder(tmp_path, data_config, raises_line):
    (tmp_path / "set" / "cat").mkdir(parents=True)
    with raises_line(DataError, 3, "empty split", "set", "<class>"):
        data.load(data_config(tmp_path / "set"))


def test_images_beside_classes(tmp_path, data_config, raises_line):
    save_classes(tmp_path / "set")
    save(tmp_path / "set" / "stray.png")
    with raises_line(DataError, 3, "stray.png", "class folder"):
        data.load(data_config(tmp_path / "set"))


def test_unknown_class_in_testing(tmp_path, data_config, raises_line):
    save_classes(tmp_path / "set" / "train")
    save_classes(tmp_path / "set" / "test", names=("dog",))
    with raises_line(DataError, 3, "out of range", "'dog'", "test", "both splits"):
        data.load(data_config(tmp_path / "set"))


def test_labels_in_one_split_only(tmp_path, data_config, raises_line):
    save_classes(tmp_path / "set" / "train")
    save(tmp_path / "set" / "test" / "0.png")
    with raises_line(DataError, 3, "flat list", "both splits"):
        data.load(data_config(tmp_path / "set"))


def test_pillow_missing(tmp_path, data_config, raises_line, monkeypatch):
    save_classes(tmp_path / "set")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with raises_line(DataError, 3, "Pillow", "infovae_jax[images]"):
        data.load(data_config(tmp_path / "set"))


def test_what_is_left_out_is_counted_and_said(tmp_path, data_config):
    folder = tmp_path / "set"
    save_classes(folder)
    (folder / "cat" / "notes.txt").write_text("")
    (folder / "read.me").write_text("")
    (folder / "empty").mkdir()
    save(folder / "cat" / "more" / "0.png")
    save(folder / "ant" / "cat" / "0.png")
    dataset = data.load(data_config(folder))
    decision = dataset.decision
    assert "left out" in decision
    for text in ("1 .txt files", "1 .me files", "1 empty folders"):
        assert text in decision
    assert "2 folders inside classes" in decision
    (part,) = new_rows.read(folder, dataset, 99)
    assert "2 folders inside classes" in new_data.not_read(part.left_out)[0]
    with pytest.warns(UserWarning, match="not read: .*2 folders inside.*1 .me"):
        assert len(sources.read_examples(str(folder))) == 10


@pytest.mark.parametrize("name", ["0.tif", "0.gif"])
def test_pages_are_not_dropped_unsaid(tmp_path, data_config, raises_line, name):
    save_classes(tmp_path / "set")
    dataset = data.load(data_config(tmp_path / "set"))
    path = tmp_path / "set" / "cat" / name
    pages = [PIL.fromarray(np.full((6, 8), 40 * i, np.uint8)) for i in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for read in (
        lambda: data.load(data_config(tmp_path / "set")),
        lambda: list(new_rows.read(path, dataset, 9)),
        lambda: sources.read_examples(str(path)),
    ):
        with raises_line(DataError, 3, "3 pages or frames", name, "file of its own"):
            read()


def test_views_beside_a_photograph_are_no_pages(tmp_path, data_config):
    """As telephones write them into a .jpg."""
    save_classes(tmp_path / "set")
    pages = [PIL.fromarray(np.full((6, 8), 40 * i, np.uint8)) for i in range(2)]
    path = tmp_path / "set" / "cat" / "0.jpg"
    pages[0].save(path, "MPO", save_all=True, append_images=pages[1:])
    assert len(data.load(data_config(tmp_path / "set")).train_x) == 9


def test_formats_that_pillow_reads_are_read(tmp_path, data_config):
    for name, suffix in (("ant", "tif"), ("bee", "webp"), ("cat", "gif")):
        for i in range(5):
            save(tmp_path / "set" / name / f"{i}.{suffix}", i, mode="RGB")
    dataset = data.load(data_config(tmp_path / "set"))
    assert dataset.label_names == ("ant", "bee", "cat")
    assert len(dataset.train_x) + len(dataset.test_x) == 15


def test_a_class_that_would_vanish_is_an_error(tmp_path, data_config, raises_line):
    save_classes(tmp_path / "set")
    (tmp_path / "set" / "dog").mkdir()
    (tmp_path / "set" / "dog" / "0.heic").write_text("")
    with raises_line(DataError, 3, "class 'dog' would vanish", ".heic"):
        data.load(data_config(tmp_path / "set"))


def test_a_class_that_is_called_train(tmp_path, data_config, raises_line):
    save_classes(tmp_path / "set", names=("car", "train", "tram"))
    with raises_line(DataError, 3, "'car/'", "is train a class?"):
        data.load(data_config(tmp_path / "set"))


def test_classes_are_in_natural_order(tmp_path, data_config):
    save_classes(tmp_path / "set", names=("10", "0", "2", "1", "x"), count=2)
    dataset = data.load(data_config(tmp_path / "set", test_fraction=0.5))
    assert dataset.label_names == ("0", "1", "2", "10", "x")
    for origin, labels in zip(
        dataset.origin, (dataset.train_y, dataset.test_y), strict=True
    ):
        classes = [path.split("/")[0] for path in origin]
        assert classes == [dataset.label_names[label] for label in labels]


def test_two_folders_that_look_alike_do_not_share_a_cache(tmp_path, data_config):
    """Equal names, sizes and times, other pictures."""
    for parent, seed in (("a", 0), ("b", 1)):
        for i in range(5):
            path = tmp_path / parent / "set" / "cat" / f"{i}.bmp"
            save(path, 10 * seed + i)
            os.utime(path, (10**9, 10**9))
    first, second = (data.load(data_config(tmp_path / p / "set")) for p in "ab")
    assert not np.array_equal(first.train_x, second.train_x)
    # And one whose file is replaced by another of the same size and time.
    path = next((tmp_path / "a" / "set" / "cat").iterdir())
    save(path.with_name("new.bmp"), 99)
    path.with_name("new.bmp").rename(path)
    os.utime(path, (10**9, 10**9))
    again = data.load(data_config(tmp_path / "a" / "set"))
    rows = [np.concatenate([d.train_x, d.test_x]) for d in (first, again)]
    assert not np.array_equal(*rows)


def test_names_of_any_bytes_are_shown_harmlessly(tmp_path, data_config):
    names = (b"caf\xe9", b"\x1b[31mred", b"two\nlines", b"$5_$10_", "Größe".encode())
    folder = os.fsencode(tmp_path / "set")
    for k, name in enumerate(names):
        path = pathlib.Path(os.fsdecode(os.path.join(folder, name)))
        for i in range(3):
            save(path / f"{i}.png", 10 * k + i)
    dataset = data.load(data_config(tmp_path / "set"))
    assert set(dataset.label_names) == {
        "caf\\udce9",
        "\\x1b[31mred",
        "two\\nlines",
        "$5_$10_",
        "Größe",
    }
    dataset.decision.encode()
    assert "\x1b" not in dataset.decision


def test_a_folder_of_any_bytes_is_shown_harmlessly(tmp_path, data_config):
    folder = tmp_path / os.fsdecode(b"caf\xe9\x1b[31m")
    save_classes(folder)
    decision = data.load(data_config(folder)).decision
    assert "caf\\udce9\\x1b[31m" in decision
    decision.encode()


def test_images_behind_links_are_read_when_asked_only(
    tmp_path, data_config, raises_line
):
    save_classes(tmp_path / "set")
    inside = next((tmp_path / "set").rglob("*.png"))
    (tmp_path / "secret.png").write_bytes(inside.read_bytes())
    (inside.parent / "near.png").symlink_to(inside)  # leads nowhere else
    data.load(data_config(tmp_path / "set"))
    (inside.parent / "linked.png").symlink_to(tmp_path / "secret.png")
    with raises_line(DataError, 3, "1 images lie outside", "linked.png"):
        data.load(data_config(tmp_path / "set"))
    data.load(data_config(tmp_path / "set", follow_links=True))
