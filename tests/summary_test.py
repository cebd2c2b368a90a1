"""Mean and spread over runs."""

import json
import subprocess
import sys

import pytest
from PIL import Image

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


def test_a_run_that_was_not_evaluated(tmp_path):
    with pytest.raises(ConfigError, match="not evaluated"):
        summary.summarize([tmp_path])
    done = subprocess.run(
        [sys.executable, "-m", "infovae_jax.summary"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no runs")


def test_runs_in_the_information_plane(tmp_path):
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        metrics = {"elbo/reconstruction": 80.0, "elbo/kl_z": 4.0 + number}
        (folder / "evaluation.json").write_text(json.dumps({"metrics": metrics}))
    folders = [tmp_path / n for n in "01"]
    with pytest.raises(ConfigError, match="no run has figures of a plane"):
        summary.draw(folders, tmp_path / "plane.png", both=False)
    summary.draw(folders, tmp_path / "one.png", both=True)
    rows = [
        {"step": s, "epoch": s, "information/data": 2.0, "information/label": s / 9}
        for s in (1, 2)
    ]
    (folders[0] / "metrics.jsonl").write_text(
        "".join(f"{json.dumps(r)}\n" for r in rows)
    )
    summary.draw(folders, tmp_path / "plane.png", both=False)
    summary.draw(folders, tmp_path / "two.png", both=True)
    widths = {}
    for name in ("one", "plane", "two"):
        with Image.open(tmp_path / f"{name}.png") as image:
            widths[name] = image.width
    assert abs(widths["one"] - widths["plane"]) < 20
    assert widths["two"] > 1.5 * widths["one"]
