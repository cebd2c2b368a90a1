"""MMD: closed forms, unbiasedness, invariances."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import information

KEY = jax.random.key(0)


def draws(num, n, d, seed=0):
    return jax.random.normal(jax.random.key(seed), (num, n, d))


def test_statistics_against_loops():
    x, y = np.asarray(draws(2, 6, 3))
    y = y[:5] + 0.5

    def k(a, b):
        r = ((a - b) ** 2).sum()
        return sum(
            t * 2 * 3 * 1.5 / (t * 2 * 3 * 1.5 + r)
            for t in (0.1, 0.2, 0.5, 1, 2, 5, 10)
        )

    def mean(a, b, skip):
        pairs = [
            k(p, q)
            for i, p in enumerate(a)
            for j, q in enumerate(b)
            if not (skip and i == j)
        ]
        return np.mean(pairs)

    for unbiased in (True, False):
        found = information.mmd(
            jnp.asarray(x), jnp.asarray(y), prior_variance=1.5, unbiased=unbiased
        )
        expected = mean(x, x, unbiased) + mean(y, y, unbiased) - 2 * mean(x, y, False)
        np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("kernel", information.KERNELS)
def test_u_statistic_of_equal_laws_has_mean_zero(kernel):
    pairs = draws(1000, 40, 4)
    values = jax.vmap(lambda p: information.mmd(p[:20], p[20:], kernel))(pairs)
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(1000)
    assert (values < 0).any()


def test_v_statistic_is_never_negative_and_zero_for_one_sample():
    x = draws(1, 30, 4)[0]
    assert float(information.mmd(x, x, unbiased=False)) == pytest.approx(0, abs=1e-5)
    values = jax.vmap(lambda p: information.mmd(p[:15], p[15:], unbiased=False))(
        draws(100, 30, 4)
    )
    assert float(values.min()) > 0


@pytest.mark.parametrize("width", [1.0, 2.5])
def test_rbf_between_gaussians_in_closed_form(width):
    """N(m, I) against N(0, I); both expectations of the kernel are Gaussian."""
    d, shift = 3, 0.8
    values = jax.vmap(
        lambda p: information.mmd(p[:50] + shift, p[50:], "rbf", bandwidth=width)
    )(draws(400, 100, d))
    level = (width**2 / (width**2 + 2)) ** (d / 2)
    cross = level * np.exp(-d * shift**2 / (2 * (width**2 + 2)))
    error = values.std() / np.sqrt(400)
    assert abs(values.mean() - 2 * (level - cross)) < 3 * error


@pytest.mark.parametrize(
    ("kernel", "peak", "expected"), [("imq", 1, 0.5293), ("imq_multi", 7, 3.6437)]
)
def test_kernel_mean_under_two_standard_normals(kernel, peak, expected):
    """E k(x, y) at d = 8; the published constants come from the same integral."""
    far = jnp.full((2, 8), 2.0**20)  # a power of two: the distance within is exactly 0

    def mean_kernel(pair):
        x, y = pair
        alone = information.mmd(x, far, kernel) + information.mmd(y, far, kernel)
        return (alone - 2 * peak - information.mmd(x, y, kernel)) / 2

    values = jax.lax.map(mean_kernel, draws(100, 1000, 8).reshape(50, 2, 1000, 8))
    error = values.std() / np.sqrt(50)
    assert error < 0.004 * peak
    assert abs(values.mean() - expected) < 3.5 * error


def test_invariant_to_order_shift_and_rotation():
    x, y = draws(2, 20, 3)
    y = 1.3 * y
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    value = information.mmd(x, y)
    for a, b in (
        (x[::-1], y),
        (x + 2.0, y + 2.0),
        (x @ rotation, y @ rotation),
    ):
        a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
        np.testing.assert_allclose(information.mmd(a, b), value, atol=2e-5)


def test_permutation_test_is_uniform():
    """P-values over permutations of equal laws are uniform (Kolmogorov-Smirnov)."""
    from scipy import stats

    def p_value(key):
        key_data, key_order = jax.random.split(key)
        both = jax.random.normal(key_data, (30, 2))
        orders = jax.vmap(lambda k: jax.random.permutation(k, 30))(
            jax.random.split(key_order, 99)
        )
        value = information.mmd(both[:15], both[15:])
        others = jax.vmap(lambda o: information.mmd(both[o[:15]], both[o[15:]]))(orders)
        return (1 + (others >= value).sum()) / 100

    values = jax.jit(jax.vmap(p_value))(jax.random.split(KEY, 300))
    assert stats.kstest(np.asarray(values), "uniform").pvalue > 0.01


def test_bad_arguments():
    x = jnp.zeros((3, 2))
    with pytest.raises(ValueError, match="unknown kernel"):
        information.mmd(x, x, "gauss")
    with pytest.raises(ValueError, match="two points"):
        information.mmd(x[:1], x)


def test_gradient_is_finite_where_points_coincide():
    x = jnp.zeros((4, 2))
    gradient = jax.grad(lambda x: information.mmd(x, jnp.ones((4, 2))))(x)
    chex.assert_tree_all_finite(gradient)
