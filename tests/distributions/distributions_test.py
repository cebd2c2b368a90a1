"""Distributions against scipy, quadrature and their own samples."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from infovae_jax import distributions as dist

UNIT_SCALE = float(np.sqrt(3.0) / np.pi)  # logistic scale of unit variance


def _gaussians(seed=0, shape=(5, 3)):
    keys = jax.random.split(jax.random.key(seed), 4)
    q = dist.Gaussian(*(jax.random.normal(k, shape) for k in keys[:2]))
    p = dist.Gaussian(*(jax.random.normal(k, shape) for k in keys[2:]))
    return q, p


def test_gaussian_log_prob_matches_scipy():
    q, p = _gaussians()
    z = p.mean
    expected = stats.norm(q.mean, np.exp(0.5 * q.log_var)).logpdf(z).sum(-1)
    np.testing.assert_allclose(dist.gaussian_log_prob(q, z), expected, rtol=1e-5)


def test_gaussian_kl_matches_quadrature():
    q, p = _gaussians(shape=(1, 1))

    def integrand(z):
        density_q = stats.norm(q.mean[0, 0], np.exp(0.5 * q.log_var[0, 0]))
        density_p = stats.norm(p.mean[0, 0], np.exp(0.5 * p.log_var[0, 0]))
        return density_q.pdf(z) * (density_q.logpdf(z) - density_p.logpdf(z))

    expected, _ = integrate.quad(integrand, -20, 20, points=[float(q.mean[0, 0])])
    np.testing.assert_allclose(dist.gaussian_kl(q, p)[0], expected, rtol=1e-5)


def test_gaussian_kl_of_itself_is_zero_even_for_tiny_variance():
    q = dist.Gaussian(jnp.ones((2, 4)), jnp.full((2, 4), -80.0))
    np.testing.assert_array_equal(dist.gaussian_kl(q, q), 0.0)


def test_gaussian_sample_moments():
    q = dist.Gaussian(jnp.full((20000, 2), 1.5), jnp.full((20000, 2), jnp.log(4.0)))
    z = dist.gaussian_sample(jax.random.key(1), q)
    np.testing.assert_allclose(z.mean(0), 1.5, atol=4 * 2 / np.sqrt(20000))
    np.testing.assert_allclose(z.std(0), 2.0, rtol=0.03)


def test_logistic_log_prob_matches_scipy_and_integrates_to_one():
    p = dist.Logistic(jnp.array([0.5]), jnp.array([UNIT_SCALE]))
    z = jnp.linspace(-30, 30, 13)[:, None]
    expected = stats.logistic(0.5, UNIT_SCALE).logpdf(z[:, 0])
    found = dist.logistic_log_prob(dist.Logistic(0.5, UNIT_SCALE), z)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

    def density(value):
        return float(jnp.exp(dist.logistic_log_prob(p, jnp.array([value]))))

    total, _ = integrate.quad(density, -20, 20, points=[0.5])
    assert abs(total - 1.0) < 1e-5


def test_logistic_samples_follow_the_distribution():
    z = dist.logistic_sample(jax.random.key(0), dist.Logistic(0.0, UNIT_SCALE), (5000,))
    assert stats.kstest(np.asarray(z), stats.logistic(0, UNIT_SCALE).cdf).pvalue > 0.01
    chex.assert_tree_all_finite(z)


@pytest.mark.parametrize(
    ("mean", "sigma", "unit", "standard"),
    [  # adaptive quadrature
        (0.0, 1.0, 0.01049650, 0.19317983),
        (1.0, 0.5, 0.89743320, 0.94930922),
        (2.0, 0.1, 3.96912275, 3.13855349),
        (-3.0, 1.5, 3.15670813, 1.40821188),
    ],
)
def test_gaussian_logistic_kl_reference_values(mean, sigma, unit, standard):
    q = dist.Gaussian(jnp.array([mean]), jnp.array([2 * np.log(sigma)], jnp.float32))
    for scale, expected in ((UNIT_SCALE, unit), (1.0, standard)):
        found = dist.gaussian_logistic_kl(q, dist.Logistic(0.0, scale))
        np.testing.assert_allclose(found, expected, atol=3e-6)


def test_bernoulli_log_prob_is_stable_and_matches_scipy():
    logits = jnp.array([-1e4, -3.0, 0.0, 3.0, 1e4])
    x = jnp.array([0.0, 1.0, 0.0, 1.0, 1.0])
    expected = stats.bernoulli(jax.nn.sigmoid(logits[1:4])).logpmf(x[1:4]).sum()
    found = dist.bernoulli_log_prob(dist.Bernoulli(logits), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    wrong = dist.bernoulli_log_prob(dist.Bernoulli(logits[4:]), jnp.zeros(1))
    np.testing.assert_allclose(wrong, -1e4)


def test_categorical_kl_uniform_ends_of_its_range():
    one_hot = dist.Categorical(jnp.array([1e4, 0.0, 0.0]))
    np.testing.assert_allclose(dist.categorical_kl_uniform(one_hot), np.log(3))
    flat = dist.Categorical(jnp.zeros(3))
    np.testing.assert_allclose(dist.categorical_kl_uniform(flat), 0.0, atol=1e-6)
    grad = jax.grad(lambda a: dist.categorical_kl_uniform(dist.Categorical(a)))
    chex.assert_tree_all_finite(grad(one_hot.logits))


def test_entropies_match_scipy():
    q, _ = _gaussians()
    expected = stats.norm(q.mean, np.exp(0.5 * q.log_var)).entropy().sum(-1)
    np.testing.assert_allclose(dist.gaussian_entropy(q), expected, rtol=1e-5)
    logits = jnp.array([0.3, -1.0, 2.0])
    expected = stats.entropy(jax.nn.softmax(logits))
    found = dist.categorical_entropy(dist.Categorical(logits))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
