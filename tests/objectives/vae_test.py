"""VAE: closed forms of a linear-Gaussian model."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from infovae_jax import config as config_lib
from infovae_jax import distributions
from infovae_jax.evaluation import density
from infovae_jax.objectives import vae
from infovae_jax.types import DataSpec

KEY = jax.random.key(0)
SIGMA = 0.7


def linear_gaussian_vae(make_config):
    """A linear VAE with its exact posterior where W has orthogonal columns.

    Returns the objective, its parameters, data [n, 1, 5, 1] and exact log p(x) [n].
    """
    config = make_config("vae", latent_dim=2, scale=SIGMA)
    config.network.encoder_hidden = config.network.decoder_hidden = ()
    spec = DataSpec((1, 5, 1), "float32", "gaussian", 64, 0, False)
    objective = vae.make(config_lib.from_json(config_lib.to_json(config)), spec)
    params = objective.init(KEY)
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(5, 2)))
    loading = (basis * [2.0, 0.8]).astype(np.float32)  # [5, 2]
    offset = rng.normal(size=5).astype(np.float32)
    precision = 1.0 + (loading**2).sum(0) / SIGMA**2  # of the posterior, diagonal
    to_mean = loading / SIGMA**2 / precision  # [5, 2]
    mean_bias, log_var = -offset @ to_mean, -np.log(precision)

    def fill_head(leaf):
        if leaf.ndim == 2:
            return jnp.concatenate([to_mean, 0 * to_mean], 1).reshape(leaf.shape)
        return jnp.concatenate([mean_bias, log_var]).reshape(leaf.shape)

    params["posterior"] = jax.tree.map(fill_head, params["posterior"])
    params["decoder"] = jax.tree.map(
        lambda leaf: jnp.asarray(loading.T if leaf.ndim == 2 else offset),
        params["decoder"],
    )
    x = rng.multivariate_normal(offset, loading @ loading.T + SIGMA**2 * np.eye(5), 40)
    exact = stats.multivariate_normal(
        offset, loading @ loading.T + SIGMA**2 * np.eye(5)
    )
    return (
        objective,
        params,
        jnp.asarray(x, jnp.float32).reshape(-1, 1, 5, 1),
        exact.logpdf(x),
    )


def test_elbo_with_the_exact_posterior_is_the_evidence(make_config):
    objective, params, x, evidence = linear_gaussian_vae(make_config)
    keys = jax.random.split(KEY, 4000)
    draws = jax.vmap(lambda k: -sum(objective.elbo(params, x[0], k).values()))(keys)
    error = draws.std() / np.sqrt(len(keys))
    assert abs(draws.mean() - evidence[0]) < 4 * error


def test_every_importance_weight_of_the_exact_posterior_is_the_evidence(make_config):
    objective, params, x, evidence = linear_gaussian_vae(make_config)
    weights = jax.vmap(lambda k: objective.log_weight(params, x[3], k))(
        jax.random.split(KEY, 50)
    )
    np.testing.assert_allclose(weights, evidence[3], atol=1e-3)


def test_importance_weighted_bound_reaches_the_evidence_from_a_wrong_posterior(
    make_config,
):
    """k = 5,000 within 0.01 nat of the closed form, and not above by chance."""
    objective, params, x, evidence = linear_gaussian_vae(make_config)
    # A posterior widened and shifted: the bound must make up for it.
    params["posterior"] = jax.tree.map(
        lambda leaf: leaf + 0.3 if leaf.ndim == 1 else leaf, params["posterior"]
    )
    keys = jax.random.split(KEY, 2000)
    elbo = jax.vmap(
        jax.vmap(lambda v, k: -sum(objective.elbo(params, v, k).values()), (0, None)),
        (None, 0),
    )(x, keys)
    assert (evidence - elbo.mean(0)).mean() > 0.1
    bound = density.make_importance_weighted_bound(objective, 5000)
    difference = np.asarray(bound(params, x, KEY).log_prob) - evidence
    assert abs(difference.mean()) < 0.01
    assert difference.mean() < 4 * difference.std() / np.sqrt(len(difference))


def test_kl_uses_the_standard_normal(make_config, spec):
    objective = vae.make(make_config("vae", latent_dim=3), spec)
    params = objective.init(KEY)
    x = jax.random.uniform(KEY, (4, 4, 1))
    q = objective.encode(params, x)
    prior = distributions.Gaussian(jnp.zeros(3), jnp.zeros(3))
    found = objective.elbo(params, x, KEY)["kl_z"]
    np.testing.assert_allclose(found, distributions.gaussian_kl(q, prior), rtol=1e-6)


def test_samples_follow_the_prior(make_config):
    objective, params, _, _ = linear_gaussian_vae(make_config)
    samples = objective.sample(KEY, params, 4000).reshape(4000, 5)
    weights = jax.tree.leaves(params["decoder"])
    offset, loading = sorted(weights, key=lambda w: w.ndim)
    np.testing.assert_allclose(samples.mean(0), offset, atol=0.15)
    np.testing.assert_allclose(np.cov(samples.T), loading.T @ loading, atol=0.3)
