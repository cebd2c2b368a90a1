"""The choice of a source, the digits, and what may not be imported."""

import subprocess
import sys

import numpy as np
import pytest

from infovae_jax import data
from infovae_jax.errors import ConfigError, DataError


def test_digits(data_config):
    datasets = pytest.importorskip("sklearn.datasets")
    dataset = data.load(data_config("digits"))
    assert dataset.spec.shape == (8, 8, 1)
    assert dataset.spec.num_labels == 10
    assert dataset.spec.likelihood == "bernoulli"
    assert len(dataset.train_x) + len(dataset.test_x) == 1797
    assert dataset.train_x.dtype == np.float32
    # Nothing is lost or rounded: times 16, both parts hold the original digits.
    both = np.concatenate([dataset.train_x, dataset.test_x])[..., 0] * 16
    original = datasets.load_digits().images
    assert sorted(map(bytes, both.astype(np.uint8))) == sorted(
        map(bytes, original.astype(np.uint8))
    )
    assert dataset.label_names == tuple("0123456789")


def test_split_is_fixed_by_its_seed(data_config):
    pytest.importorskip("sklearn")
    a = data.load(data_config("digits"))
    b = data.load(data_config("digits"))
    c = data.load(data_config("digits", split_seed=1))
    np.testing.assert_array_equal(a.test_x, b.test_x)
    assert not np.array_equal(a.test_x, c.test_x)


def test_a_folder_called_as_a_source_is_told(data_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "write ./" not in data.load(data_config("shapes")).decision
    (tmp_path / "shapes").mkdir()
    told = "a file or folder of this name lies here; write ./shapes for it"
    assert told in data.load(data_config("shapes")).decision


def test_image_size_is_said_to_be_unused(data_config):
    pytest.importorskip("sklearn")
    dataset = data.load(data_config("digits", image_size=16))
    assert "data.image_size is not used" in dataset.decision


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("digit", "did you mean 'digits'?"),
        ("mnist", "did you mean 'tfds:mnist'?"),
        ("fashion_mnist", "did you mean 'tfds:fashion_mnist'?"),
        ("", "tfds:<name>"),
        ("qqqqq", "tfds:<name>"),
    ],
)
def test_unknown_source(data_config, raises_line, source, hint):
    with raises_line(ConfigError, 2, f"'{source}'", "data.source", hint):
        data.load(data_config(source))


@pytest.mark.parametrize("name", ["no.npz", "no.npy", "folder"])
def test_missing_path(data_config, raises_line, tmp_path, name):
    with raises_line(DataError, 3, name, "data.source", "check the path"):
        data.load(data_config(tmp_path / name))


def test_unknown_file_type(data_config, raises_line, tmp_path):
    (tmp_path / "set.h5").write_bytes(b"x")
    with raises_line(ConfigError, 2, ".h5", "set.h5", ".npz"):
        data.load(data_config(tmp_path / "set.h5"))


def test_sklearn_missing(data_config, raises_line, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with raises_line(DataError, 3, "scikit-learn", "pip install"):
        data.load(data_config("digits"))


def test_importing_brings_in_no_optional_dependency():
    code = (
        "import sys, infovae_jax.data\n"
        "names = 'tensorflow tensorflow_datasets torch sklearn PIL cv2'.split()\n"
        "print([n for n in names if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
