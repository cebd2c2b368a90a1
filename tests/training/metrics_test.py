"""Where figures go: TensorBoard where installed, and what is not finite."""

import sys
import types

import pytest

from infovae_jax.errors import NonFiniteError
from infovae_jax.training import metrics

ROW = {"step": 3, "epoch": 1.5, "loss": 2.0}


def test_tensorboard_gets_every_figure_where_its_package_is(tmp_path, monkeypatch):
    calls = []

    class Writer:
        def __init__(self, folder):
            calls.append(folder)

        def add_scalar(self, name, value, step):
            calls.append((name, value, step))

        def close(self):
            calls.append("closed")

    module = types.ModuleType("tensorboard.summary")
    module.Writer = Writer
    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "tensorboard.summary", module)
    writer = metrics.MetricsWriter(tmp_path, 0)
    writer.write(ROW)
    writer.close()
    folder = str(tmp_path / "tensorboard")
    assert calls == [folder, ("epoch", 1.5, 3), ("loss", 2.0, 3), "closed"]


def test_without_tensorboard_only_the_rows_are_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    writer = metrics.MetricsWriter(tmp_path, 0)
    writer.write(ROW)
    writer.close()
    assert metrics.read_metrics(tmp_path) == [ROW]
    assert not (tmp_path / "tensorboard").exists()


def test_a_real_event_file(tmp_path):
    pytest.importorskip("tensorboard")
    writer = metrics.MetricsWriter(tmp_path, 0)
    writer.write(ROW)
    writer.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert events.stat().st_size > 100


def test_the_terms_that_left_the_numbers_are_named():
    metrics.check_finite(ROW, "run")
    bad = {**ROW, "term/kl_z": float("inf"), "loss": float("nan")}
    with pytest.raises(NonFiniteError, match="loss, term/kl_z.*by step 3"):
        metrics.check_finite(bad, "run")
