"""One documented command goes on from an earlier checkpoint with another config."""

import pytest
import small_run
from bad_inputs_test import assert_refused
from small_run import command

from infovae_jax.errors import ConfigError
from infovae_jax.training import checkpoint, identity, loop, metrics, rewind
from infovae_jax.training.run import claim_workdir, open_run


def steps(folder):
    return checkpoint.Checkpoints(folder / "run" / "checkpoints").steps()


def go_back(folder, config, step=4):
    run = open_run(config, say=lambda text: None)
    restore = lambda: loop.restore_params(run, folder / "run")  # noqa: E731
    rewind.rewind(folder / "run", step, config, restore)


def test_a_new_branch_keeps_what_came_after(there, trained):
    config = small_run.read_config(there / "run")
    config.optimizer.learning_rate, config.train.num_epochs = 1e-5, 4
    go_back(there, config)
    assert steps(there) == [4]
    kept = {path.name for path in (there / "run" / "quarantine").iterdir()}
    assert kept == {"6", metrics.FILE}
    small_run.train(there / "run", config)
    rows, before = (metrics.read_metrics(f / "run") for f in (there, trained))
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    assert [row["loss"] for row in rows[:2]] == [row["loss"] for row in before[:2]]
    assert rows[2]["loss"] != before[2]["loss"]
    (change,) = identity.accepted(there / "run")
    assert change["step"] == 4
    assert [part.split(":")[0] for part in change["parts"]] == [
        "optimizer.learning_rate",
        "train.num_epochs",
    ]


def test_the_same_command_again_goes_on_with_the_branch(there):
    config = small_run.read_config(there / "run")
    config.optimizer.learning_rate = 1e-5
    go_back(there, config)
    claim_workdir(config, there / "run")  # Without --resume_from too.
    small_run.train(there / "run", config)
    assert steps(there) == [4, 6]
    go_back(there, config)
    assert steps(there) == [4, 6]


def test_what_is_part_of_the_state_cannot_change(there):
    for group, key, value in (
        ("weights", "kl_z", 0.5),
        ("model", "latent_dim", 3),
        ("data", "split_seed", 1),
    ):
        config = small_run.read_config(there / "run")
        config[group][key] = value
        with pytest.raises(ConfigError, match=f"{group}.{key}.*cannot change"):
            go_back(there, config)
    assert steps(there) == [4, 6]


def test_a_moved_file_of_equal_data_is_taken(there):
    (there / "x.npz").rename(there / "y.npz")
    config = small_run.read_config(there / "run")
    config.data.source = str(there / "y.npz")
    go_back(there, config, step=6)
    run = open_run(config, say=lambda text: None)
    claim_workdir(config, there / "run")
    assert identity.check_data(there / "run", run.identity()) is None


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("--resume_from=5",), 4, ("no checkpoint of step 5", "[4, 6]")),
        (
            ("--resume_from=4", "--config.optimizer.name=sgd"),
            4,
            ("made by another model", "opt_state"),
        ),
        (("--resume_from=4", "--config.seed=1"), 2, ("seed: 0 -> 1", "cannot change")),
        (("--step=4",), 2, ("--mode=train takes no --step", "--resume_from")),
    ],
)
def test_the_command_line_refuses(run_main_inprocess, there, arguments, code, parts):
    assert_refused(run_main_inprocess(*command(there, *arguments)), code, *parts)
    assert steps(there) == [4, 6]


def test_other_modes_take_a_step(run_main_inprocess, there):
    workdir = f"--workdir={there / 'run'}"
    done = run_main_inprocess("--mode=sample", workdir, "--step=4", "--num_samples=2")
    assert done.returncode == 0, done.stderr
    done = run_main_inprocess("--mode=sample", workdir, "--step=5")
    assert_refused(done, 4, "step 5", "[4, 6]")
    done = run_main_inprocess("--mode=sample", workdir, "--resume_from=4")
    assert_refused(done, 2, "takes no --resume_from", "use --step")


def test_no_run_to_resume(run_main_inprocess, tmp_path):
    done = run_main_inprocess(
        "--config=configs/vae.py", "--resume_from=4", f"--workdir={tmp_path / 'none'}"
    )
    assert_refused(done, 2, "no run here")
