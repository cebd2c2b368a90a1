"""A run goes on with its own data and its own config, or says what differs."""

import json

import numpy as np
import pytest
from bad_inputs_test import assert_refused
from small_run import command, images, read_config

from infovae_jax import config as config_lib
from infovae_jax.config import sealed
from infovae_jax.errors import CheckpointError, DataError
from infovae_jax.training import checkpoint, identity
from infovae_jax.training.run import claim_workdir, open_run


def test_a_checkpoint_tells_what_it_was_trained_on(trained):
    step, found = identity.stored(trained / "run")
    assert step == 6
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
        done, 3, "step 6", "test images", "train images", "--accept_changed_data"
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
    config = read_config(run_dir)
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
    codes = np.load(there / "run" / "codes.npz")
    assert codes["train_mean"].shape[0] == 48
    rows = np.concatenate([codes["train_origin"], codes["test_origin"]])
    assert sorted(rows) == list(range(60))  # Of the file.
    np.testing.assert_array_equal(codes["test_label"], codes["test_origin"] % 3)


def test_a_changed_config_is_not_that_of_the_checkpoints(run_main_inprocess, there):
    path = there / "run" / "config.json"
    text = path.read_text()
    path.write_text(text.replace('"split_seed": 0', '"split_seed": 1'))
    parts = ("data.split_seed: 0 -> 1", "config.json", "step 6")
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
    config = read_config(there / "run")
    claim_workdir(config, there / "run")
    (there / "run" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="missing beside checkpoints"):
        claim_workdir(config, there / "run")
