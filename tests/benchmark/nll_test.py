"""The NLL benchmark compares equal computations."""

import json
import sys

import forked
import pytest

from infovae_jax.benchmark import nll

pytestmark = pytest.mark.process


def test_ours_is_the_same_figure_as_the_loops():
    """Equal weights and images: the NLLs differ by their draws alone."""
    pytest.importorskip("torch")
    ours = nll.make_variant("jax", 200).nll(4)
    assert 500 < ours < 700
    for name in ("torch_per_image", "torch_per_sample"):
        theirs = nll.make_variant(name, 200).nll(4)
        assert theirs == pytest.approx(ours, abs=3)


def run(*arguments, code="nll.main()"):
    code = f"from infovae_jax.benchmark import nll; {code}"
    return forked.run([sys.executable, "-c", code, *arguments])


def test_runs_alone(tmp_path):
    out = tmp_path / "out.json"
    code = "nll.TURNS['jax'] = 2; nll.main()"
    done = run("--samples=10", "--rounds=2", f"--out={out}", code=code)
    assert done.returncode == 0, done.stderr
    row = json.loads(out.read_text())["jax"]
    assert row["jax_is_faster_by"] == 1.0
    assert len(row["seconds_an_image"]) == 2
    assert "10,000 images" in done.stdout


def test_no_samples_are_refused():
    done = run("--samples=0")
    assert done.returncode == 2
    assert "--samples; give at least 1" in done.stderr
