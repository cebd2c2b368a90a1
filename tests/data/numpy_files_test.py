""".npz and .npy files, whole and damaged; a pickle is never opened."""

import json
import pickle  # noqa: TID251 (makes the files that must be refused)
import zipfile

import numpy as np
import pytest

from infovae_jax import data
from infovae_jax.data import intake, mapped_files, new_rows, numpy_files, sources
from infovae_jax.errors import ConfigError, DataError

X = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
Y = np.arange(20) % 4


class Bomb:
    """Would write a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("keys", numpy_files.SPLIT_KEYS)
def test_archive_with_two_splits(tmp_path, data_config, keys):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **dict(zip(keys, (X, Y, X[:5], Y[:5]), strict=True)))
    dataset = data.load(data_config(path))
    np.testing.assert_array_equal(dataset.train_x[..., 0], X)
    np.testing.assert_array_equal(dataset.train_y, Y)
    np.testing.assert_array_equal(dataset.test_x[..., 0], X[:5])
    np.testing.assert_array_equal(dataset.test_y, Y[:5])
    assert dataset.spec.num_labels == 4
    assert str(path) in dataset.decision


@pytest.mark.parametrize("image_key", numpy_files.IMAGE_KEYS)
@pytest.mark.parametrize("label_key", [None, "y", "labels"])
def test_archive_of_one_array_is_split(tmp_path, data_config, image_key, label_key):
    path = tmp_path / "set.npz"
    named = {image_key: X}
    if label_key:
        named[label_key] = Y
    np.savez(path, **named)
    dataset = data.load(data_config(path, test_fraction=0.25))
    assert (len(dataset.train_x), len(dataset.test_x)) == (15, 5)
    rows = {bytes(x): y for x, y in zip(X, Y, strict=True)}
    assert {bytes(x) for x in [*dataset.train_x, *dataset.test_x]} == set(rows)
    if label_key:
        assert all(
            rows[bytes(x)] == y
            for x, y in zip(dataset.train_x, dataset.train_y, strict=True)
        )
    else:
        assert dataset.train_y is None
        assert dataset.test_y is None


def test_train_part_alone_is_split(tmp_path, data_config):
    np.savez(tmp_path / "set.npz", x_train=X, y_train=Y)
    dataset = data.load(data_config(tmp_path / "set.npz"))
    assert (len(dataset.train_x), len(dataset.test_x)) == (16, 4)
    assert len(dataset.test_y) == 4


def test_npy(tmp_path, data_config):
    np.save(tmp_path / "set.npy", X)
    dataset = data.load(data_config(tmp_path / "set.npy"))
    assert (len(dataset.train_x), len(dataset.test_x)) == (16, 4)
    assert dataset.train_y is None


@pytest.mark.parametrize("stream", [False, True])
def test_large_npy_is_split_on_disk(tmp_path, data_config, monkeypatch, stream):
    np.save(tmp_path / "set.npy", X)
    config = data_config(tmp_path / "set.npy", stream=stream)
    small = data.load(config)
    assert mapped_files.of(small.train_x) is None
    limit = "MAX_SPLIT_TO_STREAM" if stream else "MAX_SPLIT_IN_MEMORY"
    monkeypatch.setattr(numpy_files, limit, 0)
    monkeypatch.setattr(numpy_files.raw_splits, "CHUNK_VALUES", 100)
    large = data.load(config)
    assert mapped_files.of(large.train_x) is not None
    np.testing.assert_array_equal(large.train_x, small.train_x)
    np.testing.assert_array_equal(large.test_x, small.test_x)


def test_object_array_in_npy(tmp_path, data_config, raises_line):
    path, trap = tmp_path / "set.npy", tmp_path / "trap"
    np.save(path, np.array([Bomb(trap)], object), allow_pickle=True)
    with raises_line(DataError, 3, "pickle", "will not be opened", "set.npy"):
        data.load(data_config(path))
    assert not trap.exists()


@pytest.mark.parametrize("name", ["set.npy", "set.npz"])
def test_bare_pickle(tmp_path, data_config, raises_line, name):
    path, trap = tmp_path / name, tmp_path / "trap"
    path.write_bytes(pickle.dumps(Bomb(trap)))
    with raises_line(DataError, 3, "pickle", "will not be opened", name):
        data.load(data_config(path))
    assert not trap.exists()


def test_object_array_in_archive(tmp_path, data_config, raises_line):
    path, trap = tmp_path / "set.npz", tmp_path / "trap"
    np.savez(path, x_train=X, y_train=np.array([Bomb(trap)] * 20, object))
    with raises_line(DataError, 3, "pickle", "'y_train'", "set.npz", "numpy.savez"):
        data.load(data_config(path))
    assert not trap.exists()


@pytest.mark.parametrize("keep", [0, 1, 5, 60, 200, 700])
def test_cut_npy(tmp_path, data_config, raises_line, keep):
    path = tmp_path / "set.npy"
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:keep])
    with raises_line(DataError, 3, "set.npy"):
        data.load(data_config(path))


@pytest.mark.parametrize("keep", [0, 1, 100, 500, 900])
def test_cut_archive(tmp_path, data_config, raises_line, keep):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, x=X)
    path.write_bytes(path.read_bytes()[:keep])
    with raises_line(DataError, 3, "cut", "set.npz", "again"):
        data.load(data_config(path))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_flipped_bytes_in_archive(tmp_path, data_config, raises_line, save):
    path = tmp_path / "set.npz"
    save(path, x=X)
    content = bytearray(path.read_bytes())
    for position in range(400, 440):
        content[position] ^= 0xFF
    path.write_bytes(bytes(content))
    with raises_line(DataError, 3, "damaged", "'x'", "set.npz", "again"):
        data.load(data_config(path))


def test_header_that_promises_too_much(tmp_path, data_config, raises_line):
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 100, 100)}
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.npy", "w") as f:
        np.lib.format.write_array_header_1_0(f, header)
        f.write(b"0" * 100)
    with raises_line(DataError, 3, "cut file", "'x'", "10000000000000 bytes"):
        data.load(data_config(path))


def test_unknown_keys(tmp_path, data_config, raises_line):
    np.savez(tmp_path / "set.npz", pictures=X)
    with raises_line(DataError, 3, "pictures", "set.npz", "x_train"):
        data.load(data_config(tmp_path / "set.npz"))


def test_labels_of_one_split_only(tmp_path, data_config, raises_line):
    np.savez(tmp_path / "set.npz", x_train=X, y_train=Y, x_test=X)
    with raises_line(DataError, 3, "y_test", "set.npz", "both"):
        data.load(data_config(tmp_path / "set.npz"))


@pytest.mark.parametrize("name", ["../evil.npy", "/etc/evil.npy", "a/../../b.npy"])
def test_members_outside_the_archive(tmp_path, data_config, raises_line, name):
    path = tmp_path / "set.npz"
    np.savez(path, x=X)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    with raises_line(DataError, 3, name, "outside", "set.npz"):
        data.load(data_config(path))


def test_links_in_an_archive(tmp_path, data_config, raises_line):
    path = tmp_path / "set.npz"
    np.savez(path, x=X)
    link = zipfile.ZipInfo("y.npy")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with raises_line(DataError, 3, "link", "y.npy", "set.npz"):
        data.load(data_config(path))


def test_decompression_bomb_by_ratio(tmp_path, data_config, raises_line, monkeypatch):
    monkeypatch.setattr(numpy_files, "MAX_SUSPICIOUS_BYTES", 1 << 20)
    monkeypatch.setattr(numpy_files, "MAX_RATIO", 500)
    np.savez_compressed(tmp_path / "set.npz", x=np.zeros((2048, 32, 32), np.uint8))
    with raises_line(DataError, 3, "bomb", "set.npz", ".npy"):
        data.load(data_config(tmp_path / "set.npz"))


def test_decompression_bomb_by_size(tmp_path, data_config, raises_line, monkeypatch):
    monkeypatch.setattr(numpy_files, "MAX_UNPACKED_BYTES", 100)
    np.savez(tmp_path / "set.npz", x=X)
    with raises_line(DataError, 3, "bomb", "set.npz"):
        data.load(data_config(tmp_path / "set.npz"))


def test_bad_fraction_of_an_array(tmp_path, data_config, raises_line):
    np.save(tmp_path / "set.npy", X)
    with raises_line(ConfigError, 2, "data.test_fraction"):
        data.load(data_config(tmp_path / "set.npy", test_fraction=2.0))


def test_a_negative_side(tmp_path, data_config, raises_line):
    path = tmp_path / "set.npy"
    with open(path, "wb") as f:
        header = {"descr": "<f4", "fortran_order": False, "shape": (-1, 4, 4)}
        np.lib.format.write_array_header_1_0(f, header)
        f.write(bytes(64))
    with raises_line(DataError, 3, "(-1, 4, 4)", "set.npy"):
        data.load(data_config(path))


def test_gigabytes_of_nothing_are_refused_before_they_are_unpacked(
    tmp_path, data_config, raises_line
):
    """3 GB packed about 1:230."""
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY")
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")
    sizes = (13_000_000).to_bytes(4, "little") + (3_000_000_000).to_bytes(4, "little")
    path.write_bytes(content[: at + 20] + sizes + content[at + 28 :])
    with raises_line(DataError, 3, "3000000000 bytes", "bomb"):
        data.load(data_config(path))


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y", "x_test", "y_test"),
        ("x", "test_x"),
        ("x_train", "test_images"),
        ("x_train", "y_train", "y_test"),
        ("images", "train_labels"),
    ],
)
def test_names_of_two_sets_are_refused(tmp_path, data_config, raises_line, names):
    arrays = {name: Y if name[0] == "y" or "labels" in name else X for name in names}
    np.savez(tmp_path / "set.npz", **arrays)
    with raises_line(DataError, 3, names[0], names[-1], "x_train, y_train"):
        data.load(data_config(tmp_path / "set.npz"))


def test_arrays_that_are_not_used_are_named(tmp_path, data_config):
    np.savez(tmp_path / "set.npz", x=X, y=Y, masks=X, extra=Y)
    decision = data.load(data_config(tmp_path / "set.npz")).decision
    assert "not used: extra, masks" in decision


def test_of_new_data_too(tmp_path, data_config):
    both = tmp_path / "both.npz"
    np.savez(both, x_train=X, y_train=Y, x_test=X[:5], y_test=Y[:5])
    dataset = data.load(data_config(both))
    parts = list(new_rows.read(both, dataset, 15))
    assert [part.left_out for part in parts] == ["x_test, y_test"] * 2
    with pytest.warns(UserWarning, match="both.npz not read: x_test, y_test"):
        assert len(sources.read_examples(str(both))) == 20
    np.savez(tmp_path / "one.npz", x=X, y=Y)
    assert not next(new_rows.read(tmp_path / "one.npz", dataset, 15)).left_out


def test_no_flipped_bit_of_an_archive_is_a_bug(tmp_path):
    """Of the directory, of headers and of packed arrays: a line, or all as it was."""
    path, flipped = tmp_path / "set.npz", tmp_path / "flipped.npz"
    np.savez_compressed(path, x=X, y=Y)
    whole, chance, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(400):
        content = bytearray(whole)
        content[chance.integers(len(whole))] ^= 1 << chance.integers(8)
        flipped.write_bytes(content)
        try:
            found = numpy_files.read_archive(flipped, sorted)
            if set(found) != {"x", "y"}:
                continue  # a name that is another
            parts = list(numpy_files.stream_member(flipped, "x", 7))
        except DataError:
            refused += 1
            continue
        np.testing.assert_array_equal(np.concatenate(parts), X)
        np.testing.assert_array_equal(found["y"], Y)
    assert refused > 100


@pytest.mark.parametrize("method", [1, 97], ids=["password", "method"])
def test_archives_that_cannot_be_unpacked(tmp_path, data_config, raises_line, method):
    path = tmp_path / "set.npz"
    np.savez(path, x=X)
    content = bytearray(path.read_bytes())
    for at in (6, content.index(b"PK\x01\x02") + 8):
        if method == 1:
            content[at] |= 1
        else:
            content[at + 2] = method
    path.write_bytes(content)
    with raises_line(DataError, 3, "cannot unpack", "set.npz"):
        data.load(data_config(path))
    with raises_line(DataError, 3, "cannot unpack", "set.npz"):
        list(numpy_files.stream_member(path, "x", 5))


def test_new_examples_of_other_forms(tmp_path, data_config, raises_line):
    np.savez(tmp_path / "set.npz", x=X, y=Y)
    dataset = data.load(data_config(tmp_path / "set.npz"))

    def rows(name):
        return list(new_rows.read(tmp_path / name, dataset, 6))

    np.save(tmp_path / "one.npy", np.float32(1))
    with raises_line(DataError, 3, "a single number", "one.npy"):
        rows("one.npy")
    for count, words in ((7, "7 labels for more"), (21, "21 labels for 20")):
        np.savez(tmp_path / "new.npz", x=X, y=np.zeros(count, int))
        with raises_line(DataError, 3, words, "new.npz"):
            rows("new.npz")
    np.savez(tmp_path / "new.npz", x=X, y=Y)
    assert sum(len(part.labels) for part in rows("new.npz")) == len(X)


WILD = np.random.default_rng(1).normal(5, 1, (60, 4)) * [0.01, 1.0, 30.0, 1000.0]


@pytest.fixture(params=["memory", "disk", "archive"])
def wild(request, tmp_path, monkeypatch):
    """The path of rows whose columns have scales of their own."""
    if request.param == "archive":
        np.savez(tmp_path / "x.npz", x=WILD)
        return tmp_path / "x.npz"
    if request.param == "disk":
        monkeypatch.setattr(numpy_files, "MAX_SPLIT_IN_MEMORY", 0)
    np.save(tmp_path / "x.npy", WILD)
    return tmp_path / "x.npy"


def test_rows_of_any_scale_are_standardised_as_training_is(wild, data_config):
    dataset = data.load(data_config(wild))
    assert dataset.spec.likelihood == "learned_gaussian"
    assert "each column standardised" in dataset.decision
    np.testing.assert_allclose(dataset.train_x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(dataset.train_x.std(0), 1, rtol=1e-6)
    # Other rows with the statistics of training, whoever brings them.
    train, test = dataset.origin
    mean, std = WILD[train].mean(0), WILD[train].std(0)
    expected = ((WILD[test] - mean) / std)[:, None, :, None]
    np.testing.assert_allclose(dataset.test_x, expected, atol=1e-5)
    known = intake.from_json(json.loads(json.dumps(intake.to_json(dataset))))
    stored = new_rows.as_stored(WILD[test], known, "--input")
    np.testing.assert_array_equal(stored, dataset.test_x)
    with pytest.raises(DataError, match=r"value nan at index \(1, 0, 2, 0\)"):
        new_rows.as_stored([[1, 1, 1, 1], [1, 1, np.nan, 1]], known, "--input")


@pytest.mark.parametrize(
    ("x", "keys"),
    [
        (WILD, {"scaling": "none"}),
        (WILD, {"likelihood": "gaussian"}),
        (WILD.reshape(60, 2, 2), {}),  # pictures have the range that they were given
        (np.random.default_rng(2).random((60, 4)), {}),
    ],
)
def test_what_is_taken_as_it_is(tmp_path, data_config, x, keys):
    np.save(tmp_path / "x.npy", x)
    dataset = data.load(data_config(tmp_path / "x.npy", **keys))
    assert dataset.intake.scaling is None
    kept = x[dataset.origin[0]].reshape(dataset.train_x.shape)
    np.testing.assert_array_equal(dataset.train_x, kept.astype(np.float32))


def test_pictures_are_scaled_on_demand(tmp_path, data_config):
    x = np.random.default_rng(3).normal(0, 9, (20, 4, 4))
    np.save(tmp_path / "x.npy", x)
    dataset = data.load(data_config(tmp_path / "x.npy", scaling="unit"))
    assert dataset.spec.likelihood == "bernoulli"
    assert (dataset.train_x.min(), dataset.train_x.max()) == (0, 1)


def test_a_source_that_is_in_range_already_is_not_scaled(data_config):
    dataset = data.load(data_config("digits", scaling="standardize"))
    assert dataset.intake.scaling is None
    assert "data.scaling is not used" in dataset.decision


def test_a_missing_number_is_named_before_its_column_is_one(tmp_path, data_config):
    x = WILD.copy()
    x[:, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(DataError, match="nan at row 0, column 1 of the train rows"):
        data.load(data_config(tmp_path / "x.npy"))
