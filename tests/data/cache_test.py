"""The decoded cache: whole or absent, and verified whenever it is opened."""

import errno
import json
import os
import types

import numpy as np
import pytest

from infovae_jax import doctor
from infovae_jax.config import sealed
from infovae_jax.data import cache
from infovae_jax.errors import DataError, StorageError
from infovae_jax.training import loop, origin

X = np.random.default_rng(0).integers(0, 256, (10, 4, 5, 3), dtype=np.uint8)
Y = np.arange(10, dtype=np.int32)


def make(x=X, y=Y, claimed=None):
    """What a source gives: two splits in two chunks each."""

    def stream(x, y):
        parts = [(x[:4], y[:4]), (x[4:], y[4:])]
        return cache.Stream(claimed or len(x), iter(parts))

    return {"train": stream(x, y), "test": stream(x[:6], y[:6])}, {"name": "it"}


def never():
    raise AssertionError("the cache was built a second time")


def test_built_once_and_read_back(tmp_path):
    folder = tmp_path / "caches" / "it"
    first = cache.open_or_build(folder, make)
    second = cache.open_or_build(folder, never)
    for cached in (first, second):
        np.testing.assert_array_equal(cached.arrays["train_x"], X)
        np.testing.assert_array_equal(cached.arrays["train_y"], Y)
        np.testing.assert_array_equal(cached.arrays["test_x"], X[:6])
        assert isinstance(cached.arrays["train_x"], np.memmap)
        assert not cached.arrays["train_x"].flags.writeable
    train = second.meta["splits"]["train"]
    np.testing.assert_allclose(train["mean"], (X / 255).mean((0, 1, 2)))
    np.testing.assert_allclose(train["std"], (X / 255).std((0, 1, 2)))
    assert second.meta["name"] == "it"
    assert os.listdir(tmp_path / "caches") == ["it"]


@pytest.mark.parametrize("name", ["train_x", "train_y", "test_x", "test_y"])
@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_damage_is_noticed(tmp_path, raises_line, name, damage):
    folder = tmp_path / "it"
    cache.open_or_build(folder, make)
    path = folder / f"{name}.npy"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        path.write_bytes(bytes(content))
    elif damage == "cut":
        path.write_bytes(bytes(content[:-1]))
    else:
        path.unlink()
    with raises_line(DataError, 3, path.name, f"delete the folder {folder}"):
        cache.open_or_build(folder, never)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"format": 99, "files": {}, "splits": 3}', "[" * 100_000],
    ids=["empty", "cut", "list", "nothing", "other types", "deep"],
)
def test_damaged_meta_data(tmp_path, raises_line, text):
    folder = tmp_path / "it"
    cache.open_or_build(folder, make)
    (folder / "meta.json").write_text(text)
    with raises_line(DataError, 3, "meta.json", "delete the folder"):
        cache.open_or_build(folder, never)


def test_a_flipped_bit_of_the_meta_data_is_never_believed(tmp_path):
    folder = tmp_path / "it"
    cache.open_or_build(folder, make)
    path = folder / "meta.json"
    whole = path.read_bytes()
    expected = sealed.read(path)
    for position in range(0, len(whole), 11):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        path.write_bytes(bytes(flipped))
        try:
            found = cache.open_or_build(folder, never).meta
        except DataError:
            continue
        # The name of the check value may be hit: what it guards is as it was.
        assert {**found, **expected} == found


def test_digests_are_those_of_the_arrays_and_noted_in_the_cache(tmp_path):
    arrays = cache.open_or_build(tmp_path / "it", make).arrays
    for x in (arrays["train_x"], arrays["train_y"]):
        assert cache.known_digest(x) == cache.array_digest(np.array(x))
    for x in (np.array(arrays["train_x"]), arrays["train_x"][:9]):
        assert cache.known_digest(x) is None
    assert cache.known_digest(arrays["train_x"][::-1]) is None
    assert cache.array_digest(X) != cache.array_digest(X.reshape(10, 5, 4, 3))
    assert cache.array_digest(X) != cache.array_digest(X.view(np.int8))


