"""What every objective must satisfy; found by discovery, none is listed here."""

import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jitted import jitted

from infovae_jax import config as config_lib
from infovae_jax import objectives
from infovae_jax.errors import ConfigError
from infovae_jax.training import train_step

KEY = jax.random.key(0)


# Those of other packages are named by INFOVAE_OBJECTIVES, with spaces between.
OTHERS = os.environ.get("INFOVAE_OBJECTIVES", "").split()


@pytest.fixture(params=[*objectives.names(), *OTHERS])
def name(request):
    return request.param


@pytest.fixture
def built(name, make_config, spec):
    config = make_config(name)
    if "input_noise" in config.model:
        config.model.input_noise = 0.0  # noise of the input is in every term
    objective = jitted(objectives.make(config, spec))
    params = objective.init(KEY)
    x = jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))
    return objective, params, x


def test_logged_terms_recompute_the_loss(built):
    objective, params, x = built
    hparams = {k: v * (1.3 + i) for i, (k, v) in enumerate(objective.hparams.items())}
    loss, metrics = objective.loss(params, x, KEY, hparams)
    terms = {
        k.removeprefix("term/"): v for k, v in metrics.items() if k.startswith("term/")
    }
    weights = {k: metrics[f"weight/{k}"] for k in terms}
    assert terms
    for key, weight in weights.items():
        np.testing.assert_allclose(weight, hparams[key], rtol=1e-6)
    total = sum(weights[k] * terms[k] for k in terms)
    np.testing.assert_allclose(total, loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], loss)


def test_loss_is_a_mean_over_the_batch_in_nats(built):
    """Doubling the batch by a copy of itself changes no analytic term."""
    objective, params, x = built
    _, once = objective.loss(params, x, KEY, objective.hparams)
    _, twice = objective.loss(params, jnp.concatenate([x, x]), KEY, objective.hparams)
    np.testing.assert_allclose(once["term/kl_z"], twice["term/kl_z"], rtol=1e-5)
    ratio = twice["term/reconstruction"] / once["term/reconstruction"]
    assert 0.8 < ratio < 1.25


def test_same_key_same_loss_and_another_key_another(built):
    objective, params, x = built
    losses = [
        objective.loss(params, x, jax.random.key(k), objective.hparams)[0]
        for k in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_gradients_are_finite_and_reach_every_parameter(built):
    objective, params, x = built
    grads = jax.grad(lambda p: objective.loss(p, x, KEY, objective.hparams)[0])(params)
    trained, measured = train_step.split_statistics(grads)
    for leaf in jax.tree.leaves(measured):
        assert float(jnp.abs(leaf).max()) == 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(trained):
        assert bool(jnp.isfinite(leaf).all()), path
        assert float(jnp.abs(leaf).max()) > 0, path


def test_functions_take_one_example_or_a_batch(built):
    objective, params, x = built
    q, one = objective.encode(params, x), objective.encode(params, x[2])
    np.testing.assert_allclose(q.mean[2], one.mean, atol=1e-5)
    chex.assert_shape(q.mean, (6, objective.latent_dim))
    image = objective.decode(params, q.mean)
    assert image.shape == x.shape
    np.testing.assert_allclose(image[2], objective.decode(params, one.mean), atol=1e-5)
    if objective.classify is not None:
        logits = objective.classify(params, x)
        chex.assert_shape(logits, (6, objective.prior.mean.shape[0]))


def test_samples_are_images_in_range(built):
    objective, params, x = built
    images = objective.sample(KEY, params, 5)
    chex.assert_shape(images, (5, *x.shape[1:]))
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    assert objective.sample(KEY, params, 3, 0).shape == (3, *x.shape[1:])


def test_the_elbo_terms_are_those_of_one_example(built):
    objective, params, x = built
    terms = objective.elbo(params, x[0], KEY)
    assert "reconstruction" in terms
    assert all(value.shape == () for value in terms.values())
    assert all(float(value) >= -1e-5 for value in terms.values())


def test_the_bound_is_below_the_importance_weighted_one(built):
    objective, params, x = built
    keys = jax.random.split(KEY, 2000)
    elbo = -jax.vmap(lambda k: sum(objective.elbo(params, x[0], k).values()))(keys)
    log_w = jax.vmap(lambda k: objective.log_weight(params, x[0], k))(keys)
    bound = jax.nn.logsumexp(log_w) - np.log(len(keys))
    assert elbo.mean() - 4 * elbo.std() / np.sqrt(len(keys)) <= bound


def test_training_lowers_the_loss(built):
    objective, _, x = built
    optimizer = optax.adam(1e-2)
    state = train_step.init_train_state(objective, optimizer, 0)
    step = jax.jit(train_step.make_train_step(objective, optimizer, {}))
    state, first = step(state, x)
    for _ in range(60):
        state, last = step(state, x)
    assert float(last["loss"]) < float(first["loss"]) - 0.3
    assert int(state.step) == 61


def test_weights_are_traced_so_a_population_is_a_vmap(built):
    objective, params, x = built
    weights = jnp.array([0.5, 1.0, 2.0])

    def loss(weight):
        return objective.loss(params, x, KEY, {**objective.hparams, "kl_z": weight})[0]

    together = jax.jit(jax.vmap(loss))(weights)
    np.testing.assert_allclose(together, [loss(w) for w in weights], rtol=1e-4)


def test_unknown_keys_are_named_with_the_nearest(name, make_config):
    config = make_config(name)
    config.model.latent_dims = 4
    with pytest.raises(ConfigError, match="did you mean 'latent_dim'"):
        objectives.check(config)
    config = make_config(name)
    config.weights.kl_zz = 4
    with pytest.raises(ConfigError, match="did you mean 'kl_z'"):
        objectives.check(config)


def test_shipped_config_passes_its_checks(name, make_config):
    config = make_config(name)
    config_lib.check(config)
    objectives.check(config)
    module = objectives.load(name)
    assert set(config.model) == set(module.Config.__dataclass_fields__)
    assert set(config.weights) == set(module.HPARAMS)
