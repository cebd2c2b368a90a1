"""beta-VAE, epsilon-VAE, InfoVAE and VIMAE: special cases of one another."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import distributions, objectives, priors
from infovae_jax.distributions import Gaussian
from infovae_jax.errors import ConfigError

KEY = jax.random.key(0)


@pytest.fixture
def x():
    return jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))


def value_and_grad(name, make_config, spec, x, weights, **model):
    objective = objectives.make(make_config(name, **model), spec)
    params = objective.init(KEY)
    weights = {**objective.hparams, **weights}
    return jax.value_and_grad(lambda p: objective.loss(p, x, KEY, weights)[0])(params)


@pytest.mark.parametrize(
    ("name", "weights", "beta"),
    [
        ("beta_vae", {"kl_z": 1.0}, 1.0),
        ("epsilon_vae", {"kl_z": 1.0}, 1.0),
        ("epsilon_vae", {}, 0.1),
        ("info_vae", {"kl_z": 1.0, "mmd": 0.0}, 1.0),  # alpha 0, lambda 1
        ("info_vae", {"kl_z": 3.0, "mmd": 0.0}, 3.0),  # alpha 1 - b, lambda b
    ],
)
def test_special_cases_are_the_beta_vae(make_config, spec, x, name, weights, beta):
    ours = value_and_grad(name, make_config, spec, x, weights)
    plain = value_and_grad("vae", make_config, spec, x, {"kl_z": beta})
    chex.assert_trees_all_close(ours, plain, rtol=1e-5)


def test_info_vae_without_rate_is_the_vimae(make_config, spec, x):
    weights = {"kl_z": 0.0, "mmd": 7.0}
    ours = value_and_grad(
        "info_vae", make_config, spec, x, weights, latent_dim=8, kernel="imq"
    )
    vimae = value_and_grad("vimae", make_config, spec, x, weights, kernel="imq")
    chex.assert_trees_all_close(ours, vimae, rtol=1e-5)


def test_mmd_sends_no_gradient_to_the_decoder(make_config, spec, x):
    weights = {"reconstruction": 0.0, "mmd": 7.0, "kl_z": 0.0}
    for prior in priors.PRIORS:
        _, gradient = value_and_grad(
            "vimae", make_config, spec, x, weights, prior=prior
        )
        for leaf in jax.tree.leaves(gradient["decoder"]):
            assert float(jnp.abs(leaf).max()) == 0
        assert float(jnp.abs(gradient["posterior"]["features"]["kernel"]).max()) > 0


@pytest.mark.long
def test_training_matches_the_aggregate_posterior_to_the_prior(make_config, spec):
    """After training, U is a small part of that of the untrained encoder."""
    import optax

    from infovae_jax import information
    from infovae_jax.training import train_step

    data = jax.random.uniform(jax.random.key(2), (256, 4, 4, 1))
    objective = objectives.make(make_config("vimae", latent_dim=2), spec)
    optimizer = optax.adam(3e-3)
    state = train_step.init_train_state(objective, optimizer, 0)

    def discrepancy(params):
        q = objective.encode(params, data)
        z = distributions.gaussian_sample(KEY, q)
        return information.mmd(z, jax.random.normal(jax.random.key(3), z.shape))

    before = discrepancy(state.params)
    # Start off the prior, as an encoder of other scale would.
    bias = state.params["posterior"]["features"]["bias"]
    state.params["posterior"]["features"]["bias"] = bias.at[:2].add(3.0)
    before = discrepancy(state.params)
    run = jax.jit(
        train_step.make_multi_step(train_step.make_train_step(objective, optimizer, {}))
    )
    indices = jax.random.randint(KEY, (400, 64), 0, 256)
    state, _ = run(state, data, indices)
    assert discrepancy(state.params) < 0.05 * before


def test_logistic_prior_rate_is_the_quadrature(make_config, spec, x):
    objective = objectives.make(make_config("vimae", prior="logistic"), spec)
    params = objective.init(KEY)
    prior = priors.make_prior("logistic", 8)
    q = objective.encode(params, x[0])
    np.testing.assert_allclose(
        objective.elbo(params, x[0], KEY)["kl_z"], prior.kl(q), rtol=1e-6
    )
    z = distributions.gaussian_sample(KEY, Gaussian(q.mean, q.log_var))
    draws = jax.vmap(lambda k: distributions.gaussian_sample(k, q))(
        jax.random.split(KEY, 20_000)
    )
    ratio = distributions.gaussian_log_prob(q, draws) - prior.log_prob(draws)
    error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - prior.kl(q)) < 4 * error
    chex.assert_shape(z, (8,))


@pytest.mark.parametrize(
    ("name", "entropy"), [("normal", 1.418939), ("logistic", 1.404576)]
)
def test_priors_integrate_to_one_with_their_moments_and_entropy(name, entropy):
    prior = priors.make_prior(name, 1)
    grid = jnp.linspace(-40, 40, 400_001)
    density = np.exp(np.asarray(prior.log_prob(grid[:, None]), np.float64))
    step = 80 / 400_000
    assert abs(density.sum() * step - 1) < 1e-4
    variance = (density * np.asarray(grid, np.float64) ** 2).sum() * step
    np.testing.assert_allclose(variance, prior.variance, rtol=1e-3)
    z = prior.sample(KEY, (200_000, 1))
    np.testing.assert_allclose(z.var(), prior.variance, rtol=0.02)
    np.testing.assert_allclose(-prior.log_prob(z).mean(), entropy, atol=0.01)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("vimae", "prior", "norml"),
        ("vimae", "kernel", "gauss"),
        ("vimae", "logistic_scale", -1.0),
        ("info_vae", "kernel", "gauss"),
        ("beta_vae", "latent_dim", 0),
        ("epsilon_vae", "scale", 0.0),
    ],
)
def test_bad_options(make_config, name, key, value):
    with pytest.raises(ConfigError, match=f"{value}"):
        objectives.check(make_config(name, **{key: value}))
