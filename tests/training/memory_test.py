"""What does not fit is refused before it is allocated."""

import jax
import pytest
import small_run
from bad_inputs_test import assert_refused

from infovae_jax.errors import ConfigError
from infovae_jax.training import loop, memory
from infovae_jax.training.run import open_run


@pytest.fixture
def run(there):
    return open_run(small_run.read_config(there / "run"), say=lambda text: None)


def test_data_and_states_are_counted(run, monkeypatch):
    state = loop.abstract_state(run)
    leaves = jax.tree.leaves(run.objective.init(jax.random.key(0)))
    params = sum(leaf.nbytes for leaf in leaves)
    one = memory.needed(run, state, 1) - run.dataset.train_x.nbytes
    assert 2 * 3 * params <= one < 2 * 3 * params + 1000  # Adam has two moments.
    assert memory.needed(run, state, 5) == 5 * one + run.dataset.train_x.nbytes
    run.config.data.stream = True
    assert memory.needed(run, state, 1) == one
    monkeypatch.setattr(memory, "available", lambda mesh: one)
    memory.check(run, state, 1, run.make_mesh())
    with pytest.raises(ConfigError, match="2 states"):
        memory.check(run, state, 2, run.make_mesh())
    monkeypatch.setattr(memory, "available", lambda mesh: None)
    memory.check(run, state, 10**9, run.make_mesh())


def test_layers_beyond_the_machine(run_main_inprocess, tmp_path):
    done = run_main_inprocess(
        "--config=configs/vae.py",
        "--config.network.encoder_hidden=(100000,100000,100000,100000)",
        "--config.network.decoder_hidden=(100000,100000,100000,100000)",
        "--config.num_seeds=4096",
        f"--workdir={tmp_path / 'run'}",
    )
    assert_refused(done, 2, "4096 states", "the machine has", "config.network")
    assert not (tmp_path / "run").exists()


def test_samples_beyond_the_machine(run, monkeypatch):
    size = 2 * 4 * 16  # of an image of 4x4, twice in float32
    monkeypatch.setattr(memory, "available", lambda mesh: 1000 * size)
    memory.check_samples(run, 1000)
    with pytest.raises(ConfigError, match="1001 samples"):
        memory.check_samples(run, 1001)
    monkeypatch.setattr(memory, "available", lambda mesh: None)
    memory.check_samples(run, 10**9)
