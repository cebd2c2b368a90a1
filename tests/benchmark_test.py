"""The benchmark compares equal computations."""

import json
import subprocess
import sys

import numpy as np
import pytest

from infovae_jax import benchmark


@pytest.mark.parametrize("case", benchmark.CASES)
def test_networks_are_equal_in_size_and_learn_alike(case):
    """Initial weights differ by each library's habit; after 100 steps losses agree."""
    pytest.importorskip("torch")
    ours, theirs = (benchmark.make_variant(n, case) for n in ("jax", "torch_loader"))
    assert ours.num_params == theirs.num_params
    np.testing.assert_allclose(ours.steps(100), theirs.steps(100), rtol=0.05)


def test_runs_alone(tmp_path):
    out = tmp_path / "out.json"
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from infovae_jax import benchmark; benchmark.CASES['vae_mlp'] = 2;"
            "benchmark.main()",
            "--cases=vae_mlp",
            "--rounds=2",
            f"--out={out}",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(out.read_text())["vae_mlp"]["jax"]
    assert row["jax_is_faster_by"] == 1.0
    assert len(row["examples_per_second"]) == 2
    assert row["num_params"] == 784 * 500 + 2 * 500 * 500 + 500 * 784 + 784 + (
        4 * 500 + 500 * 40 + 40 + 20 * 500
    )


def test_unknown_case():
    done = subprocess.run(
        [sys.executable, "-m", "infovae_jax.benchmark", "--cases=vae_mpl"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "did you mean 'vae_mlp'" in done.stderr
