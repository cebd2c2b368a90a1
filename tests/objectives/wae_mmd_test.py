"""WAE-MMD: an encoder without noise, and the limit of its relatives."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import distributions, information, objectives
from infovae_jax.errors import ConfigError

KEY = jax.random.key(0)


@pytest.fixture
def x():
    return jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))


def build(make_config, spec, name="wae_mmd", **model):
    objective = objectives.make(make_config(name, **model), spec)
    return objective, objective.init(KEY)


def test_without_the_mmd_it_is_an_autoencoder(make_config, spec, x):
    objective, params = build(make_config, spec, input_noise=0.0)
    weights = {**objective.hparams, "mmd": 0.0}
    losses = [objective.loss(params, x, jax.random.key(k), weights)[0] for k in (0, 1)]
    assert losses[0] == losses[1]
    image = objective.decode(params, objective.encode(params, x).mean)
    p = distributions.Bernoulli(jnp.log(image / (1 - image)).reshape(6, -1))
    cost = -distributions.bernoulli_log_prob(p, x.reshape(6, -1)).mean()
    np.testing.assert_allclose(losses[0], cost, rtol=1e-4)


def test_the_mmd_is_that_of_the_codes_themselves(make_config, spec, x):
    objective, params = build(make_config, spec, input_noise=0.0)
    _, metrics = objective.loss(params, x, KEY, objective.hparams)
    codes = objective.encode(params, x).mean
    draws = jax.random.normal(jax.random.fold_in(KEY, 2**31 - 1), codes.shape)
    np.testing.assert_allclose(
        metrics["term/mmd"], information.mmd(codes, draws), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("encoder", ["deterministic", "gaussian"])
def test_it_is_the_vimae_of_a_normal_prior(make_config, spec, x, encoder):
    switches = {"encoder": encoder, "input_noise": 0.0}
    ours, params = build(make_config, spec, **switches)
    vimae, _ = build(make_config, spec, "vimae", **switches)
    for gradient in (False, True):
        function = jax.grad if gradient else lambda f: f
        pair = [
            function(lambda p, o=o: o.loss(p, x, KEY, ours.hparams)[0])(params)
            for o in (ours, vimae)
        ]
        chex.assert_trees_all_close(*pair, rtol=1e-5)


def test_input_noise_is_for_the_encoder_alone(make_config, spec, x):
    quiet, params = build(make_config, spec, input_noise=0.0)
    noisy, _ = build(make_config, spec, input_noise=0.5)
    weights = {**quiet.hparams, "mmd": 0.0}
    without = quiet.loss(params, x, KEY, weights)[0]
    some = {float(noisy.loss(params, x, jax.random.key(k), weights)[0]) for k in (0, 1)}
    assert len(some | {float(without)}) == 3
    # With the decoder deaf to the code the noise changes nothing.
    params["decoder"]["dense_0"]["kernel"] *= 0.0
    np.testing.assert_allclose(
        noisy.loss(params, x, KEY, weights)[0], quiet.loss(params, x, KEY, weights)[0]
    )
    np.testing.assert_array_equal(
        noisy.encode(params, x).mean, quiet.encode(params, x).mean
    )


def test_proposal_scale_is_of_the_evaluation_only(make_config, spec, x):
    narrow, params = build(make_config, spec, proposal_scale=0.01)
    wide, _ = build(make_config, spec, proposal_scale=0.5)
    grads = [
        jax.grad(lambda p, o=o: o.loss(p, x, KEY, o.hparams)[0])(params)
        for o in (narrow, wide)
    ]
    chex.assert_trees_all_equal(*grads)
    q = wide.encode(params, x)
    np.testing.assert_allclose(jnp.exp(0.5 * q.log_var), 0.5, rtol=1e-5)
    rates = [float(o.elbo(params, x[0], KEY)["kl_z"]) for o in (narrow, wide)]
    assert rates[0] > rates[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder", "gausian"),
        ("kernel", "imqq"),
        ("proposal_scale", 0.0),
        ("input_noise", -1.0),
    ],
)
def test_bad_options(make_config, key, value):
    config = make_config("wae_mmd", **{key: value})
    with pytest.raises(ConfigError, match=f"config.model.{key}"):
        objectives.check(config)
