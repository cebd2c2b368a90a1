"""The table of tables III to V, from figures that are known."""

import json

import pytest

from infovae_jax.errors import ConfigError
from infovae_jax.report import robustness
from infovae_jax.training.saved import Saved


def write_run(folder, objective, seed, clean, prior=None, counts=(100, 1000)):
    folder.mkdir(parents=True)
    model = {"latent_dim": 8} | ({"prior": prior} if prior else {})
    config = {"objective": objective, "seed": seed, "model": model}
    config["data"] = {"source": "tfds:mnist"}
    (folder / "config.json").write_text(json.dumps(config))
    metrics = {}
    for prefix in ("robust/", *(f"robust/tsvm_{n}_" for n in counts)):
        metrics[f"{prefix}clean"] = clean
        for level in (0.1, 0.2, 0.5):
            metrics[f"{prefix}gaussian_{level}"] = clean - level
            metrics[f"{prefix}mask_{level}"] = clean - level / 2
    if "robust/tsvm_1000_clean" in metrics:
        metrics["robust/tsvm_1000_clean"] = clean + 0.01
    (folder / "evaluation.json").write_text(json.dumps({"metrics": metrics}))
    return folder


def test_rows_are_methods_and_cells_means_over_seeds(tmp_path):
    folders = [
        write_run(tmp_path / "a", "vae", 0, 0.7),
        write_run(tmp_path / "b", "vae", 1, 0.8),
        write_run(tmp_path / "c", "vimae", 0, 0.9, "normal"),
        write_run(tmp_path / "d", "vimae", 0, 0.95, "logistic"),
    ]
    runs = robustness.read_runs(folders)
    table = robustness.make_table(runs, None, [0.2, 0.5], [0.2, 0.5])
    assert table["columns"][0] == "clean"
    names = [(row["method"], row["probe"], row["runs"]) for row in table["rows"]]
    assert names == [
        (method, probe, count)
        for method, count in (
            ("vae", 2),
            ("vimae, normal prior", 1),
            ("vimae, logistic prior", 1),
        )
        for probe in ("M1+TSVM", "linear probe")
    ]
    first = table["rows"][0]["cells"]
    assert first[0]["mean"] == pytest.approx(0.76)  # of 1000 labels
    assert first[0]["deviation"] == pytest.approx(0.1 / 2**0.5)
    means = [cell["mean"] for cell in first[1:]]
    assert means == pytest.approx([0.55, 0.25, 0.65, 0.5])
    assert table["rows"][1]["cells"][0]["mean"] == pytest.approx(0.75)
    assert table["rows"][2]["cells"][0]["deviation"] is None
    text = robustness.table_text(table)
    assert "| vae | 8 | M1+TSVM | 2 | 76.0 ± 7.1 | 55.0 ± 7.1 |" in text
    assert "1000 labels" in text


def test_number_of_labels_and_levels_that_all_runs_have(tmp_path):
    folders = [
        write_run(tmp_path / "a", "vae", 0, 0.7),
        write_run(tmp_path / "b", "vae", 1, 0.8, counts=(100,)),
    ]
    runs = robustness.read_runs(folders)
    table = robustness.make_table(runs, None, [], [])
    assert table["rows"][0]["cells"][0]["mean"] == pytest.approx(0.75)
    with pytest.raises(ConfigError, match="measured with 1000 labels"):
        robustness.make_table(runs, 1000, [], [])
    with pytest.raises(ConfigError, match="under 'gaussian_0.7'"):
        robustness.make_table(runs, None, [0.7], [])
    with pytest.raises(ConfigError, match="no list of levels"):
        robustness.levels("0.1;0.2")
    with pytest.raises(ConfigError, match="no run here"):
        robustness.read_runs([tmp_path])
    with pytest.raises(ConfigError, match="no runs"):
        robustness.read_runs([])


def test_a_run_that_was_not_measured_is_measured(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "a", "vae", 0, 0.7)
    figures = (folder / "evaluation.json").read_text()
    (folder / "evaluation.json").write_text(json.dumps({"metrics": {"elbo": -1.0}}))
    asked = []

    def evaluate(workdir, groups):
        asked.append((workdir, groups))
        (folder / "evaluation.json").write_text(figures)
        return Saved(None, None, 0, folder)

    monkeypatch.setattr(robustness, "open_saved", lambda workdir: workdir)
    monkeypatch.setattr(robustness, "evaluate_saved", evaluate)
    monkeypatch.setattr(robustness.report, "write", lambda *_: None)
    assert len(robustness.read_runs([folder])) == 1
    assert asked == [(str(folder), "representation")]
    unmeasured = Saved(None, None, 0, folder)
    monkeypatch.setattr(robustness, "evaluate_saved", lambda *_: unmeasured)
    (folder / "evaluation.json").write_text(json.dumps({"metrics": {"elbo": -1.0}}))
    with pytest.raises(ConfigError, match="too few labels"):
        robustness.read_runs([folder])
