"""Annealing on models whose evidence is known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats as scipy_stats

from infovae_jax import objectives
from infovae_jax.evaluation import annealing

KEY = jax.random.key(0)


@pytest.fixture
def linear(make_config, spec):
    """x = W z + b + noise of deviation 0.5: a VAE with a linear decoder."""
    config = make_config("vae", latent_dim=3, scale=0.5)
    config.network.decoder_hidden = ()
    objective = objectives.make(config, spec._replace(likelihood="gaussian"))
    params = objective.init(KEY)
    weights = np.asarray(params["decoder"]["outputs"]["kernel"])
    bias = np.asarray(params["decoder"]["outputs"]["bias"])
    evidence = scipy_stats.multivariate_normal(
        bias, weights.T @ weights + 0.25 * np.eye(16)
    )
    return objective, params, evidence


def test_temperatures_rise_from_zero_to_one():
    betas = annealing.temperatures(100)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (np.diff(betas) > 0).all()
    np.testing.assert_allclose(betas + betas[::-1], 1.0, atol=1e-6)


def test_leapfrog_goes_back_where_it_came_from():
    def gradient(z):
        return -(z**3)

    z, momentum = jnp.array([1.0, -0.5]), jnp.array([0.3, 0.7])
    there = annealing.leapfrog(gradient, z, momentum, 0.05, 20)
    back = annealing.leapfrog(gradient, there[0], -there[1], 0.05, 20)
    np.testing.assert_allclose(back[0], z, atol=1e-5)
    np.testing.assert_allclose(back[1], -momentum, atol=1e-5)


def test_moves_leave_their_target_alone():
    """10,000 exact draws of N(2, 0.25) stay such after five large moves."""

    def log_density(z):
        return -0.5 * ((z - 2.0) ** 2 / 0.25).sum()

    z = 2.0 + 0.5 * jax.random.normal(KEY, (10_000, 1))
    shares = []
    for number in range(5):
        keys = jax.random.split(jax.random.fold_in(KEY, number), len(z))
        z, share = jax.vmap(
            lambda k, c: annealing.hmc_move(log_density, k, c, jnp.float32(0.9), 3)
        )(keys, z)
        shares.append(float(share.mean()))
    assert 0.2 < np.mean(shares) < 0.99  # moves are refused, or there is no test
    p = scipy_stats.kstest(np.asarray(z).ravel(), "norm", (2.0, 0.5)).pvalue
    assert p > 1e-3


@pytest.mark.long
def test_both_sides_meet_the_evidence(linear):
    objective, params, evidence = linear
    z = objective.sample_code(KEY, params, 12)
    x = objective.draw(jax.random.key(1), params, z)
    exact = evidence.logpdf(np.asarray(x).reshape(12, 16))
    forward, backward = annealing.make_annealing(objective, 300, 32)
    below = forward(params, x, jax.random.key(2))
    above = backward(params, x, z, jax.random.key(3))
    assert float(below.acceptance) > 0.4
    np.testing.assert_allclose(below.log_prob, exact, atol=0.4)
    np.testing.assert_allclose(above.log_prob, exact, atol=0.4)
    np.testing.assert_allclose(below.log_prob.mean(), exact.mean(), atol=0.08)
    np.testing.assert_allclose(above.log_prob.mean(), exact.mean(), atol=0.08)


@pytest.mark.long
def test_more_temperatures_close_the_gap(linear):
    objective, params, _ = linear
    gaps = []
    for num in (5, 100):
        forward, backward = annealing.make_annealing(objective, num, 2, 3)
        found = annealing.bidirectional_gap(
            objective, params, forward, backward, 40, KEY
        )
        assert found["gap"] == pytest.approx(found["upper"] - found["lower"], abs=1e-3)
        gaps.append(found["gap"])
    assert gaps[0] > 2 * max(gaps[1], 0.0)
    assert gaps[0] > 0


@pytest.mark.long
@pytest.mark.parametrize("name", ["catvae", "n_vae", "infomax_vae", "vimae"])
def test_importance_sampling_and_annealing_agree(make_config, spec, name):
    """Untrained posteriors near the prior: 4,000 samples are exact enough."""
    near = {
        "catvae": {"separation": 0.5},
        "infomax_vae": {"proposal_scale": 1.0, "latent_dim": 5},
        "vimae": {"prior": "logistic"},
    }
    config = make_config(name, **near.get(name, {}))
    objective = objectives.make(config, spec)
    params = objective.init(KEY)
    x = jax.random.uniform(KEY, (4, 4, 4, 1))
    forward, _ = annealing.make_annealing(objective, 100, 8, 5)
    found = forward(params, x, KEY).log_prob
    keys = jax.random.split(KEY, 4000)
    for image, value in zip(x, found, strict=True):
        log_w = jax.vmap(lambda k, a=image: objective.log_weight(params, a, k))(keys)
        exact = jax.nn.logsumexp(log_w) - np.log(4000)
        np.testing.assert_allclose(value, exact, atol=0.15)
