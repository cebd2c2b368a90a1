"""The file of Inception weights: what is refused, and what its features are."""

import hashlib
import importlib.util
import pathlib
import subprocess
import sys

import chex
import numpy as np
import pytest

from infovae_jax.errors import CheckpointError, ConfigError, DataError
from infovae_jax.evaluation import generation, inception
from infovae_jax.networks import inception as network

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "launch" / "convert_inception.py"
SHAPES = {"a.conv.weight": (2, 3, 1, 1), "fc.bias": (4,)}


@pytest.fixture
def tiny(monkeypatch):
    """A network of two arrays, so that files stay small."""
    monkeypatch.setattr(network, "parameter_shapes", lambda: SHAPES)


def arrays(**changes):
    found = {name: np.ones(shape, np.float32) for name, shape in SHAPES.items()}
    found["source_sha256"] = np.array(network.SOURCE_SHA256)
    found |= changes
    return {name: array for name, array in found.items() if array is not None}


def saved(path, **changes):
    np.savez(path, **arrays(**changes))
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def refused(path, sha256=None):
    with pytest.raises(CheckpointError) as caught:
        inception.read(path, sha256)
    line = caught.value.line()
    assert str(path) in line
    assert caught.value.exit_code == 4
    return line


def test_a_file_from_the_published_weights_needs_no_hash(tiny, tmp_path):
    path, digest = saved(tmp_path / "w.npz")
    for expected in (None, digest, digest.upper()):
        found, source, params = inception.read(path, expected)
        assert (found, source) == (digest, network.SOURCE_SHA256)
        assert params.keys() == SHAPES.keys()


def test_another_hash_or_origin_is_refused(tiny, tmp_path):
    path, digest = saved(tmp_path / "w.npz")
    line = refused(path, "0" * 64)
    assert digest in line
    assert "evaluation.inception_sha256" in line
    other, its = saved(tmp_path / "v.npz", source_sha256=np.array("f" * 64))
    assert "f" * 64 in refused(other)
    assert inception.read(other, its)[1] == "f" * 64  # pinned by the user
    silent, _ = saved(tmp_path / "u.npz", source_sha256=None)
    assert "unknown" in refused(silent)


def test_arrays_that_do_not_fit_are_named(tiny, tmp_path):
    for changes, words in (
        ({"fc.bias": None}, "no array 'fc.bias'"),
        ({"fc.bias": np.ones(5, np.float32)}, "float32 (5,), not float32 (4,)"),
        ({"fc.bias": np.ones(4)}, "float64 (4,), not float32 (4,)"),
        ({"fc.bias": np.full(4, np.nan, np.float32)}, "'fc.bias' holds NaN"),
    ):
        assert words in refused(saved(tmp_path / "w.npz", **changes)[0])


def test_files_that_are_no_archives(tiny, tmp_path):
    with pytest.raises(ConfigError, match="no file"):
        inception.read(str(tmp_path / "none.npz"))
    path = tmp_path / "w.npz"
    path.write_bytes(b"\x80\x04}\x94.")  # the pickle of an empty dict
    assert "pickle" in refused(path)
    saved(path)
    path.write_bytes(path.read_bytes()[:-40])
    assert "damaged or cut" in refused(path)
    object_array, _ = saved(path, **{"fc.bias": np.array([{}], object)})
    assert "pickle" in refused(object_array)


def test_features_of_any_images(tiny, tmp_path, monkeypatch):
    """Batches, padding, grey and the recipe; tests/networks has the network itself."""

    def means(params, x):
        return x[:, ::20, 7, :2].reshape(len(x), -1) + params["fc.bias"][:1, None]

    monkeypatch.setattr(network, "pool_features", means)
    monkeypatch.setattr(inception, "BATCH_SIZE", 2)
    path, digest = saved(tmp_path / "w.npz")
    features = inception.load(path)
    images = np.random.default_rng(0).random((5, 8, 8, 1)).astype(np.float32)
    found = features.function(images)
    chex.assert_shape(found, (5, 30))
    exact = means({"fc.bias": np.ones(4)}, np.asarray(network.preprocess(images)))
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
    colour = features.function(np.repeat(images, 3, axis=-1))
    np.testing.assert_array_equal(found, colour)
    assert features.name == "inception"
    for words in ("6726825d", digest[:8], "299x299"):
        assert words in features.recipe
    with pytest.raises(DataError, match=r"\(3, 8, 8, 4\)"):
        features.function(np.zeros((3, 8, 8, 4)))
    same = generation.distances(features, images, images)
    assert same.frechet < 1e-6
    apart = generation.distances(features, images, 0.5 * images)
    moments = [generation.moments(features.function(x)) for x in (images, 0.5 * images)]
    assert apart.frechet == generation.frechet_distance(*moments[0], *moments[1])


def converter():
    spec = importlib.util.spec_from_file_location("convert_inception", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_converter_refuses_another_file(tmp_path):
    source = tmp_path / "x.pth"
    source.write_bytes(b"no weights")
    done = subprocess.run(
        [sys.executable, SCRIPT, source, tmp_path / "out.npz"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SCRIPT.parents[1]), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1
    digest = hashlib.sha256(b"no weights").hexdigest()
    assert done.stderr.startswith(f"error: SHA-256 {digest}, not 6726825d")
    assert not (tmp_path / "out.npz").exists()


def test_the_converter_keeps_every_array(tiny, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    source, target = tmp_path / "x.pth", tmp_path / "out.npz"
    state = {
        "fc.bias": torch.arange(4.0),
        "a.conv.weight": torch.ones(2, 3, 1, 1),
        "a.bn.num_batches_tracked": torch.tensor(0),
    }

    def convert():
        torch.save(state, source)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        monkeypatch.setattr(network, "SOURCE_SHA256", digest)
        return converter().convert(source, target)

    digest = convert()
    found, source_digest, params = inception.read(str(target), digest)
    assert (found, source_digest) == (digest, network.SOURCE_SHA256)
    np.testing.assert_array_equal(params["fc.bias"], np.arange(4.0))
    state["extra"] = torch.ones(1)
    with pytest.raises(CheckpointError, match="unknown array 'extra'"):
        convert()
    del state["extra"], state["fc.bias"]
    with pytest.raises(CheckpointError, match=r"no array 'fc.bias'"):
        convert()
