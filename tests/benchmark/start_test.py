"""The cost of the first command: seconds go to the phase that spent them."""

import json
import subprocess
import sys

import numpy as np
import pytest
import small_run

from infovae_jax.benchmark import budget, memory, start
from infovae_jax.errors import ConfigError
from infovae_jax.report import pages, record, start_costs

COMPILED = "/jax/core/compile/backend_compile_duration"
TRACED = "/jax/core/compile/jaxpr_trace_duration"


class Clock:
    """Wall and CPU seconds that pass when they are told to; CPU twice as fast."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now, 0.5 + 2.0 * self.now

    def wait(self, seconds):
        self.now += seconds


def test_an_instant_belongs_to_the_innermost_phase():
    clock = Clock()
    found = budget.Budget(clock)
    clock.wait(1)
    with found.phase("train"):
        clock.wait(2)
        found.stage_began(TRACED, 0.0, fun_name="f")
        clock.wait(3)
        found.stage_ended(TRACED, 3.0, fun_name="f")
        found.stage_began(COMPILED, 0.0, fun_name="f")
        with found.phase("import"):
            clock.wait(4)
        clock.wait(5)
        found.stage_ended(COMPILED, 9.0, fun_name="f")
        clock.wait(6)
    record = found.record()
    wall = {name: spent["wall"] for name, spent in record["phases"].items()}
    assert wall == {"import": 4, "trace": 3, "compile": 5, "train": 8, "rest": 1}
    cpu = {name: spent["cpu"] for name, spent in record["phases"].items()}
    # What the process took before the clock began is of the rest.
    assert cpu == {"import": 8, "trace": 6, "compile": 10, "train": 16, "rest": 2.5}
    assert record["programs"] == [("f", 9.0)]


def test_ends_that_nobody_began_are_of_no_phase():
    clock = Clock()
    found = budget.Budget(clock)
    found.stage_ended(TRACED, 1.0)
    found.stage_ended("/another/event", 1.0)
    found.happened("/jax/compilation_cache/cache_hits")
    clock.wait(1)
    record = found.record()
    assert record["phases"] == {"rest": {"wall": 1.0, "cpu": 2.5}}
    assert (record["programs"], record["found"]) == ([], 1)


def make_cost(scale, inside=True):
    phases = {"import": {"wall": 1.0, "cpu": 1.5}, "train": {"wall": 2.0, "cpu": 3.0}}
    told = {"phases": phases, "programs": [["f", 0.5], ["step", 1.25]], "found": 2}
    return start.Cost(4.0 * scale, 6.0 * scale, told if inside else None)


def measured(rounds=3):
    """Ours takes half of what the other takes; and the turns that were made."""
    turns, caches = [], {}

    def runs(root, name, flags, cache, inside):
        assert flags == ["--config.seed=1"]
        # Cold where nobody was before, then in the same folder.
        caches.setdefault(cache, []).append(root)
        turns.append(inside)
        return make_cost(1.0 if inside else 2.0, inside)

    other = start.ROOT.parent / "other"
    found = start.measure("vae", ["--config.seed=1"], rounds, other, runs)
    assert all(len(set(roots)) == 1 and len(roots) == 2 for roots in caches.values())
    return found, turns


@pytest.fixture
def prepared(monkeypatch):
    monkeypatch.setattr(start, "prepare", lambda root: None)


@pytest.mark.usefixtures("prepared")
def test_ours_and_theirs_take_turns_and_are_compared_round_by_round(tmp_path):
    found, turns = measured()
    assert turns == [True, False] * 6
    for one in found.values():
        assert one["phases"]["import"]["cpu"] == [1.5] * 3
        # What no phase had.
        assert one["phases"]["rest"] == {"wall": [1.0] * 3, "cpu": [1.5] * 3}
        assert sum(p["cpu"][0] for p in one["phases"].values()) == one["cpu"][0]
    place = {"commit": "c", "jax": "0", "processor": "p", "cores": "2"}
    costs = start_costs.Costs(
        "command", place, "86d406a", list(budget.PHASES), {"vae": found}
    )
    path = tmp_path / "results" / "costs.json"
    record.write(costs, path)
    assert start_costs.read(path) == costs
    assert start_costs.ratio_rows(costs)[1:] == [["vae", *["0.50 (0.50 to 0.50)"] * 2]]
    text = "\n".join(start_costs.table(costs))
    assert "medians of 3 rounds" in text
    assert "86d406a" in text
    assert text.count("step 1.2") == 2
    alone = {
        start: {k: v for k, v in one.items() if k != start_costs.AGAINST}
        for start, one in found.items()
    }
    assert start_costs.ratio_rows(costs._replace(configs={"vae": alone})) == []


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "costs.json"
    path.write_text(json.dumps({"format": 1}))
    with pytest.raises(ConfigError, match="no costs"):
        start_costs.read(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--configs=vea"], "did you mean 'vae'"),
        (["--rounds=0"], "nothing to measure"),
        (["--against=configs"], "no checkout"),
        (["--round=two"], "invalid int"),
    ],
)
def test_bad_options_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        start.parse_options(arguments)


def test_options_name_every_config_and_pass_flags_on():
    options = start.parse_options(["--rounds=2", "--", "--config.seed=1", "--a=/b/c"])
    assert options.configs == start.names()
    assert "infocatvae" in options.configs
    assert options.flags == ["--config.seed=1", "--a=/b/c"]
    command = start._command(options)
    assert command.endswith("start --rounds=2 -- --config.seed=1 --a=c")


def test_the_page_shows_what_was_measured():
    """If not: python -m infovae_jax.report.pages."""
    text = (start.ROOT / "docs" / "benchmarks.md").read_text()
    parts = [match[2] for match in pages.PART.finditer(text)]
    parts = [part for part in parts if part.startswith("start ")]
    measured_ones = {
        path.stem for path in (start.ROOT / start_costs.FOLDER).glob("*.json")
    }
    assert {f"start {name}" for name in measured_ones} == set(parts)


def test_a_run_tells_where_its_seconds_went(tmp_path):
    """In a process of its own, on four pixels by four."""
    np.savez(tmp_path / "x.npz", **small_run.images())
    told = tmp_path / "budget.json"
    module = ["-m", "infovae_jax.benchmark.budget", str(told), budget.PEAKS]
    done = subprocess.run(
        [sys.executable, *module, *small_run.command(tmp_path)],
        cwd=start.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "run" / "report.html").is_file()
    found = json.loads(told.read_text())
    assert list(found["phases"]) == list(budget.PHASES)
    assert all(spent["cpu"] > 0 for spent in found["phases"].values())
    assert len(found["programs"]) >= 5
    if budget.peak_bytes() is not None:
        assert set(found["peaks"]) <= set(memory.PHASES)
        assert found["peaks"]["train"] > found["peaks"]["data"] > 2**20
    assert any("multi_step" in name or "run" in name for name, _ in found["programs"])
