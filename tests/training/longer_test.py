"""A run whose config differs in nothing but more epochs goes on in its folder."""

import chex
import numpy as np
import pytest
import small_run

from infovae_jax.errors import ConfigError
from infovae_jax.training import loop, metrics
from infovae_jax.training.run import claim_workdir, open_run
from infovae_jax.training.saved import open_saved


def config_of(folder, epochs, rate=1e-3):
    config = small_run.make_config(folder / "x.npz")
    config.train.num_epochs, config.optimizer.learning_rate = epochs, rate
    return config


def test_more_epochs_end_with_the_bits_of_one_long_run(tmp_path):
    np.savez(tmp_path / "x.npz", **small_run.images())
    small_run.train(tmp_path / "whole", config_of(tmp_path, 4))
    small_run.train(tmp_path / "run", config_of(tmp_path, 2))
    longer = config_of(tmp_path, 4)
    told = claim_workdir(longer, tmp_path / "run")
    assert told == "note: the run goes on to 4 epochs in place of 2"
    assert claim_workdir(longer, tmp_path / "run") is None
    run = open_run(longer, say=lambda text: None)
    loop.train(run, tmp_path / "run", run.make_mesh())
    found, whole = (open_saved(str(tmp_path / name)) for name in ("run", "whole"))
    assert found.step == whole.step == 8
    chex.assert_trees_all_equal(found.params, whole.params)
    steps = [row["step"] for row in metrics.read_metrics(tmp_path / "run")]
    assert steps == [row["step"] for row in metrics.read_metrics(tmp_path / "whole")]


def test_fewer_epochs_or_another_key_are_another_run(tmp_path):
    np.savez(tmp_path / "x.npz", **small_run.images())
    claim_workdir(config_of(tmp_path, 3), tmp_path / "run")
    for other in (config_of(tmp_path, 2), config_of(tmp_path, 4, 2e-3)):
        with pytest.raises(ConfigError, match=r"only train\.num_epochs may grow"):
            claim_workdir(other, tmp_path / "run")


def test_schedules_in_per_cent_are_said_to_stretch(tmp_path):
    rate = "linear(0.002, 0.001, 100%)"
    claim_workdir(config_of(tmp_path, 3, rate), tmp_path / "run")
    told = claim_workdir(config_of(tmp_path, 6, rate), tmp_path / "run")
    assert "schedules in per cent are from here on of all these epochs" in told
