"""A run that was stopped goes on to the same bits; of SIGKILL: faults_test."""

import json
import pathlib
import shutil
import signal
import sys
import time

import chex
import forked
import jax
import numpy as np
import pytest

from infovae_jax import config as config_lib
from infovae_jax.training import loop, metrics
from infovae_jax.training.run import claim_workdir, open_run

pytestmark = pytest.mark.process

ROOT = pathlib.Path(__file__).resolve().parents[2]


def command(folder):
    return [
        sys.executable,
        "-m",
        "infovae_jax.main",
        "--config=configs/infocatvae.py",
        "--config.network.encoder_hidden=(64,)",
        "--config.network.decoder_hidden=(64,)",
        "--config.train.num_epochs=45",
        "--config.train.checkpoint_every=3",
        "--config.train.eval_every=15",
        "--config.evaluation.nll_samples=10",
        "--config.evaluation.plane=False",
        f"--workdir={folder}",
    ]


def final_params(folder):
    config = config_lib.from_json((folder / "config.json").read_text())
    run = open_run(config, say=lambda text: None)
    return loop.restore_params(run, folder)


def start(folder, log):
    return forked.Popen(command(folder), log, log)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = forked.run(command(folder))
    assert done.returncode == 0, done.stderr
    return folder


def wait_for_steps(folder, process, steps):
    """Until the log holds so many rows; False if the process ended first."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if len(metrics.read_metrics(folder)) >= steps:
            return True
        time.sleep(0.005)
    raise AssertionError("no progress")


def assert_same_run(folder, reference):
    (params, step), (expected, expected_step) = map(final_params, (folder, reference))
    assert step == expected_step
    chex.assert_trees_all_equal(params, expected)
    timing = "time/examples_per_second"
    rows, expected_rows = map(metrics.read_metrics, (folder, reference))
    for row in (*rows, *expected_rows):
        row.pop(timing)
    assert rows == expected_rows
    assert "assignment/churn" in rows[-1]
    first, second = (
        json.loads((path / "evaluation.json").read_text())["metrics"]
        for path in (folder, reference)
    )
    assert first == second


def test_a_polite_signal_saves_at_once_and_goes_on(tmp_path, uninterrupted):
    """Other signals, at every stage, are of signals_test."""
    folder, log = tmp_path / "run", tmp_path / "log"
    process = start(folder, log)
    assert wait_for_steps(folder, process, 10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 143, log.read_text()
    last = log.read_text().splitlines()[-1]
    assert last.startswith("error: stopped by")
    assert "Traceback" not in log.read_text()
    saved = max(int(p.name) for p in (folder / "checkpoints").iterdir())
    assert saved == metrics.read_metrics(folder)[-1]["step"]
    assert start(folder, log).wait(timeout=300) == 0
    assert_same_run(folder, uninterrupted)


def test_the_same_command_on_a_finished_run_changes_nothing(uninterrupted):
    before = (uninterrupted / "metrics.jsonl").read_bytes()
    done = forked.run(command(uninterrupted))
    assert done.returncode == 0, done.stderr
    assert (uninterrupted / "metrics.jsonl").read_bytes() == before


def test_other_modes_read_the_run_alone(uninterrupted, run_main, tmp_path):
    """From another folder: no config file is there to be executed."""
    for mode in ("evaluate", "report", "sample", "encode"):
        done = run_main(f"--mode={mode}", f"--workdir={uninterrupted}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    samples = np.load(uninterrupted / "samples.npz")["x"]
    chex.assert_shape(samples, (64, 8, 8, 1))
    codes = np.load(uninterrupted / "codes.npz")
    chex.assert_shape(codes["train_mean"], (1438, 20))
    chex.assert_shape(codes["test_logits"], (359, 10))
    np.testing.assert_array_equal(
        codes["test_cluster"], codes["test_logits"].argmax(-1)
    )
    done = run_main("--mode=sample", f"--workdir={uninterrupted}", "--cluster=10")
    assert done.returncode == 2
    assert "clusters 0 to 9" in done.stderr


def test_half_written_rows_and_rows_past_the_checkpoint_are_dropped(tmp_path):
    rows = [{"step": s, "epoch": s / 2, "loss": 1.0} for s in (10, 20, 30)]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 40, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    assert metrics.read_metrics(tmp_path) == rows
    writer = metrics.MetricsWriter(tmp_path, resume_step=20)
    writer.write({"step": 30, "epoch": 15.0, "loss": 2.0})
    writer.close()
    expected = [*rows[:2], {"step": 30, "epoch": 15.0, "loss": 2.0}]
    assert metrics.read_metrics(tmp_path) == expected


RESUMED = {
    "statistics and a free code": ("infomax_vae", {"network.normalization": "batch"}),
    "few labels": ("n_vae_few_labels", {}),
    "a multiplier": ("vae", {"weights.kl_z": "target(2)"}),
}


@pytest.mark.parametrize("case", RESUMED)
def test_from_a_checkpoint_in_the_middle_to_the_same_bits(make_config, tmp_path, case):
    """All of the state comes back: statistics, labelled batches and multipliers."""
    name, changes = RESUMED[case]
    config = make_config(name)
    config.train.num_epochs, config.train.checkpoint_every = 4, 2
    config.train.keep_checkpoints = 5
    for key, value in changes.items():
        group, _, last = key.partition(".")
        config[group][last] = value
    run = open_run(config, say=lambda text: None)
    states = []
    for part in ("whole", "rest"):
        folder = tmp_path / part
        claim_workdir(config, folder)
        if part == "rest":
            middle = 2 * run.steps_per_epoch
            source = tmp_path / "whole" / "checkpoints" / str(middle)
            shutil.copytree(source, folder / "checkpoints" / str(middle))
        states.append(loop.train(run, folder, run.make_mesh()))
    first, second = (
        jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))
        for state in states
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    rows = metrics.read_metrics(tmp_path / "rest")
    assert rows[0]["epoch"] == 3
    if case == "a multiplier":
        assert float(states[0].hparams["kl_z"]) != 1.0
