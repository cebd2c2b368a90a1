"""A run goes on with its own data and its own config, or says what differs."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from bad_inputs_test import assert_refused

from infovae_jax import config as config_lib
from infovae_jax.config import sealed
from infovae_jax.errors import CheckpointError, DataError
from infovae_jax.training import checkpoint, identity, loop
from infovae_jax.training.run import claim_workdir, open_run

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = (
    "--config=configs/vae.py",
    "--config.network.encoder_hidden=(8,)",
    "--config.network.decoder_hidden=(8,)",
    "--config.train.batch_size=20",
    "--config.train.num_epochs=1",
)


def images(seed=0, count=60):
    x = np.random.default_rng(seed).random((count, 4, 4)).astype(np.float32)
    return {"x": x, "y": np.arange(count) % 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch on a file of images."""
    folder = tmp_path_factory.mktemp("identity")
    np.savez(folder / "x.npz", **images())
    config = config_lib.load_config_file(str(ROOT / "configs" / "vae.py"))
    config = config_lib.from_json(config_lib.to_json(config))
    config.network.encoder_hidden = config.network.decoder_hidden = (8,)
    config.train.batch_size, config.train.num_epochs = 20, 1
    config.data.source = str(folder / "x.npz")
    run = open_run(config, say=lambda text: None)
    claim_workdir(config, folder / "run")
    loop.train(run, folder / "run", run.make_mesh())
    return folder


@pytest.fixture
def there(trained, tmp_path):
    """A copy of the run that a test may change, and its file of images."""
    shutil.copytree(trained / "run", tmp_path / "run")
    text = (trained / "run" / "config.json").read_text()
    source = tmp_path / "x.npz"
    shutil.copy(trained / "x.npz", source)
    move(tmp_path / "run", text, trained / "x.npz", source)
    return tmp_path


def move(workdir, text, before, after):
    """The same run, as if trained on a file at another place."""
    (workdir / "config.json").write_text(text.replace(str(before), str(after)))
    for path in workdir.glob(f"checkpoints/*/{checkpoint.MANIFEST}"):
        manifest = sealed.read(path)
        manifest["identity"]["config"]["data"]["source"] = str(after)
        path.write_text(json.dumps(sealed.seal(manifest)))


def command(folder, *more):
    source = f"--config.data.source={folder / 'x.npz'}"
    return (*COMMAND, source, f"--workdir={folder / 'run'}", *more)


def test_a_checkpoint_tells_what_it_was_trained_on(trained):
    step, found = identity.stored(trained / "run")
    assert step == 2
    assert found.config == json.loads((trained / "run" / "config.json").read_text())
    assert set(found.data) == {
        f"{split} {part}"
        for split in ("train", "test")
        for part in ("images", "labels")
    }
    lines = found.lines().splitlines()
    assert [len(line.split()[-1]) for line in lines] == [64, 64]


@pytest.mark.parametrize("mode", ["train", "evaluate", "report", "encode", "sample"])
def test_other_images_in_the_same_file(run_main_inprocess, there, mode):
    np.savez(there / "x.npz", **images(seed=1))
    arguments = (f"--mode={mode}", f"--workdir={there / 'run'}")
    done = run_main_inprocess(*(command(there) if mode == "train" else arguments))
    assert_refused(
        done, 3, "step 2", "test images", "train images", "--accept_changed_data"
    )
    assert "labels" not in done.stderr


def test_a_label_that_changed_and_a_file_that_shrank(run_main_inprocess, there):
    changed = images()
    changed["y"][3] = 1
    np.savez(there / "x.npz", **changed)
    refused = run_main_inprocess("--mode=encode", f"--workdir={there / 'run'}")
    assert_refused(refused, 3, "labels")
    np.savez(there / "x.npz", **images(count=50))
    refused = run_main_inprocess("--mode=encode", f"--workdir={there / 'run'}")
    assert_refused(refused, 3, "test images, test labels, train images")


def test_changed_data_are_accepted_once_by_name(there):
    run_dir = there / "run"
    config = config_lib.from_json((run_dir / "config.json").read_text())
    np.savez(there / "x.npz", **images(seed=1))
    own = open_run(config, say=lambda text: None).identity()
    change = identity.check_data(run_dir, own, accept=True, record=False)
    assert change["parts"] == ["test images", "train images"]
    with pytest.raises(DataError):  # A reader's word does not hold for the trainer.
        identity.check_data(run_dir, own)
    assert identity.check_data(run_dir, own, accept=True) == change
    assert identity.check_data(run_dir, own) == change
    recorded = sealed.read(run_dir / identity.ACCEPTED)
    assert recorded == {"changes": [change]}
    np.savez(there / "x.npz", **images(seed=2))
    third = open_run(config, say=lambda text: None).identity()
    with pytest.raises(DataError):
        identity.check_data(run_dir, third)
    (run_dir / identity.ACCEPTED).write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        identity.check_data(run_dir, third)


def test_the_command_line_accepts_changed_data(run_main_inprocess, there):
    np.savez(there / "x.npz", **images(seed=1))
    done = run_main_inprocess(
        "--mode=encode", f"--workdir={there / 'run'}", "--accept_changed_data"
    )
    assert done.returncode == 0, done.stderr
    assert np.load(there / "run" / "codes.npz")["train_mean"].shape[0] == 48


def test_a_changed_config_is_not_that_of_the_checkpoints(run_main_inprocess, there):
    path = there / "run" / "config.json"
    text = path.read_text()
    path.write_text(text.replace('"split_seed": 0', '"split_seed": 1'))
    parts = ("data.split_seed: 0 -> 1", "config.json", "step 2")
    for arguments in (
        command(there),
        command(there, "--config.data.split_seed=1"),
        ("--mode=evaluate", f"--workdir={there / 'run'}"),
    ):
        assert_refused(run_main_inprocess(*arguments), 4, *parts)
    path.write_text(text.replace('"split_seed"', '"split_sfed"'))
    done = run_main_inprocess("--mode=report", f"--workdir={there / 'run'}")
    assert_refused(done, 4, "split_sfed")


def test_a_missing_config_beside_checkpoints(run_main_inprocess, there):
    path = there / "run" / "config.json"
    text = path.read_text()
    path.unlink()
    done = run_main_inprocess(*command(there, "--config.seed=1"))
    assert_refused(done, 4, "config.json is missing", "seed: 0 -> 1")
    done = run_main_inprocess("--mode=evaluate", f"--workdir={there / 'run'}")
    assert_refused(done, 4, "config.json is missing")
    assert not path.exists()
    claim_workdir(config_lib.from_json(text), there / "run")  # Nothing differs.
    assert json.loads(path.read_text()) == json.loads(text)


def test_checkpoints_of_a_time_before_identities_are_taken(there):
    for path in there.glob(f"run/checkpoints/*/{checkpoint.MANIFEST}"):
        manifest = sealed.read(path)
        del manifest["identity"]
        path.write_text(json.dumps(manifest))
    assert identity.stored(there / "run") is None
    config = config_lib.from_json((there / "run" / "config.json").read_text())
    claim_workdir(config, there / "run")
    (there / "run" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="missing beside checkpoints"):
        claim_workdir(config, there / "run")
