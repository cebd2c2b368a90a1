"""A saved model gives the same bits, and a damaged one is refused in words."""

import dataclasses
import importlib.util
import json
import sys

import forked
import jax
import numpy as np
import pytest
from hostile_models import seal

from infovae_jax import NVAE, VAE, CatVAE, InfomaxVAE, load
from infovae_jax.errors import CheckpointError, ConfigError, StorageError
from infovae_jax.estimators import saving


def without_safetensors(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "safetensors" else find(name, *rest),
    )


@pytest.mark.parametrize("has_safetensors", [True, False])
def test_bits_come_back(tmp_path, monkeypatch, table, quick, has_safetensors):
    if not has_safetensors:
        without_safetensors(monkeypatch)
    elif importlib.util.find_spec("safetensors") is None:
        pytest.skip("safetensors is not installed")
    model = CatVAE(n_clusters=3, **quick).fit(table)
    model.save(tmp_path / "model")
    ending = "safetensors" if has_safetensors else "npz"
    assert (tmp_path / "model" / f"model.{ending}").is_file()
    loaded = load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    jax.tree.map(np.testing.assert_array_equal, loaded.params_, model.params_)
    for use in ("transform", "predict", "predict_proba", "score_samples"):
        found, expected = (getattr(m, use)(table) for m in (loaded, model))
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        loaded.sample(3, cluster=1), model.sample(3, cluster=1)
    )
    np.testing.assert_array_equal(loaded.labels_, model.labels_)
    assert loaded.history_.keys() == model.history_.keys()
    np.testing.assert_array_equal(loaded.history_["loss"], model.history_["loss"])
    for name in ("n_iter_", "stop_reason_", "decision_", "n_features_in_", "seed_"):
        assert getattr(loaded, name) == getattr(model, name)


@pytest.mark.long
def test_classes_and_images_come_back(tmp_path, images, quick):
    y = np.where(np.arange(40) % 2, "even", "odd")
    model = NVAE(**quick).fit(images, y)
    model.save(tmp_path)
    loaded = load(tmp_path)
    assert list(loaded.predict(images)) == list(model.predict(images))
    assert loaded.sample(2, cluster="odd").shape == (2, 6, 5, 3)


@pytest.mark.long
def test_running_statistics_come_back(tmp_path, table, quick):
    options = {"config": {"network.normalization": "batch"}}
    model = InfomaxVAE(**options, **quick).fit(table)
    model.save(tmp_path)
    np.testing.assert_array_equal(
        load(tmp_path).transform(table), model.transform(table)
    )


def test_names_of_columns_come_back(tmp_path, table, quick):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table, columns=list("abcde"))
    VAE(**quick).set_output(transform="pandas").fit(frame).save(tmp_path)
    loaded = load(tmp_path)
    assert list(loaded.feature_names_in_) == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        loaded.transform(frame[list("edcba")])


@pytest.fixture
def folder(tmp_path, table, quick, monkeypatch):
    without_safetensors(monkeypatch)
    VAE(**quick).fit(table).save(tmp_path)
    return tmp_path


def test_another_model_beside_the_arrays(folder, table, quick):
    arrays = dict(np.load(folder / "model.npz"))
    name = next(n for n in arrays if n.endswith("decoder/outputs/bias"))
    arrays[name] = arrays[name] + 1
    np.savez(folder / "model.npz", **arrays)
    with pytest.raises(CheckpointError, match="not as it was written"):
        load(folder)
    seal(folder)
    with pytest.raises(CheckpointError, match="other decoded"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.json", lambda text: text[: len(text) // 2], "cannot be read"),
        ("model.json", lambda text: "[" * 10**5, "cannot be read"),
        ("model.json", lambda text: text.replace('"VAE"', '"os"'), "cannot be read"),
        (
            "model.json",
            lambda text: text.replace('"format_version": 2', '"format_version": 9'),
            "newer infovae_jax",
        ),
        ("model.npz", lambda text: text[:100], "cannot be read"),
        ("check.npz", lambda text: text[:100], "cannot be checked"),
    ],
)
def test_damage_is_refused(folder, name, change, message):
    path = folder / name
    path.write_bytes(change(path.read_text("latin-1")).encode("latin-1"))
    seal(folder)
    with pytest.raises(CheckpointError, match=message):
        load(folder)


def test_arrays_of_other_networks(folder):
    record = json.loads((folder / "model.json").read_text())
    record["config"]["network"]["encoder_hidden"] = [9]
    (folder / "model.json").write_text(json.dumps(record))
    seal(folder)
    with pytest.raises(CheckpointError, match="not of the networks"):
        load(folder)


def test_a_folder_of_the_first_format(folder, table):
    """Without manifest, graphs and digests, as they were written before."""
    path = folder / "model.json"
    record = json.loads(path.read_text()) | {"format_version": 1}
    del record["own_networks"], record["clusters"], record["date"]
    path.write_text(json.dumps(record))
    for name in ("manifest.json", "graphs.json", "numpy_runtime.py"):
        (folder / name).unlink()
    assert load(folder).transform(table).shape == (60, 20)


def test_no_model(tmp_path):
    with pytest.raises(CheckpointError, match="no model here"):
        load(tmp_path)


def test_what_is_no_path(table, quick):
    for use in (load, VAE(**quick).fit(table).save):
        with pytest.raises(ConfigError, match="'None' is no path"):
            use(None)


def test_a_parameter_that_json_does_not_hold(tmp_path, table, quick):
    model = VAE(**quick).fit(table)
    model.config = {"seed": object()}
    with pytest.raises(ConfigError, match="cannot be saved"):
        model.save(tmp_path)
    assert not (tmp_path / "model.json").exists()


def test_a_class_of_ones_own_is_saved_as_the_system_that_it_is(tmp_path, table, quick):
    @dataclasses.dataclass(eq=False, repr=False, kw_only=True)
    class Mine(VAE):
        twice: bool = True

    model = Mine(**quick).fit(table)
    with pytest.warns(UserWarning, match="saved as a VAE.* code of Mine is in no file"):
        model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert type(loaded) is VAE
    np.testing.assert_array_equal(loaded.transform(table), model.transform(table))


def test_a_place_that_takes_no_folder(tmp_path, table, quick):
    model = VAE(**quick).fit(table)
    (tmp_path / "file").write_text("of somebody")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, error in (
        ("file", ConfigError),
        ("link", ConfigError),
        ("file/model", StorageError),
    ):
        with pytest.raises(error) as told:
            model.save(tmp_path / name)
        assert told.value.fix.startswith("name another")


def test_nothing_is_pickled(folder):
    for name in ("model.npz", "check.npz"):
        with np.load(folder / name, allow_pickle=False) as archive:
            assert all(archive[key].dtype.kind in "fiub" for key in archive)
    assert (
        json.loads((folder / "model.json").read_text())["format_version"]
        == saving.FORMAT_VERSION
    )


def test_another_process_gives_the_same_bits(tmp_path, table, quick):
    model = CatVAE(n_clusters=3, **quick).fit(table)
    model.save(tmp_path / "model")
    np.save(tmp_path / "x.npy", table)
    code = (
        "import sys, numpy as np, infovae_jax\n"
        "model = infovae_jax.load(sys.argv[1] + '/model')\n"
        "x = np.load(sys.argv[1] + '/x.npy')\n"
        "np.save(sys.argv[1] + '/y.npy', model.transform(x))\n"
    )
    done = forked.run([sys.executable, "-c", code, tmp_path])
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), model.transform(table))
