"""Trackers get every row, in a local store or a stand-in, and cost no result."""

import json
import sys
import types

import pytest
import small_run

from infovae_jax import config as config_lib
from infovae_jax.errors import ConfigError
from infovae_jax.training import trackers
from infovae_jax.training.metrics import MEMBERS

ROWS = [{"step": 2, "epoch": 1.0, "loss": 3.0, MEMBERS: {"loss": [3.0]}}]


class Recorder:
    """A stand-in for a tracker's module."""

    def __init__(self, fails=()):
        self.calls, self._fails = [], fails

    def __getattr__(self, name):
        def call(*arguments, **options):
            if name in self._fails:
                raise RuntimeError("no network")
            self.calls.append((name, arguments, options))

        return call


@pytest.fixture
def run_config(tmp_path):
    config = small_run.make_config(tmp_path / "x.npz")
    config.train.tracker_project = "digits"
    return config


def module(monkeypatch, name, fails=()):
    recorder = Recorder(fails)
    stand_in = types.ModuleType(name)
    for function in ("init", "log", "finish"):
        setattr(stand_in, function, getattr(recorder, function))
    for function in ("set_experiment", "start_run", "log_params"):
        setattr(stand_in, function, getattr(recorder, function))
    for function in ("log_metrics", "end_run"):
        setattr(stand_in, function, getattr(recorder, function))
    monkeypatch.setitem(sys.modules, name, stand_in)
    return recorder


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_init_log_finish(monkeypatch, tmp_path, run_config, name):
    recorder = module(monkeypatch, name)
    run_config.train.tracker = name
    tracker = trackers.of_run(run_config, tmp_path / "run")
    tracker.log(ROWS[0])
    tracker.close()
    start, row, end = recorder.calls
    assert start[0] == "init"
    assert start[2]["project"] == "digits"
    assert start[2]["name"] == "run"
    assert start[2]["config"]["train.num_epochs"] == 3
    assert row == ("log", ({"epoch": 1.0, "loss": 3.0},), {"step": 2})
    assert end[0] == "finish"


def test_mlflow(monkeypatch, tmp_path, run_config):
    recorder = module(monkeypatch, "mlflow")
    run_config.train.tracker = "mlflow"
    tracker = trackers.of_run(run_config, tmp_path / "run")
    tracker.log(ROWS[0])
    tracker.close()
    names = [name for name, _, _ in recorder.calls]
    expected = ["set_experiment", "start_run", "log_params", "log_metrics", "end_run"]
    assert names == expected
    assert recorder.calls[3][1:] == (({"epoch": 1.0, "loss": 3.0},), {"step": 2})


@pytest.mark.filterwarnings("ignore")  # its own
def test_mlflow_in_a_local_store(monkeypatch, tmp_path, run_config):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    run_config.train.tracker = "mlflow"
    tracker = trackers.of_run(run_config, tmp_path / "run")
    tracker.log(ROWS[0])
    tracker.close()
    (run,) = mlflow.search_runs(experiment_names=["digits"], output_format="list")
    assert run.data.metrics["loss"] == 3.0
    assert run.data.params["objective"] == "vae"


@pytest.mark.filterwarnings("ignore")  # its own
def test_wandb_in_a_local_store(monkeypatch, tmp_path, run_config):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    run_config.train.tracker = "wandb"
    tracker = trackers.of_run(run_config, tmp_path / "run")
    tracker.log(ROWS[0])
    tracker.close()
    (stored,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"digits" in stored.read_bytes()


@pytest.mark.filterwarnings("ignore")  # its own
def test_trackio_in_a_local_store(monkeypatch, tmp_path, run_config):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # read when it is imported
    pytest.importorskip("trackio")
    run_config.train.tracker = "trackio"
    tracker = trackers.of_run(run_config, tmp_path / "run")
    tracker.log(ROWS[0])
    tracker.close()
    (stored,) = tmp_path.glob("digits*.db")
    assert stored.stat().st_size


@pytest.mark.parametrize("fails", ["init", "log", "finish"])
def test_failures_are_said_and_cost_nothing(
    monkeypatch, tmp_path, run_config, fails, capsys
):
    module(monkeypatch, "wandb", [fails])
    run_config.train.tracker = "wandb"
    tracker = trackers.of_run(run_config, tmp_path / "run")
    for _ in range(3):
        tracker.log(ROWS[0])
    tracker.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert "no network" in line
    assert "metrics.jsonl has them all" in line


def test_one_that_hangs_is_left_behind(capsys):
    import threading

    forever = threading.Event()

    def connect():
        forever.wait()
        return Recorder()

    tracker = trackers.Tracker("slow", connect, patience=0.1)
    tracker.log(ROWS[0])
    tracker.close()
    assert "has not taken all rows" in capsys.readouterr().err
    forever.set()


def test_off_by_default_and_missing_ones_are_said(tmp_path, run_config, monkeypatch):
    assert trackers.of_run(run_config, tmp_path) is None
    trackers.require("none")
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install wandb"):
        trackers.require("wandb")
    run_config.train.tracker = "wandbb"
    with pytest.raises(ConfigError, match="did you mean 'wandb'"):
        config_lib.check(run_config)


def test_a_run_sends_what_it_writes(monkeypatch, tmp_path, run_config):
    import numpy as np

    np.savez(tmp_path / "x.npz", **small_run.images())
    recorder = module(monkeypatch, "trackio")
    run_config.train.tracker = "trackio"
    small_run.train(tmp_path / "run", run_config)
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    written = [json.loads(line) for line in text.splitlines()]
    sent = [
        (args[0], options) for name, args, options in recorder.calls if name == "log"
    ]
    assert [options["step"] for _, options in sent] == [row["step"] for row in written]
    assert [row["loss"] for row, _ in sent] == [row["loss"] for row in written]
