"""What does not fit is refused before it is allocated."""

import math

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


def test_a_forecast_is_told_where_it_is_much(run, monkeypatch):
    state, mesh = loop.abstract_state(run), run.make_mesh()
    pixels = math.prod(run.dataset.train_x.shape[1:])
    kernels = [leaf for leaf in jax.tree.leaves(state.params) if leaf.ndim == 2]
    units = sum(kernel.shape[-1] for kernel in kernels)
    batch = 4 * run.config.train.batch_size * (3 * pixels + units)
    # Beside the device, which here is the processor, both splits as they were read.
    held = run.dataset.train_x.nbytes + run.dataset.test_x.nbytes
    total = memory.needed(run, state, 1) + held + batch
    monkeypatch.setattr(memory, "_GIB", 1)  # of bytes as of gibibytes
    monkeypatch.setattr(memory, "NOTABLE", total + 1)
    monkeypatch.setattr(memory, "available", lambda mesh: 4 * total + 1)
    assert memory.forecast(run, state, 1, mesh) is None
    monkeypatch.setattr(memory, "available", lambda mesh: 4 * total)
    told = memory.forecast(run, state, 1, mesh)
    assert told.startswith(f"memory: at least {total}.0 of {4 * total}.0 GiB (data")
    assert ", state " in told
    assert "3 states" in memory.forecast(run, state, 3, mesh)
    monkeypatch.setattr(memory, "NOTABLE", total)
    monkeypatch.setattr(memory, "available", lambda mesh: None)
    alone = told.replace(f" of {4 * total}.0", "")
    assert memory.forecast(run, state, 1, mesh) == alone
    # Two blocks of an epoch's steps would be more than all examples.
    run.config.data.stream = True
    assert memory.forecast(run, state, 1, mesh) == alone
    run.config.train.log_every, run.config.train.batch_size = 1, 2
    two_blocks = f"(data {held + 2 * 2 * 4 * pixels:.2g}, "
    assert two_blocks in memory.forecast(run, state, 100, mesh)


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


def test_a_training_tells_its_forecast_before_it_begins(
    run_main_inprocess, tmp_path, monkeypatch
):
    monkeypatch.setattr(memory, "NOTABLE", 0)
    (tmp_path / "file").write_text("no folder")
    done = run_main_inprocess("--config=configs/vae.py", f"--workdir={tmp_path}/file")
    assert done.returncode == 2
    assert "\nmemory: at least 0.0 of " in done.stdout
