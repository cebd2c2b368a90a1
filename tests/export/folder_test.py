"""A saved model's files; what the package makes of hostile ones; other formats."""

import json
import shutil

import numpy as np
import pytest
from hostile_models import DAMAGES, seal

import infovae_jax
from infovae_jax.errors import CheckpointError, ConfigError, StorageError
from infovae_jax.export import folder as folder_lib
from infovae_jax.export import numpy_runtime, onnx_files, stablehlo


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model):
    """With programs of both formats."""
    pytest.importorskip("onnx")
    place = tmp_path_factory.mktemp("whole")
    model.save(place, folder_lib.FORMATS)
    return place


@pytest.fixture
def folder(tmp_path, whole):
    shutil.copytree(whole, tmp_path / "model")
    return tmp_path / "model"


def test_files_and_record(whole):
    names = {path.name for path in whole.iterdir()}
    assert names == {*numpy_runtime.check_manifest(whole), "manifest.json"}
    assert {"encode.onnx", "decode.onnx", "sample.stablehlo"} < names
    record = json.loads((whole / "model.json").read_text())
    assert record["clusters"] == ["cluster 0", "cluster 1", "cluster 2"]
    assert len(record["fitted"]["data_digest_"]) == 64
    assert record["versions"]["infovae_jax"] == infovae_jax.__version__
    assert record["config"]["objective"] == "catvae"


# What the graphs are wrong about is the concern of `numpy_runtime` alone.
OF_GRAPHS = {"an unknown step", "a large array", "an object", "no nodes"}


@pytest.mark.parametrize("kind", sorted(DAMAGES.keys() - OF_GRAPHS))
def test_hostile_folders(folder, kind):
    DAMAGES[kind](folder)
    with pytest.raises(CheckpointError) as raised:
        infovae_jax.load(folder)
    assert "\n" not in raised.value.line()


def test_a_prior_that_is_too_large(folder):
    path = folder / "model.json"
    record = json.loads(path.read_text())
    record["config"]["model"].update(num_clusters=100_000, latent_dim=1_000_000)
    record["format_version"] = 1  # without a manifest
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="not of the networks"):
        infovae_jax.load(folder)


def test_programs(whole, model, table):
    codes = model.transform(table)
    programs = {name: stablehlo.load(whole, name) for name in stablehlo.NAMES}
    assert not any(program.rebuilt for program in programs.values())
    x = np.float32(table)
    close = {"rtol": 1e-4, "atol": 1e-4}
    for count in (7, 60):  # any number of rows
        found = programs["encode"](x[:count])
        np.testing.assert_allclose(found, codes[:count], **close)
    np.testing.assert_allclose(
        programs["predict"](x), model.predict_proba(table), **close
    )
    np.testing.assert_allclose(
        programs["decode"](codes), model.inverse_transform(codes), **close
    )
    drawn = programs["sample"](3, np.arange(5) % 3)
    assert drawn.shape == (5, 5)
    np.testing.assert_array_equal(drawn, programs["sample"](3, np.arange(5) % 3))


def test_old_and_unreadable_programs_are_made_anew(folder, model, table):
    path = folder / "model.json"
    record = json.loads(path.read_text()) | {"date": "2020-01-01"}
    path.write_text(json.dumps(record))
    (folder / "decode.stablehlo").write_bytes(b"of another time")
    seal(folder)
    codes = model.transform(table)
    for name, given, expected in (
        ("encode", np.float32(table), codes),
        ("decode", codes, model.inverse_transform(codes)),
    ):
        program = stablehlo.load(folder, name)
        assert program.rebuilt
        np.testing.assert_allclose(program(given), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(CheckpointError, match="no program 'fit'"):
        stablehlo.load(folder, "fit")


def run_onnx(path, rows):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, {argument.name: np.float32(rows)})
    return dict(zip(names, values, strict=True))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_onnx(tmp_path, kind, model, conv_model, table, images):
    pytest.importorskip("onnx")
    fitted, x = {"mlp": (model, table), "conv": (conv_model, images)}[kind]
    fitted.save(tmp_path, ("onnx",))
    found, codes = run_onnx(tmp_path / "encode.onnx", x), fitted.transform(x)
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(found["codes"], codes, **close)
    np.testing.assert_allclose(found["probabilities"], fitted.predict_proba(x), **close)
    decoded = run_onnx(tmp_path / "decode.onnx", codes)["decoded"]
    np.testing.assert_allclose(decoded, fitted.inverse_transform(codes), **close)


def test_onnx_of_numbers_that_stand_alone(tmp_path, table):
    """The gates of N-VAE's code begin as a number of no array."""
    pytest.importorskip("onnxruntime")
    y = np.arange(len(table)) % 3
    quick = {"hidden": (8,), "epochs": 1, "verbose": 0, "random_state": 0}
    nvae = infovae_jax.NVAE(**quick).fit(table, y)
    nvae.save(tmp_path, ("onnx",))
    decoded = run_onnx(tmp_path / "decode.onnx", nvae.transform(table))["decoded"]
    assert decoded.dtype == np.float32


def test_onnx_that_gives_other_values_is_refused(whole):
    pytest.importorskip("onnxruntime")
    with np.load(whole / "check.npz") as archive:
        check = dict(archive)
    assert onnx_files.check(whole / "encode.onnx", check["x"], check)
    check["codes"] = check["codes"] + 1
    with pytest.raises(CheckpointError, match="other codes"):
        onnx_files.check(whole / "encode.onnx", check["x"], check)


def test_unknown_formats_and_taken_folders(tmp_path, model):
    with pytest.raises(ConfigError, match="did you mean 'onnx'"):
        model.save(tmp_path, ("onx",))
    foreign = {
        "thesis.txt": "mine",
        "model.json": '{"format_version": "1.2", "class": "Sequential"}',
        # Of a web page, and of a checkpoint.
        "manifest.json": '{"sha256": {"thesis.txt": "00", "_METADATA": "00"}}',
        ".new-words": "mine",
    }
    for name, text in foreign.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match="no model"):
            folder_lib.claim(tmp_path)
        with pytest.raises(ConfigError, match="no model"):
            model.save(tmp_path)
        (tmp_path / name).unlink()
    for text in ("5", '["format_version"]', "{"):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(ConfigError, match="no model"):
            model.save(tmp_path)


def test_home_is_filled_in(tmp_path, model, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    model.save("~/kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    infovae_jax.load("~/kept")


@pytest.mark.parametrize("failure", [OSError(28, "No space left"), TypeError("odd")])
def test_a_save_that_fails_costs_no_model(folder, model, monkeypatch, failure):
    def fail(*arguments):
        raise failure

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(folder_lib, "write_atomically", fail)
    # Of a full disk in one line; a fault of ours as it is.
    kind = StorageError if isinstance(failure, OSError) else TypeError
    with pytest.raises(kind):
        model.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_a_killed_save_left_is_cleared_away(folder, model, tmp_path):
    (folder / ".infovae-new-cut").mkdir()
    (folder / "other.onnx").write_text("somebody's own")
    model.save(folder)
    assert not (folder / ".infovae-new-cut").exists()
    assert (folder / "other.onnx").exists()
    (tmp_path / "first" / ".infovae-new-cut").mkdir(parents=True)
    model.save(tmp_path / "first")
    infovae_jax.load(tmp_path / "first")


def test_a_later_save_replaces_the_earlier_one(folder, model):
    model.save(folder)
    assert not list(folder.glob("*.onnx")) + list(folder.glob("*.stablehlo"))
    assert not list(folder.glob(".infovae-new-*"))
    infovae_jax.load(folder)
