"""K shifted Gaussians by matrix products, against each of them alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax.distributions import Gaussian, cluster_gaussians
from infovae_jax.distributions.cluster_gaussians import ShiftedGaussians
from infovae_jax.objectives import catvae

KEY = jax.random.key(0)
BATCH, K, DIM = 5, 40, 60


def _make(scale, log_var_scale=1.0, spread=1.0):
    keys = jax.random.split(KEY, 6)
    shared = Gaussian(
        scale * jax.random.normal(keys[0], (BATCH, DIM)),
        log_var_scale * jax.random.normal(keys[1], (BATCH, DIM)),
    )
    shifts = Gaussian(
        scale * spread * jax.random.normal(keys[2], (K, DIM)),
        log_var_scale * jax.random.normal(keys[3], (K, DIM)),
    )
    means = scale * spread * jax.random.normal(keys[4], (K, DIM))
    z = scale * jax.random.normal(keys[5], (BATCH, DIM))
    return ShiftedGaussians(shared, shifts), Gaussian(means, jnp.zeros_like(means)), z


def _oracle(q, prior, z):
    """KL and log-density in float64 from every component of every example."""
    own, shift = (jax.tree.map(lambda a: np.asarray(a, np.float64), part) for part in q)
    mean = own.mean[:, None] + shift.mean[None]
    log_var = own.log_var[:, None] + shift.log_var[None]
    target = np.asarray(prior.mean, np.float64)[None]
    square = (mean - target) ** 2
    kl = 0.5 * (np.exp(log_var) - 1.0 - log_var + square).sum(-1)
    away = (np.asarray(z, np.float64)[:, None] - mean) ** 2 * np.exp(-log_var)
    return kl, -0.5 * (away + log_var + np.log(2 * np.pi)).sum(-1)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_against_every_component_in_double_precision(scale):
    q, prior, z = _make(scale)
    kl, log_prob = _oracle(q, prior, z)
    np.testing.assert_allclose(catvae.kl_per_cluster(q, prior), kl, rtol=1e-5)
    found = cluster_gaussians.log_prob_per_cluster(q, z)
    np.testing.assert_allclose(found, log_prob, rtol=1e-5)
    # The front takes the products for many clusters of this kind, a vmap else.
    expanded = cluster_gaussians.kl_to_unit_variance(q, prior.mean)
    np.testing.assert_array_equal(catvae.kl_per_cluster(q, prior), expanded)
    direct = catvae.kl_per_cluster(cluster_gaussians.components(q), prior)
    np.testing.assert_allclose(direct, kl, rtol=1e-5)


def test_silent_dims_far_from_the_origin_leave_no_rounding():
    """A code of 60 dims near its prior but for a common offset of both means."""
    q, prior, _ = _make(0.1, log_var_scale=0.01, spread=0.1)
    offset = 50.0
    q = q._replace(shared=q.shared._replace(mean=q.shared.mean - offset))
    q = q._replace(shifts=q.shifts._replace(mean=q.shifts.mean + offset))
    kl, _ = _oracle(q, prior, q.shared.mean)
    assert kl.max() < 1.0
    # float32 sums -50 + 50.01 lose digits in any form; no more are lost here.
    np.testing.assert_allclose(catvae.kl_per_cluster(q, prior), kl, rtol=2e-4)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_gradients_equal_those_of_the_vmap(scale):
    q, prior, z = _make(scale)
    weights = jax.random.uniform(jax.random.key(1), (BATCH, K))

    def total(q, form):
        if form == "vmap":
            q = cluster_gaussians.components(q)
            log_prob = jax.vmap(cluster_gaussians.log_prob_per_cluster)(q, z)
        else:
            log_prob = cluster_gaussians.log_prob_per_cluster(q, z)
        return (weights * (catvae.kl_per_cluster(q, prior) + 1e-3 * log_prob)).sum()

    found, expected = (jax.grad(total)(q, form) for form in ("products", "vmap"))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * jnp.abs(b).max())


def test_a_prior_of_other_variances_is_not_expanded():
    q, prior, _ = _make(1.0)
    prior = Gaussian(prior.mean, prior.log_var + 0.5)
    direct = catvae.kl_per_cluster(cluster_gaussians.components(q), prior)
    np.testing.assert_array_equal(catvae.kl_per_cluster(q, prior), direct)


def test_component_picks_rows():
    q, _, _ = _make(1.0)
    c = jax.random.randint(KEY, (BATCH, 3), 0, K)
    found = cluster_gaussians.component(q, c)
    every = cluster_gaussians.components(q)
    for some, full in zip(found, every, strict=True):
        expected = jnp.take_along_axis(full, c[..., None], axis=1)
        np.testing.assert_array_equal(some, expected)
    one = cluster_gaussians.components(
        ShiftedGaussians(jax.tree.map(lambda a: a[2], q.shared), q.shifts)
    )
    np.testing.assert_array_equal(one.mean, every.mean[2])
