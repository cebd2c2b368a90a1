"""Where figures go: TensorBoard where installed, and what is not finite."""

import json
import random
import sys
import types

import numpy as np
import pytest

from infovae_jax.config import sealed
from infovae_jax.data import intake
from infovae_jax.errors import CheckpointError, NonFiniteError
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


def written(folder, steps=(10, 20, 30, 40, 50), every=None):
    """Rows as training writes them, one of them with members."""
    writer = metrics.MetricsWriter(folder, 0, every)
    rows = [{"step": s, "epoch": s / 10, "loss": 1 / s} for s in steps]
    rows[2][metrics.MEMBERS] = {"loss": [0.5, None]}
    for row in rows:
        writer.write(row)
    writer.close()
    return rows


def test_rows_carry_a_check_value(tmp_path):
    rows = written(tmp_path)
    for line in (tmp_path / metrics.FILE).read_text().splitlines():
        assert json.loads(line)[sealed.CHECK] == sealed.check_value(json.loads(line))
    assert metrics.read_metrics(tmp_path) == rows
    assert metrics.read_metrics(tmp_path, member=0)[2]["loss"] == 0.5


def test_a_flipped_bit_costs_its_own_row_at_most(tmp_path, capfd):
    """Anywhere: in a digit, a name, the check value, or the end of a line."""
    rows = written(tmp_path)
    path = tmp_path / metrics.FILE
    whole = path.read_bytes()
    chosen = random.Random(0)
    flips = [(p, b) for p in range(len(whole)) for b in range(8)]
    ends = [(p, b) for p, b in flips if whole[p : p + 1] == b"\n"]
    for position, bit in [*chosen.sample(flips, 300), *ends]:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << bit
        path.write_bytes(bytes(flipped))
        found = metrics.read_metrics(tmp_path)
        assert all(row in rows for row in found)
        last = position == len(whole) - 1
        hit = whole[:position].count(b"\n")
        others = [row for number, row in enumerate(rows) if number != hit]
        assert last or [row for row in found if row != rows[hit]] == others
        said = "damaged row" in capfd.readouterr().err
        assert said == (len(found) < len(rows)) or hit == len(rows) - 1


def test_a_resume_keeps_the_damaged_file_and_names_the_hole(tmp_path, capfd):
    rows = written(tmp_path, every=10)
    assert capfd.readouterr().err == ""
    path = tmp_path / metrics.FILE
    damaged = path.read_text().replace('"step": 30', '"step": 31')
    path.write_text(damaged)
    metrics.MetricsWriter(tmp_path, 50, 10).close()
    lines = capfd.readouterr().err.splitlines()
    assert "1 damaged row of metrics.jsonl left out" in lines[0]
    assert "metrics.jsonl.damaged" in lines[0]
    assert "no rows of steps 21 to 30" in lines[1]
    assert (tmp_path / "metrics.jsonl.damaged").read_text() == damaged
    assert metrics.read_metrics(tmp_path) == [row for row in rows if row["step"] != 30]
    path.write_text(path.read_text().replace('"step": 40', '"step": 41'))
    metrics.MetricsWriter(tmp_path, 50, 10).close()
    assert (tmp_path / "metrics.jsonl.damaged-1").exists()
    assert "no rows of steps 21 to 40" in capfd.readouterr().err


def test_rows_of_a_time_before_check_values_are_taken(tmp_path, capfd):
    old = {"step": 5, "epoch": 0.5, "loss": 2.0}
    odd = ["[]", "5", '{"loss": 1}', '{"step": "a"}', '{"step": 6, "loss": "b"}']
    odd += [
        '{"step": 7}',
        '{"step": NaN, "epoch": 1}',
        json.dumps(old | {"members": 3}),
    ]
    odd += [json.dumps(old | {"members": {"loss": 3}})]
    lines = [json.dumps(old), *odd, json.dumps(sealed.seal(ROW | {"step": 10}))]
    # Its check value is gone: it cannot be told from a row that somebody changed.
    lines.append(json.dumps(ROW | {"step": 12}))
    # Whole, and of another form all the same.
    lines.append(json.dumps(sealed.seal(ROW | {"step": "a"})))
    (tmp_path / metrics.FILE).write_text("\n".join(lines) + "\n")
    assert metrics.read_metrics(tmp_path) == [old, ROW | {"step": 10}]
    assert f"{len(odd) + 2} damaged rows" in capfd.readouterr().err


def test_holes_are_named():
    assert metrics.missing_steps([10, 20, 30], 30, 10) == []
    assert metrics.missing_steps([10, 30, 33], 33, 10) == ["11 to 20"]
    assert metrics.missing_steps([], 30, 10) == ["1 to 30"]
    assert metrics.missing_steps([10], 30, None) == ["11 to 30"]
    assert metrics.missing_steps([10], 0, 10) == []


def test_a_folder_in_place_of_the_rows(tmp_path):
    (tmp_path / metrics.FILE).mkdir()
    for use in (metrics.read_metrics, lambda folder: metrics.MetricsWriter(folder, 0)):
        with pytest.raises(CheckpointError, match="cannot be read") as caught:
            use(tmp_path)
        assert caught.value.exit_code == 4


def test_members_that_are_not_finite_are_found_and_one_run_is_refused():
    state = {"a": np.ones((3, 2), np.float32), "b": np.zeros(3, np.float32)}
    assert metrics.check_finite_state(state, 5, "run", 3) == []
    state["a"][1, 0] = np.nan
    state["b"][2] = np.inf
    assert metrics.check_finite_state(state, 5, "run", 3) == [1, 2]
    with pytest.raises(NonFiniteError, match=r"\['a'\].*by step 5, which is not saved"):
        metrics.check_finite_state(state, 5, "run")
    state["b"][0] = np.nan
    with pytest.raises(NonFiniteError):
        metrics.check_finite_state(state, 5, "run", 3)


def test_a_divergence_tells_of_data_of_a_large_scale():
    wide, unit = intake.Intake(low=0.0, high=255.0), intake.Intake(low=0.0, high=1.0)
    with (
        pytest.raises(NonFiniteError, match="of 0 to 255, .*; or lower") as caught,
        metrics.telling_scale(wide),
    ):
        raise metrics.diverged("loss became non-finite", "run")
    assert caught.value.what == "loss became non-finite"
    for other in (unit, intake.Intake(), None):
        with pytest.raises(NonFiniteError) as caught, metrics.telling_scale(other):
            raise metrics.diverged("loss became non-finite", "run")
        assert "scale" not in caught.value.fix
