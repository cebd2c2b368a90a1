"""Statistics apart from what is trained, and batch normalisation with them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infovae_jax import networks, objectives
from infovae_jax.errors import ConfigError
from infovae_jax.training import train_step
from infovae_jax.types import STATISTICS

KEY = jax.random.key(0)
TREE = {
    "a": {"w": 1, STATISTICS: {"mean": 2}},
    "b": {"w": 3},
    "c": {STATISTICS: {"n": 4}},
    "empty": {},
    "leaf": 5,
}


def test_split_and_merge_are_inverse():
    trained, statistics = train_step.split_statistics(TREE)
    assert trained == {"a": {"w": 1}, "b": {"w": 3}, "empty": {}, "leaf": 5}
    assert statistics == {
        "a": {STATISTICS: {"mean": 2}},
        "c": {STATISTICS: {"n": 4}},
    }
    assert train_step.merge_statistics(trained, statistics) == TREE


@pytest.fixture
def config(make_config):
    config = make_config("vae")
    config.network.normalization = "batch"
    return config


def with_kind(config, kind):
    config.network.kind = kind
    config.network.conv_channels = (4, 6)
    config.network.conv_hidden = 0 if kind == "conv" else 256
    return config


@pytest.mark.long
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_training_takes_batch_moments_and_evaluation_running_ones(config, spec, kind):
    config = with_kind(config, kind)
    network, size = networks.make_encoder(config.network, spec.shape)
    params = network.init(KEY)
    x = 3 + 2 * jax.random.normal(KEY, (64, 4, 4, 1))
    features, statistics = network.train(params, x)
    chex.assert_shape(features, (64, size))
    # Running means and variances after one step: 0.9 old + 0.1 of the batch.
    before = jax.tree.leaves(params[STATISTICS])
    after = jax.tree.leaves(statistics[STATISTICS])
    pairs = zip(before, after, strict=True)
    assert min(float(jnp.abs(a - b).max()) for a, b in pairs) > 1e-3
    for _ in range(200):
        _, statistics = network.train({**params, **statistics}, x)
    settled = network.apply({**params, **statistics}, x)
    np.testing.assert_allclose(settled, features, atol=0.05)
    # Evaluation sees examples one by one.
    alone = network.apply({**params, **statistics}, x[3])
    np.testing.assert_allclose(alone, settled[3], rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_statistics_go_through_the_train_step_and_not_the_optimizer(config, spec, kind):
    objective = objectives.make(with_kind(config, kind), spec)
    optimizer = optax.adamw(1e-2, weight_decay=0.5)
    state = train_step.init_train_state(objective, optimizer, 0)
    assert set(state.model_state) == {"encoder", "decoder"}
    x = jax.random.uniform(KEY, (8, 4, 4, 1))
    step = jax.jit(train_step.make_train_step(objective, optimizer, {}))
    after, metrics = step(state, x)
    assert all(jnp.ndim(value) == 0 for value in metrics.values())
    changed = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()), state.model_state, after.model_state
    )
    assert min(jax.tree.leaves(changed)) > 0
    # As a program of many steps, and as the parameters that an evaluation takes.
    run = jax.jit(train_step.make_multi_step(step))
    many, _ = run(state, x, jnp.tile(jnp.arange(8), (20, 1)))
    image = objective.decode(train_step.variables(many), jnp.zeros(20))
    chex.assert_tree_all_finite(image)
    q = objective.encode(train_step.variables(many), x)
    chex.assert_shape(q.mean, (8, 20))


@pytest.mark.parametrize("name", ["catvae", "infocatvae", "n_vae", "iwae"])
def test_objectives_without_one_batch_refuse_it(make_config, spec, name):
    config = make_config(name)
    config.network.normalization = "batch"
    with pytest.raises(ConfigError, match="normalization"):
        objectives.make(config, spec)
