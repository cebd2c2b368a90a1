"""Figures of codes against closed forms."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from infovae_jax import objectives
from infovae_jax.data.generated import _split
from infovae_jax.evaluation import codes
from infovae_jax.types import CodePart

KEY = jax.random.key(0)


def test_active_units_counts_dims_whose_means_move():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(1000, 3)) * [1.0, 0.5, 0.01]
    assert codes.active_units(means) == 2
    assert codes.active_units(np.ones((10, 4))) == 0


def test_information_of_separate_codes_is_log_n():
    mean = 100.0 * np.eye(50, dtype=np.float32)
    found = codes.information_bounds(mean, np.zeros_like(mean), KEY).lower
    np.testing.assert_allclose(found, np.log(50), rtol=1e-5)


def test_information_of_equal_codes_is_zero():
    found = codes.information_bounds(
        np.ones((200, 3), np.float32), np.zeros((200, 3), np.float32), KEY
    ).lower
    np.testing.assert_allclose(found, 0.0, atol=1e-5)


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_information_of_a_gaussian_channel(rho):
    """z = rho x + noise, x standard normal: I = -log(1 - rho^2) / 2."""
    x = np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
    log_var = np.full_like(x, np.log(1 - rho**2))
    found = codes.information_bounds(rho * x, log_var, KEY).lower
    np.testing.assert_allclose(found, -0.5 * np.log(1 - rho**2), atol=0.05)


@pytest.mark.parametrize("nats", [0.5, 2.0, 4.0])
def test_bounds_enclose_a_known_information(nats):
    """Four Gaussian channels of equal information; mean and spread over 6 data sets."""
    rho = np.sqrt(1 - np.exp(-2 * nats / 4))
    found = []
    for seed in range(6):
        x = np.random.default_rng(seed).normal(size=(3000, 4)).astype(np.float32)
        log_var = np.full_like(x, np.log(1 - rho**2))
        bounds = codes.information_bounds(rho * x, log_var, jax.random.key(seed))
        found.append((bounds.lower, bounds.upper, bounds.aggregate_kl))
    lower, upper, divergence = np.mean(found, axis=0)
    error = np.std(found, axis=0).max() / np.sqrt(5)
    assert lower <= nats + 3 * error
    assert upper >= nats - 3 * error
    np.testing.assert_allclose([lower, upper], nats, atol=0.06)
    np.testing.assert_allclose(divergence, 0.0, atol=0.06)  # q(z) is N(0, I)


def test_past_log_n_nothing_is_claimed():
    x = 1e3 * np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    bounds = codes.information_bounds(x, np.zeros_like(x), KEY)
    np.testing.assert_allclose(bounds.lower, np.log(100), rtol=1e-4)
    assert bounds.upper is None
    assert bounds.aggregate_kl is None


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_total_correlation_of_a_gaussian(rho):
    x = np.random.default_rng(0).normal(size=(2000, 2))
    x[:, 1] = rho * x[:, 0] + np.sqrt(1 - rho**2) * x[:, 1]
    log_var = np.full(x.shape, np.log(0.05), np.float32)
    covariance = np.cov(x.T) + 0.05 * np.eye(2)
    exact = 0.5 * np.log(np.prod(np.diag(covariance)) / np.linalg.det(covariance))
    found = codes.total_correlation(x.astype(np.float32), log_var, KEY)
    np.testing.assert_allclose(found, exact, atol=0.06)


def test_information_on_basicprop_saturates_at_the_log_of_its_images():
    """A perfect code of 100 distinct images, each seen many times (MI-7)."""
    x, label, j = _split("basicprop_angle", 5000, 0, 1)
    distinct, number = np.unique(x.reshape(len(x), -1), axis=0, return_inverse=True)
    assert len(distinct) == 100
    pairs = np.unique(np.stack([label, j, number.ravel()]), axis=1)
    assert pairs.shape[1] == 100  # one image a pair of heights
    mean = 50.0 * np.stack([label, j], -1).astype(np.float32)
    found = codes.information_bounds(mean, np.zeros_like(mean), KEY).lower
    np.testing.assert_allclose(found, np.log(100), atol=0.02)
    assert found < np.log(len(x))


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.99])
def test_channel_bound_is_exact_for_gaussians_and_free_of_scale(rho):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(100_000, 1))
    found = rho * z + np.sqrt(1 - rho**2) * rng.normal(size=z.shape)
    both = codes.gaussian_channel_information(
        np.concatenate([z, 7 * z + 3], 1), np.concatenate([found, -0.1 * found], 1)
    )
    np.testing.assert_allclose(both, -0.5 * np.log(1 - rho**2), atol=0.01)


def test_generated_information_of_a_deaf_and_a_hearing_decoder(make_config, spec):
    objective = objectives.make(make_config("vae", latent_dim=3), spec)
    params = objective.init(KEY)
    heard = codes.generated_information(objective, params, KEY, 2000)
    chex.assert_shape(heard, (3,))
    params["decoder"]["dense_0"]["kernel"] *= 0.0
    deaf = codes.generated_information(objective, params, KEY, 2000)
    np.testing.assert_allclose(deaf, 0.0, atol=0.01)


def test_masked_errors_of_a_code_of_two_parts(make_config, spec):
    objective = objectives.make(make_config("infomax_vae"), spec)
    # An image of its own: part z is the upper half, part c the lower.
    shaped = objective._replace(
        decode=lambda params, z: jnp.repeat(z, 8, -1).reshape(-1, 4, 4, 1),
        code_parts=(CodePart("z", 1), CodePart("c", 1, "free")),
    )
    mean = np.array([[1.0, 5.0], [3.0, 5.0]], np.float32)
    x = np.repeat(mean, 8, -1).reshape(-1, 4, 4, 1)
    errors = codes.masked_errors(shaped, {}, x, mean)
    assert errors == {"all": 0.0, "z_only": 0.0, "c_only": 8.0}
    # Off by 2 in sixteen pixels of one image of two; the mean is off by 1 in 8 of each.
    whole = codes.reconstruction(shaped, {}, x + [[[[2.0]]], [[[0.0]]]], mean)
    assert whole.squared_error == 32.0
    assert codes.reconstruction(shaped, {}, x, mean) == (0.0, 1.0)
    off = codes.reconstruction(shaped, {}, x, mean + [[0.5, 0.0]])
    assert off == (2.0, 0.75)
    alike = codes.reconstruction(shaped, {}, x[[0, 0]], mean[[0, 0]] + 1.0)
    assert alike == (16.0, None)


def test_blocks_of_a_plain_and_a_divided_code(make_config, spec):
    plain = codes.part_slices(objectives.make(make_config("vae"), spec))
    assert [(n, d.start, d.stop) for n, (d, _) in plain.items()] == [("z", 0, 20)]
    divided = codes.part_slices(objectives.make(make_config("mi_vae"), spec))
    assert [(n, d.start, d.stop) for n, (d, _) in divided.items()] == [
        ("z", 0, 10),
        ("c", 10, 20),
    ]
    none = objectives.make(make_config("n_vae", class_dim=0), spec)
    assert set(codes.part_slices(none)) == {"z_s", "y"}


def test_r2_is_that_of_a_linear_regression():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 4)), rng.normal(size=(300, 4))
    weights = np.array([1.0, -2.0, 0.0, 0.5])
    train = a @ weights + 0.5 * rng.normal(size=500) + 3
    test = b @ weights + 0.5 * rng.normal(size=300) + 3
    exact = LinearRegression().fit(a, train).score(b, test)
    np.testing.assert_allclose(codes.linear_r2(a, train, b, test), exact, atol=2e-3)
    noise = codes.linear_r2(a, rng.normal(size=500), b, rng.normal(size=300))
    assert abs(noise) < 0.05
    # A dead dim divides nothing by zero.
    dead = np.concatenate([a, np.ones((500, 1))], 1), np.ones((300, 1))
    found = codes.linear_r2(dead[0], train, np.concatenate([b, dead[1]], 1), test)
    np.testing.assert_allclose(found, exact, atol=2e-3)


def test_correlations_by_numpy_and_of_a_constant():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 3))
    z[:, 2] = 1.0
    factor = z[:, 0] - 0.3 * z[:, 1] + rng.normal(size=200)
    found = codes.correlations(z, factor)
    exact = [abs(np.corrcoef(z[:, j], factor)[0, 1]) for j in (0, 1)]
    np.testing.assert_allclose(found[:2], exact, rtol=1e-6)
    assert found[2] == 0.0


def test_kl_by_class_by_hand():
    mean = np.array([[2.0], [0.0], [0.0]])
    log_var = np.zeros((3, 1))
    table = codes.kl_by_class(mean, log_var, np.array([0, 0, 2]), 3)
    np.testing.assert_allclose(table[[0, 2], 0], [1.0, 0.0])
    assert np.isnan(table[1, 0])
