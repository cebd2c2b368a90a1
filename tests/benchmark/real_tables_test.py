"""Real tables: our clusters and those of k-means, as records."""

import functools
import sys

import pytest

from infovae_jax import InfoCatVAE
from infovae_jax.benchmark import real_tables
from infovae_jax.errors import ConfigError
from infovae_jax.report import record


@pytest.mark.long
def test_a_record_holds_both_methods_of_every_seed(tmp_path, monkeypatch, capsys):
    quick = functools.partial(InfoCatVAE, epochs=2, hidden=(8,))
    monkeypatch.setattr(real_tables, "InfoCatVAE", quick)
    arguments = ["--data=iris", "--seeds=2", f"--folder={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["real_tables", *arguments])
    real_tables.main()
    found = record.read(tmp_path / "infocatvae_table_iris.json")
    assert found.seeds == [0, 1]
    # scikit-learn's own k-means on standardised columns of iris.
    assert found.figures["kmeans/accuracy"] == pytest.approx([0.833] * 2, abs=0.01)
    assert all(0.33 <= v <= 1 for v in found.figures["cluster/accuracy"])
    assert found.config["model"]["neighbours"]
    assert not found.config["model"]["affine"]
    assert "iris: kmeans/accuracy 0.83" in capsys.readouterr().out


@pytest.mark.parametrize("argument", ["--data=irises", "--seeds=0"])
def test_what_cannot_be_measured_is_said(argument):
    with pytest.raises(ConfigError, match="irises|nothing to measure"):
        real_tables.parse_options([argument])