def test_a_cache_without_digests_is_digested(tmp_path):
    arrays = cache.open_or_build(tmp_path / "it", make).arrays
    meta = sealed.read(tmp_path / "it" / "meta.json")
    for facts in meta["files"].values():
        del facts["content"]
    (tmp_path / "it" / "meta.json").write_text(json.dumps(meta))
    arrays = cache.open_or_build(tmp_path / "it", never).arrays
    assert cache.known_digest(arrays["train_x"]) is None


def test_other_format(tmp_path, raises_line):
    folder = tmp_path / "it"
    cache.open_or_build(folder, make)
    meta = sealed.read(folder / "meta.json")
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 2}))
    with raises_line(DataError, 3, "format 2", "delete the folder"):
        cache.open_or_build(folder, never)


def test_nothing_stays_of_a_failed_build(tmp_path, raises_line):
    folder = tmp_path / "caches" / "it"
    with raises_line(DataError, 3, "10 of 11", "anew"):
        cache.open_or_build(folder, lambda: make(claimed=11))
    assert os.listdir(tmp_path / "caches") == []


def test_check_is_asked_before_and_after(tmp_path):
    def refuse(meta):
        raise DataError("wrong images", "there", "do")

    with pytest.raises(DataError, match="wrong images"):
        cache.open_or_build(tmp_path / "it", make, refuse)
    assert os.listdir(tmp_path) == []
    cache.open_or_build(tmp_path / "it", make)
    with pytest.raises(DataError, match="wrong images"):
        cache.open_or_build(tmp_path / "it", never, refuse)


def test_another_process_was_faster(tmp_path):
    folder = tmp_path / "it"

    def late():
        cache.open_or_build(folder, make)
        return make(X[::-1], Y[::-1])

    np.testing.assert_array_equal(
        cache.open_or_build(folder, late).arrays["train_x"], X
    )
    assert os.listdir(tmp_path) == ["it"]


def test_full_disk(tmp_path, raises_line, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_write_header", full)
    with raises_line(StorageError, 6, "disk is full", "data.cache_dir"):
        cache.open_or_build(tmp_path / "it", make)
    assert os.listdir(tmp_path) == []


def test_unwritable_place(tmp_path, raises_line):
    (tmp_path / "file").write_text("in the way")
    with raises_line(StorageError, 6, "cannot write", "data.cache_dir"):
        cache.open_or_build(tmp_path / "file" / "it", make)


def test_root_follows_the_user(monkeypatch, tmp_path):
    assert cache.root(str(tmp_path)) == tmp_path
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.root(None) == tmp_path / "xdg" / "infovae_jax"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.root(None) == tmp_path / ".cache" / "infovae_jax"


def test_fingerprint_tells_parts_apart():
    assert cache.fingerprint(b"ab", b"c") != cache.fingerprint(b"a", b"bc")
    assert cache.fingerprint(1, "x") == cache.fingerprint(1, "x")
    assert len(cache.fingerprint()) == 16


def test_a_user_without_a_home(monkeypatch, raises_line, capsys):
    """As a user id without an account: nothing is made in a folder called `~`."""
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with raises_line(StorageError, 6, "no home", "data.cache_dir", "XDG_CACHE_HOME"):
        cache.root(None)
    assert origin.authentication({}) is None
    doctor.main()
    assert "no home" in capsys.readouterr().out
    updates = {"jax_compilation_cache_dir": None, "update": pytest.fail}
    jax = types.SimpleNamespace(config=types.SimpleNamespace(**updates))
    monkeypatch.setattr(loop, "jax", jax)
    loop.enable_compilation_cache()


def test_a_user_that_is_not_known():
    assert str(cache.root("~no_such_user/x")) == "~no_such_user/x"
