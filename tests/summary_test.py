"""Mean and spread over runs."""

import json
import subprocess
import sys

import pytest

from infovae_jax import summary
from infovae_jax.errors import ConfigError


def test_table_of_two_runs(tmp_path):
    for number, value in enumerate((0.7, 0.9)):
        folder = tmp_path / str(number)
        folder.mkdir()
        metrics = {"cluster/accuracy": value, "occupancy": [1.0], "elbo": -1}
        (folder / "evaluation.json").write_text(json.dumps({"metrics": metrics}))
    text = summary.summarize([tmp_path / "0", tmp_path / "1"])
    row = next(
        line for line in text.splitlines() if line.startswith("cluster/accuracy")
    )
    assert row.split()[1:] == ["0.8", "0.1414", "0.7", "0.9"]
    assert "occupancy" not in text


def test_one_run_has_no_spread_and_figures_not_reported_are_left_out(tmp_path):
    for number, value in enumerate((1.5, None)):
        folder = tmp_path / str(number)
        folder.mkdir()
        metrics = {"elbo": -2.0, "information/data_upper": value}
        (folder / "evaluation.json").write_text(json.dumps({"metrics": metrics}))
    single = summary.summarize([tmp_path / "0"]).splitlines()
    assert single[2].split() == ["elbo", "-2", "-", "-2", "-2"]
    assert "data_upper" in single[3]
    both = summary.summarize([tmp_path / "0", tmp_path / "1"])
    assert "data_upper" not in both


def test_runs_in_the_plane_of_rate_and_distortion(tmp_path):
    for number, value in enumerate((1.5, 9.0)):
        folder = tmp_path / str(number)
        folder.mkdir()
        metrics = {"elbo/reconstruction": 80 - value, "elbo/kl_z": value}
        (folder / "evaluation.json").write_text(json.dumps({"metrics": metrics}))
    command = [sys.executable, "-m", "infovae_jax.summary"]
    folders, plot = [str(tmp_path / n) for n in "01"], tmp_path / "rd.png"
    done = subprocess.run(
        [*command, *folders, f"--plot={plot}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_members_of_a_population_are_runs(tmp_path):
    figures = {"elbo": [-3.0, None, -5.0], "cluster/accuracy": [0.5, 0.1, 0.7]}
    record = {
        "strategy": "scan",
        "chunk": 1,
        "members": [{"seed": s} for s in range(3)],
    }
    (tmp_path / "population.json").write_text(json.dumps(record | {"figures": figures}))
    lines = summary.summarize([tmp_path]).splitlines()
    assert lines[0] == "2 runs"  # the second diverged
    assert lines[2].split() == ["elbo", "-4", "1.414", "-5", "-3"]
    assert lines[3].split()[1:] == ["0.6", "0.1414", "0.5", "0.7"]


def test_a_run_that_was_not_evaluated(tmp_path):
    with pytest.raises(ConfigError, match="not evaluated"):
        summary.summarize([tmp_path])
    done = subprocess.run(
        [sys.executable, "-m", "infovae_jax.summary"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no runs")
