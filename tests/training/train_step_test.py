"""The step as a pure function: chunking, schedules, sharding."""

import os
import sys

import chex
import forked
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jitted import emitted

from infovae_jax import objectives
from infovae_jax.data import batches
from infovae_jax.errors import ConfigError
from infovae_jax.training import blocks, elbo, sharding, train_step


@pytest.fixture
def parts(make_config, spec):
    config = make_config("infocatvae")
    config.weights.kl_z = "linear(0, 1, 2)"
    objective = objectives.make(config, spec)
    optimizer = optax.adam(1e-3)
    schedules = train_step.make_schedules(config.weights, 5, 1)
    step = train_step.make_train_step(objective, optimizer, schedules)
    state = train_step.init_train_state(objective, optimizer, seed=3)
    data = jax.random.uniform(jax.random.key(0), (20, 4, 4, 1))
    return step, state, data


def assert_equal_states(first, second):
    for a, b in zip(
        jax.tree.leaves(first.params), jax.tree.leaves(second.params), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert int(first.step) == int(second.step)


@pytest.mark.long
def test_many_steps_in_one_program_are_the_steps_one_by_one(parts):
    step, state, data = parts
    indices = batches.batch_indices(0, 0, 7, 20, 4)
    together, means = emitted(train_step.make_multi_step(step))(state, data, indices)
    single, losses, norms = state, [], []
    one = emitted(step)
    for rows in indices:
        single, metrics = one(single, data[rows])
        losses.append(float(metrics["loss"]))
        norms.append(float(metrics["optimizer/grad_norm"]))
    assert_equal_states(together, single)
    np.testing.assert_allclose(means["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(means["loss_last"], losses[-1], rtol=1e-5)
    assert norms[-1] > 0
    np.testing.assert_allclose(means["optimizer/grad_norm"], norms[-1], rtol=1e-5)


@pytest.mark.long
def test_norm_of_the_gradient_is_where_it_is_asked_for(parts):
    step, state, data = parts
    gradient = jax.jit(step)(state, data[:4])[1]["optimizer/grad_norm"]
    for measured, expected in ((True, gradient), (False, 0.0)):
        _, metrics = jax.jit(step)(state, data[:4], jnp.bool_(measured))
        np.testing.assert_allclose(metrics["optimizer/grad_norm"], expected, rtol=1e-6)


@pytest.mark.long
def test_scheduled_weights_follow_the_step(parts):
    step, state, data = parts
    seen = []
    for _ in range(12):
        state, metrics = jax.jit(step)(state, data[:4])
        seen.append(float(metrics["weight/kl_z"]))
    np.testing.assert_allclose(seen, np.minimum(np.arange(12) / 10, 1.0), atol=1e-6)


def test_initial_state_is_a_function_of_the_seed(make_config, spec):
    objective = objectives.make(make_config("vae"), spec)
    states = [
        train_step.init_train_state(objective, optax.sgd(0.1), seed)
        for seed in (1, 1, 2)
    ]
    kernels = [jax.tree.leaves(state.params)[-1] for state in states]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_blocks_do_not_depend_on_where_they_start():
    whole = list(blocks.cut_blocks(0, 47, 10))
    assert whole == [(0, 10), (10, 20), (20, 30), (30, 40), (40, 47)]
    assert list(blocks.cut_blocks(20, 47, 10)) == whole[2:]
    assert list(blocks.cut_blocks(47, 47, 10)) == []


def test_eval_step_ignores_padding(make_config, spec):
    objective = objectives.make(make_config("vae"), spec)
    params = objective.init(jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (4, 4, 4, 1))
    eval_step = elbo.make_eval_step(objective)
    valid = jnp.array([1.0, 1.0, 0.0, 0.0])
    other = x.at[2:].set(0.0)
    first, second = (eval_step(params, v, valid, jax.random.key(2)) for v in (x, other))
    assert float(first["count"]) == 2
    chex.assert_trees_all_equal(first, second)
    total = first["reconstruction"] + first["kl_z"]
    np.testing.assert_allclose(first["elbo"], -total, rtol=1e-6)


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(ConfigError, match="at most 1"):
        sharding.make_mesh(2, 8)


_SHARDED = """
import jax
from infovae_jax import config as config_lib
from infovae_jax.training import loop
from infovae_jax.training.run import claim_workdir, open_run
import sys, pathlib
config = config_lib.load_config_file("configs/infocatvae.py")
config.network.encoder_hidden = config.network.decoder_hidden = (16,)
config.network.kind = sys.argv[3]
config.network.conv_channels, config.network.conv_hidden = (4, 8), 16
config.train.num_epochs = 5
config.train.num_devices = int(sys.argv[1])
config = config_lib.from_json(config_lib.to_json(config))
run = open_run(config, say=lambda text: None)
folder = pathlib.Path(sys.argv[2])
claim_workdir(config, folder)
mesh = run.make_mesh()
state = loop.train(run, folder, mesh)
print(mesh.size, len(jax.tree.leaves(state.params)[0].sharding.device_set))
"""


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_two_devices_train_as_one(tmp_path, kind):
    from infovae_jax.training.metrics import read_metrics

    # NPROC: XLA's pool needs more threads than virtual devices, or collectives hang.
    env = {
        **os.environ,
        "XLA_FLAGS": forked.xla_flags("--xla_force_host_platform_device_count=2"),
        "NPROC": "16",
    }
    losses = []
    for count in (1, 2):
        folder = tmp_path / str(count)
        command = [sys.executable, "-c", _SHARDED, count, folder, kind]
        done = forked.run(command, env=env, timeout=240)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == [str(count), str(count)]
        losses.append([row["term/reconstruction"] for row in read_metrics(folder)])
    assert len(losses[0]) == 5
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
