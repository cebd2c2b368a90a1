"""Mean and spread over runs."""

import json
import subprocess
import sys

import forked
import jax
import numpy as np
import pytest
from PIL import Image

from infovae_jax import evaluation
from infovae_jax.errors import ConfigError
from infovae_jax.evaluation.workdir import save_clusters
from infovae_jax.report import summary
from infovae_jax.training.run import open_run
from infovae_jax.training.saved import Saved


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


def test_runs_of_different_configs_are_told(tmp_path):
    for number, dims in enumerate((10, 20, 20)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = {"metrics": {"elbo": -float(number)}}
        (folder / "evaluation.json").write_text(json.dumps(found))
        config = {"seed": number, "model": {"latent_dim": dims}, "data": {"a": [1, 2]}}
        (folder / "config.json").write_text(json.dumps(config))
    folders = [tmp_path / str(number) for number in range(3)]
    told = summary.summarize(folders).splitlines()[1]
    assert told == "note: runs of different configs: model.latent_dim (10, 20)"
    assert "different" not in summary.summarize(folders[1:])


def test_runs_in_the_plane_of_rate_and_distortion(tmp_path):
    for number, value in enumerate((1.5, 9.0)):
        folder = tmp_path / str(number)
        folder.mkdir()
        metrics = {"elbo/reconstruction": 80 - value, "elbo/kl_z": value}
        (folder / "evaluation.json").write_text(json.dumps({"metrics": metrics}))
    command = [sys.executable, "-m", "infovae_jax.report.summary"]
    folders, plot = [str(tmp_path / n) for n in "01"], tmp_path / "rd.png"
    done = forked.run([*command, *folders, f"--plot={plot}"])
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
    with pytest.raises(ConfigError, match="no run here"):
        summary.summarize([tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="not evaluated"):
        summary.summarize([tmp_path])
    done = subprocess.run(
        [sys.executable, "-m", "infovae_jax.report.summary"],
        capture_output=True,
        text=True,
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
    assert widths["two"] > widths["one"] + 500


def write_runs(tmp_path, values, name="run"):
    folders = []
    for number, value in enumerate(values):
        folder = tmp_path / f"{name}{number}"
        folder.mkdir()
        text = json.dumps({"metrics": {"elbo": value}})
        (folder / "evaluation.json").write_text(text)
        folders.append(folder)
    return folders


def test_difference_of_two_groups_and_its_standard_error(tmp_path):
    first = write_runs(tmp_path, [1.0, 2.0, 3.0], "a")
    second = write_runs(tmp_path, [5.0, 9.0], "b")
    row = summary.compare(first, second).splitlines()[-1].split()
    error = np.sqrt(1.0 / 3 + 8.0 / 2)
    assert row == ["elbo", "2", "7", "-5", f"{error:.4g}"]
    single = summary.compare(first, second[:1]).splitlines()[-1].split()
    assert single == ["elbo", "2", "5", "-3", "-"]


def test_last_steps_weigh_each_row_by_the_steps_it_covers(tmp_path):
    rows = [
        {"step": 100, "epoch": 1, "loss": 50.0},
        {"step": 200, "epoch": 2, "loss": 8.0, "test/elbo": -3.0},
        {"step": 230, "epoch": 2.3, "loss": 2.0},
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n"
    (tmp_path / "metrics.jsonl").write_text(text)
    assert summary.last_steps(tmp_path, 30) == {"loss": 2.0}
    found = summary.last_steps(tmp_path, 80)  # 30 steps at 2, 50 at 8
    assert found["loss"] == pytest.approx((30 * 2 + 50 * 8) / 80)
    assert found["test/elbo"] == -3.0
    assert "epoch" not in found
    every = (100 * 50 + 100 * 8 + 30 * 2) / 230
    assert summary.last_steps(tmp_path, 10_000)["loss"] == pytest.approx(every)
    with pytest.raises(ConfigError, match="0 steps"):
        summary.last_steps(tmp_path, 0)
    with pytest.raises(ConfigError, match="no metrics"):
        summary.last_steps(tmp_path / "nothing", 5)


def test_agreement_of_runs_that_cluster(tmp_path):
    folders = write_runs(tmp_path, [1.0, 2.0])
    assert summary.cluster_agreement(folders) == {}
    for folder, clusters in zip(folders, ([0, 0, 1, 1], [1, 1, 0, 1]), strict=True):
        np.savez(folder / "clusters.npz", cluster=clusters, test_split=np.array("a"))
    found = summary.cluster_agreement(folders)
    assert found["stability/accuracy"] == 0.75
    assert found["stability/unanimous"] == 0.75
    assert set(found) == set(summary.STABILITY_RECIPES)
    np.savez(folder / "clusters.npz", cluster=[0, 1], test_split=np.array("b"))
    with pytest.raises(ConfigError, match="different test splits.*run0 and .*run1"):
        summary.cluster_agreement(folders)
    (folder / "clusters.npz").write_text("no archive")
    with pytest.raises(ConfigError, match="damaged"):
        summary.cluster_agreement(folders)


def test_flags_of_the_command(tmp_path):
    first, second = (
        write_runs(tmp_path, [v, v + 1], n) for v, n in ((1, "a"), (4, "b"))
    )
    command = [sys.executable, "-m", "infovae_jax.report.summary"]
    done = forked.run([*command, *first, "--against", *second])
    assert "2 runs against 2" in done.stdout, done.stderr
    wrong = forked.run([*command, "--agaist"])
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: unrecognized arguments: --agaist")


def test_the_evaluation_leaves_the_clusters_of_the_test_split(make_config, tmp_path):
    folders = []
    for seed in (0, 1):
        run = open_run(make_config("catvae"), say=lambda text: None)
        params = run.objective.init(jax.random.key(seed))
        folder = tmp_path / str(seed)
        folder.mkdir()
        save_clusters(Saved(run, params, 0, folder))
        folders.append(folder)
    codes = evaluation.encode_split(run, params, run.dataset.test_x)
    with np.load(folder / "clusters.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["cluster"], codes.logits.argmax(-1))
    found = summary.cluster_agreement(folders)
    assert abs(found["stability/ari"]) < 0.5  # two networks that learned nothing
    plain = open_run(make_config("vae"), say=lambda text: None)
    save_clusters(Saved(plain, plain.objective.init(jax.random.key(0)), 0, tmp_path))
    assert not (tmp_path / "clusters.npz").exists()
    # Other images are another test split, whatever their number.
    other = run._replace(dataset=run.dataset._replace(test_x=1 - run.dataset.test_x))
    save_clusters(Saved(other, params, 0, folders[1]))
    with pytest.raises(ConfigError, match="different test splits"):
        summary.cluster_agreement(folders)


@pytest.mark.parametrize(
    ("name", "part"), [("none/x.png", "no folder"), ("x.xyz", "end it with .png")]
)
def test_a_place_where_no_picture_can_be(tmp_path, monkeypatch, capsys, name, part):
    place = tmp_path / name
    monkeypatch.setattr(sys, "argv", ["summary", str(tmp_path), f"--plot={place}"])
    with pytest.raises(SystemExit) as stopped:
        summary.main()
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert part in line


def refusal(arguments, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["summary", *arguments])
    with pytest.raises(SystemExit) as stopped:
        summary.main()
    assert stopped.value.code == ConfigError.exit_code
    told = capsys.readouterr()
    assert not told.out
    return told.err


def make_run(folder):
    folder.mkdir()
    (folder / "evaluation.json").write_text('{"metrics": {"elbo": -1.0}}')


@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "./b/../a"), ("a", "b", "--against", "link")]
)
def test_a_run_counts_once(tmp_path, monkeypatch, capsys, names):
    for name in ("a", "b"):
        make_run(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "b")
    monkeypatch.chdir(tmp_path)
    line = refusal(names, monkeypatch, capsys)
    assert line.endswith("name each run once\n")


def test_a_config_of_no_run_is_damaged(tmp_path, monkeypatch, capsys):
    make_run(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text("{}")
    line = refusal([str(tmp_path / "a")], monkeypatch, capsys)
    assert "damaged: no 'model'" in line
