"""A damaged newest checkpoint is set aside, and the newest good one is used."""

import os

import pytest
import small_run
from bad_inputs_test import assert_refused
from small_run import command, damage

from infovae_jax.errors import CheckpointError
from infovae_jax.training import checkpoint, metrics
from infovae_jax.training.opening import sweep
from infovae_jax.training.run import locked


def steps(folder):
    return checkpoint.Checkpoints(folder / "run" / "checkpoints").steps()


def test_training_sets_a_damaged_checkpoint_aside_and_goes_on(there, trained, capfd):
    damage(there / "run" / "checkpoints" / "6")
    small_run.train(there / "run", small_run.read_config(there / "run"))
    said = capfd.readouterr()
    (line,) = [text for text in said.err.splitlines() if text.startswith("note")]
    assert "damaged checkpoint" in line
    assert str(there / "run" / "quarantine" / "6") in line
    assert "resumed at step 4" in said.out
    assert [p.name for p in (there / "run" / "quarantine").iterdir()] == ["6"]
    assert steps(there) == [4, 6]
    rows, expected = (metrics.read_metrics(f / "run") for f in (there, trained))
    for row in (*rows, *expected):
        row.pop("time/examples_per_second")
    assert rows == expected


def test_strict_resume_refuses(run_main_inprocess, there):
    damage(there / "run" / "checkpoints" / "6")
    for arguments in (
        command(there),
        ("--mode=encode", f"--workdir={there / 'run'}"),
    ):
        done = run_main_inprocess(*arguments, "--strict_resume")
        assert_refused(done, 4, "damaged checkpoint", "to go on from step 4")
    assert steps(there) == [4, 6]


def test_a_reader_uses_the_older_one_and_leaves_a_trainers_folder_alone(
    run_main_inprocess, there
):
    damage(there / "run" / "checkpoints" / "6")
    arguments = ("--mode=encode", f"--workdir={there / 'run'}")
    with locked(there / "run"):
        done = run_main_inprocess(*arguments)
        assert done.returncode == 0, done.stderr
        assert "it stays where it is, an older one is used" in done.stderr
    assert steps(there) == [4, 6]
    done = run_main_inprocess(*arguments)
    assert done.returncode == 0, done.stderr
    assert "quarantine/6" in done.stderr
    assert steps(there) == [4]


def test_where_no_checkpoint_is_good_none_is_moved(there):
    for step in (4, 6):
        damage(there / "run" / "checkpoints" / str(step))
    with pytest.raises(CheckpointError, match="damaged"):
        small_run.train(there / "run", small_run.read_config(there / "run"))
    assert steps(there) == [4, 6]


def test_leftovers_of_cut_saves_are_swept_at_the_next_start(there):
    run = there / "run"
    cut = run / "checkpoints" / "8.orbax-checkpoint-tmp-17"
    (cut / "d").mkdir(parents=True)
    (run / "checkpoints" / "8").mkdir()
    (run / "checkpoints" / "notes").mkdir()
    dead, alive = run / "config.json.4194303.tmp", run / f"x.json.{os.getppid()}.tmp"
    for path in (dead, alive):
        path.write_text("{")
    sweep(run)
    left = {path.name for path in (run / "checkpoints").iterdir()}
    assert left == {"4", "6", "notes"}
    assert not dead.exists()
    assert alive.exists()


def test_the_only_checkpoint_without_its_manifest_is_kept_aside(there):
    folder = there / "run" / "checkpoints"
    for step in ("4", "6"):
        (folder / step / checkpoint.MANIFEST).unlink()
    sweep(there / "run")
    assert not list(folder.iterdir())
    names = sorted(path.name for path in (there / "run" / "quarantine").iterdir())
    assert names == ["4", "6"]
