"""Records of finished runs."""

import json

import pytest

from infovae_jax.errors import ConfigError
from infovae_jax.report import record


@pytest.fixture
def runs(tmp_path):
    """Two finished runs of one config, as files alone."""
    folders = []
    for seed, accuracy in ((0, 0.9), (1, 0.7)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        config = {
            "seed": seed,
            "num_seeds": 1,
            "model": {},
            "train": {"batch_size": 10},
        }
        config["network"] = {"encoder_hidden": [500, 500]}
        config["data"] = {"source": "/a/folder/x.npz", "cache_dir": None}
        figures = {"cluster/accuracy": accuracy, "occupancy": [0.1], "nll": None}
        rows = [
            {"step": 60, "epoch": 1.0, "loss": 3.0, "time/examples_per_second": 5.0},
            {"step": 120, "epoch": 2.0, "loss": 1.0, "time/examples_per_second": 10.0},
        ]
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "evaluation.json").write_text(json.dumps({"metrics": figures}))
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "metrics.jsonl").write_text(text)
        folders.append(folder)
    return folders


def test_a_record_holds_every_figure_of_every_run_and_comes_back(runs, tmp_path):
    found = record.of_runs(runs, "launch/seeds.sh", last_steps=60)
    assert found.seeds == [0, 1]
    assert found.figures == {"cluster/accuracy": [0.9, 0.7]}
    assert found.training["loss"] == [1.0, 1.0]
    # 600 examples at 5 a second, and 600 at 10.
    assert found.minutes == [3.0, 3.0]
    assert "seed" not in found.config
    assert found.config["data"] == {"source": "x.npz", "cache_dir": None}
    assert {"jax", "processor", "commit"} <= set(found.environment)
    path = tmp_path / "results" / "name.json"
    record.write(found, path)
    assert record.read(path) == found


def test_runs_of_different_configs_are_not_recorded_together(runs):
    path = runs[1] / "config.json"
    config = json.loads(path.read_text())
    config["train"]["batch_size"] = 20
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="not the config of"):
        record.of_runs(runs, "command", 60)


def test_further_seeds_are_added(runs, tmp_path):
    whole = record.of_runs(runs, "launch/seeds.sh", 60)
    kept = tmp_path / "kept.json"
    record.write(record.of_runs(runs[:1], "launch/seeds.sh", 60), kept)
    more = record.of_runs(runs[1:], "launch/seeds.sh", 60)
    assert record.extended(record.read(kept), more) == whole
    one, other = (record.of_runs([run], "launch/seeds.sh", 60) for run in runs)
    assert record.extended(one, other) == whole
    other.figures["probe"] = [0.5]
    other = other._replace(environment=other.environment | {"jax": "9"})
    both = record.extended(one, other)
    assert both.figures["probe"] == [None, 0.5]
    assert both.environment["jax"] == f"{one.environment['jax']}, 9"
    assert both.environment["processor"] == one.environment["processor"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {}}, "config of the further runs"),
        ({"data": {"test images": "0"}}, "data of the further runs"),
        ({"seeds": [0]}, r"seeds \[0\] are there"),
    ],
)
def test_what_is_no_further_seed_is_refused(runs, change, words):
    one, other = (record.of_runs([run], "launch/seeds.sh", 60) for run in runs)
    with pytest.raises(ConfigError, match=words):
        record.extended(one, other._replace(**change))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', "{"])
def test_what_is_no_record_is_said(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ConfigError):
        record.read(tmp_path / "a.json")


def test_spread_of_what_is_finite():
    mean, deviation, runs = record.spread([1.0, None, 3.0])
    assert (mean, runs) == (2.0, 2)
    assert deviation == pytest.approx(2**0.5)
    assert record.spread([4.0]) == (4.0, None, 1)
