"""Columns of a table against SciPy, sums over values and their own samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from infovae_jax.distributions import columns
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.types import ColumnBlock, DataSpec

KEY = jax.random.key(0)
BLOCKS = (
    ColumnBlock("numeric", 2),
    ColumnBlock("binary", 1),
    ColumnBlock("categorical", 2, 3),
    ColumnBlock("count", 1, 1, (1.0,)),
    ColumnBlock("poisson", 1, 1, (0.5,)),
)
WIDTH = 11


def test_counts_are_those_of_scipy():
    counts, r, mean = np.arange(6.0), 2.5, 3.0
    output = jnp.full((6, 1), np.log(mean) - 1.0)
    own = jnp.array([np.log(r) / 10.0])
    x = jnp.log1p(counts)[:, None]
    got = columns.log_prob(BLOCKS[3], own, output, x)
    want = stats.nbinom.logpmf(counts, r, r / (r + mean))
    np.testing.assert_allclose(got, want, rtol=2e-5)
    output = jnp.full((6, 1), np.log(mean) - 0.5)
    got = columns.log_prob(BLOCKS[4], None, output, x)
    np.testing.assert_allclose(got, stats.poisson.logpmf(counts, mean), rtol=2e-5)


def test_every_count_is_told_apart():
    counts = jnp.arange(100_001.0)
    np.testing.assert_array_equal(columns.counts_of(jnp.log1p(counts)), counts)


@pytest.fixture(scope="module")
def mixed():
    spec = DataSpec((1, WIDTH, 1), "float32", "mixed", 10, 0, False, blocks=BLOCKS)
    return make_likelihood(spec)


@pytest.mark.long
def test_samples_have_the_mean_and_the_density_is_finite(mixed):
    params = mixed.init()
    outputs = 0.5 * jax.random.normal(KEY, (1, WIDTH, 1))
    many = jnp.broadcast_to(outputs, (20_000, 1, WIDTH, 1))
    draws = jax.jit(mixed.sample)(KEY, params, many)
    mean = mixed.mean(outputs)[0, :, 0]
    found = draws[:, 0, :, 0]
    np.testing.assert_allclose(found[:, :9].mean(0), mean[:9], atol=0.04)
    counts = np.expm1(np.asarray(found[:, 9:])).mean(0)
    np.testing.assert_allclose(counts, np.expm1(mean[9:]), rtol=0.1)
    assert (found[:, 3:6].sum(-1) == 1).all()
    log_p = mixed.log_prob(params, many[:100], draws[:100])
    assert log_p.shape == (100,)
    assert np.isfinite(log_p).all()
    gradient = jax.grad(lambda o: mixed.relaxed(KEY, params, o, 0.7).sum())(outputs)
    assert np.isfinite(gradient).all()


def test_a_repeated_column_has_no_unbounded_density():
    own, x = jnp.array([-100.0, -100.0]), jnp.zeros((1, 2))
    log_p = columns.log_prob(BLOCKS[0], own, x, x)
    want = 2 * stats.norm.logpdf(0, scale=columns.SMALLEST_SCALE)
    np.testing.assert_allclose(log_p, want, rtol=1e-4)
