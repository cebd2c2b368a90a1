"""Likelihoods against quadrature, sums over levels and their own samples."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jitted import jitted
from scipy import integrate
from scipy import stats as scipy_stats

from infovae_jax import objectives
from infovae_jax.distributions.likelihoods import (
    LIKELIHOODS,
    continuous_bernoulli_log_normalizer,
    make_likelihood,
)
from infovae_jax.errors import ConfigError
from infovae_jax.training import train_step
from infovae_jax.types import DataSpec

KEY = jax.random.key(0)
NAMES = list(LIKELIHOODS)
LEARNED = ("learned_gaussian", "discretized_logistic", "mixed")


def make(name, scale=0.3, levels=5):
    spec = DataSpec((1, 1, 1), "float32", name, 10, 0, False, levels)
    likelihood = make_likelihood(spec, scale)
    return likelihood, likelihood.init()


def one(value):
    return jnp.full((1, 1, 1), value, jnp.float32)


@pytest.mark.parametrize("logit", [-30.0, -3.0, -0.021, -0.01, 0.0, 0.015, 1.0, 25.0])
def test_continuous_bernoulli_is_a_density_with_its_mean(logit):
    likelihood, params = make("continuous_bernoulli")

    def density(x):
        return float(jnp.exp(likelihood.log_prob(params, one(logit), one(x))))

    total, _ = integrate.quad(density, 0, 1, limit=200, epsabs=1e-6)
    mean, _ = integrate.quad(lambda x: x * density(x), 0, 1, limit=200, epsabs=1e-6)
    np.testing.assert_allclose(total, 1.0, atol=3e-5)
    np.testing.assert_allclose(likelihood.mean(one(logit)), mean, atol=3e-5)
    keys = jax.random.split(KEY, 20_000)
    draws = jax.vmap(lambda k: likelihood.sample(k, params, one(logit)))(keys)
    assert float(draws.min()) >= 0
    assert float(draws.max()) <= 1
    assert abs(float(draws.mean()) - mean) < 4 * float(draws.std()) / np.sqrt(20_000)


def test_continuous_bernoulli_normalizer_has_finite_gradients_everywhere():
    logits = jnp.array([-500.0, -0.02, -1e-8, 0.0, 1e-8, 0.02, 500.0])
    gradient = jax.vmap(jax.grad(continuous_bernoulli_log_normalizer))(logits)
    chex.assert_tree_all_finite(gradient)
    np.testing.assert_allclose(gradient[3], 0.0, atol=1e-6)
    np.testing.assert_allclose(gradient, -gradient[::-1], rtol=1e-4)  # odd
    at_zero = continuous_bernoulli_log_normalizer(jnp.zeros(()))
    np.testing.assert_allclose(at_zero, np.log(2.0), rtol=1e-6)


@pytest.mark.parametrize("location", [-2.0, 0.0, 0.4, 1.0, 5.0])
@pytest.mark.parametrize("scale", [0.02, 0.3])
def test_discretized_logistic_sums_to_one_over_its_levels(location, scale):
    likelihood, params = make("discretized_logistic", scale)
    levels = np.linspace(0, 1, 5)
    log_p = np.array(
        [float(likelihood.log_prob(params, one(location), one(v))) for v in levels]
    )
    chex.assert_tree_all_finite(log_p)
    np.testing.assert_allclose(np.exp(log_p).sum(), 1.0, atol=1e-5)
    # In float64, by the distribution function, where the difference is not lost.
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    exact = np.diff(scipy_stats.logistic.cdf(edges, location, scale))
    np.testing.assert_allclose(np.exp(log_p), exact, atol=1e-5)


def test_discretized_logistic_draws_levels_with_their_probability():
    likelihood, params = make("discretized_logistic", 0.2)
    keys = jax.random.split(KEY, 20_000)
    draws = jax.vmap(lambda k: likelihood.sample(k, params, one(0.4)))(keys).ravel()
    for level in np.linspace(0, 1, 5):
        p = float(jnp.exp(likelihood.log_prob(params, one(0.4), one(level))))
        share = float((jnp.abs(draws - level) < 1e-6).mean())
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / 20_000) + 1e-6


def test_learned_gaussian_starts_fixed_and_is_best_at_the_mean_square_error():
    learned, params = make("learned_gaussian", 0.3)
    fixed, _ = make("gaussian", 0.3)
    x = jax.random.uniform(KEY, (50, 4, 4, 1))
    outputs = jnp.full_like(x, 0.4)
    np.testing.assert_allclose(
        learned.log_prob(params, outputs, x), fixed.log_prob({}, outputs, x), rtol=1e-5
    )
    root = np.sqrt(float(((x - 0.4) ** 2).mean()))
    at_best, best = make("learned_gaussian", root)

    def loss(p):
        return -at_best.log_prob(p, outputs, x).mean()

    np.testing.assert_allclose(
        jax.grad(loss)(best)["likelihood"]["log_scale"], 0.0, atol=1e-2
    )
    draws = at_best.sample(KEY, best, jnp.zeros((100, 100, 1)))
    np.testing.assert_allclose(draws.std(), root, rtol=0.03)


@pytest.mark.long
@pytest.mark.parametrize("likelihood", NAMES)
@pytest.mark.parametrize("name", ["vae", "catvae", "infomax_vae", "n_vae"])
def test_objectives_train_with_every_likelihood(make_config, spec, name, likelihood):
    config = make_config(name)
    spec = spec._replace(likelihood=likelihood, levels=17)
    objective = jitted(objectives.make(config, spec))
    params = objective.init(KEY)
    assert ("likelihood" in params) == (likelihood in LEARNED)
    x = jnp.round(jax.random.uniform(KEY, (6, 4, 4, 1)) * 16) / 16

    def loss(p):
        return objective.loss(p, x, KEY, objective.hparams)[0]

    gradient, _ = train_step.split_statistics(jax.jit(jax.grad(loss))(params))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert bool(jnp.isfinite(leaf).all()), path
        assert float(jnp.abs(leaf).max()) > 0, path
    draws = objective.draw(KEY, params, objective.encode(params, x).mean)
    assert draws.shape == x.shape
    assert bool(jnp.isfinite(objective.log_weight(params, x[0], KEY)))


def test_levels_that_the_data_do_not_have_are_refused(make_config):
    from infovae_jax.training.run import open_run

    config = make_config("vae")
    config.data.likelihood = "discretized_logistic"
    config.data.levels = 16
    with pytest.raises(ConfigError, match="none of 16 levels"):
        open_run(config, say=lambda text: None)
    config.data.levels = 17
    run = open_run(config, say=lambda text: None)
    assert run.dataset.spec.likelihood == "discretized_logistic"
    assert "17 grey levels" in run.dataset.decision
