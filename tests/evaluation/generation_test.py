"""Distances between sets of features against closed forms."""

import numpy as np
import pytest
from scipy import linalg

from infovae_jax.errors import DataError
from infovae_jax.evaluation import generation as gen

RNG = np.random.default_rng(0)


def covariance(size, seed):
    a = np.random.default_rng(seed).normal(size=(size, 2 * size))
    return a @ a.T / size


def test_frechet_distance_of_equal_and_shifted_gaussians():
    c = covariance(5, 0)
    assert gen.frechet_distance(np.zeros(5), c, np.zeros(5), c) < 1e-6
    shift = np.arange(5.0)
    distance = gen.frechet_distance(shift, c, np.zeros(5), c)
    np.testing.assert_allclose(distance, (shift**2).sum(), rtol=1e-6)
    # Commuting covariances: the sum of squared differences of deviations.
    a, b = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 1.0, 0.0])
    np.testing.assert_allclose(
        gen.frechet_distance(np.zeros(3), a, np.zeros(3), b), 1 + 1 + 9, rtol=1e-6
    )
    assert gen.frechet_distance(1.0, 4.0, 3.0, 1.0) == pytest.approx(4 + 1)


def test_frechet_distance_against_the_matrix_root():
    a, b = covariance(6, 1), covariance(6, 2)
    m = RNG.normal(size=6)
    exact = (m**2).sum() + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    both = (
        gen.frechet_distance(m, a, np.zeros(6), b),
        gen.frechet_distance(np.zeros(6), b, m, a),
    )
    np.testing.assert_allclose(both, exact, rtol=1e-6)


def test_frechet_distance_of_singular_covariances():
    x = RNG.normal(size=(10, 30))  # fewer samples than features
    mean, cov = gen.moments(x)
    assert gen.frechet_distance(mean, cov, mean, cov) < 1e-6
    rotation, _ = np.linalg.qr(RNG.normal(size=(30, 30)))
    other = gen.moments((x + 1.0) @ rotation)
    there = gen.frechet_distance(mean @ rotation, rotation.T @ cov @ rotation, *other)
    np.testing.assert_allclose(there, 30.0, rtol=1e-5)


def test_kernel_distance_is_zero_mean_under_equal_laws_and_sees_a_shift():
    values = [
        gen.kernel_distance(
            np.random.default_rng(2 * s).normal(size=(200, 4)),
            np.random.default_rng(2 * s + 1).normal(size=(200, 4)),
            1,
            200,
        )[0]
        for s in range(200)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    real = RNG.normal(size=(400, 4))
    value, error = gen.kernel_distance(real, RNG.normal(size=(300, 4)) + 1.0, 20, 200)
    assert value > 10 * error > 0


def test_coverage_of_equal_distant_and_partial_sets():
    real = RNG.normal(size=(500, 3))
    same = gen.coverage(real, RNG.normal(size=(500, 3)))
    assert min(same["precision"], same["recall"], same["coverage"]) > 0.85
    assert same["density"] == pytest.approx(1.0, abs=0.1)
    far = gen.coverage(real, real + 100.0)
    assert far == dict.fromkeys(far, 0.0)
    # A generator that knows one of two groups: precise, but half is missing.
    two = np.concatenate([real, real + 50.0])
    half = gen.coverage(two, RNG.normal(size=(600, 3)))
    assert half["precision"] > 0.85
    assert half["recall"] == pytest.approx(0.5, abs=0.06)
    assert half["coverage"] == pytest.approx(0.5, abs=0.06)
    chunked = gen.coverage(two, real, chunk=64)
    assert chunked == gen.coverage(two, real, chunk=5000)


def test_sharpness_by_hand_and_under_blur():
    flat = np.ones((2, 5, 5, 3))
    assert gen.sharpness(flat) == 0.0
    point = np.zeros((1, 5, 5, 1))
    point[0, 2, 2] = 1.0
    values = np.array([0, 1, 0, 1, -4, 1, 0, 1, 0.0])
    assert gen.sharpness(point) == pytest.approx(values.var())
    noise = RNG.random((4, 16, 16, 1))
    blurred = (noise + np.roll(noise, 1, 1) + np.roll(noise, 1, 2)) / 3
    assert gen.sharpness(blurred) < gen.sharpness(noise)


def test_class_balance_ends_of_its_range():
    even = gen.class_balance(np.eye(4))
    assert even == {"kl_to_uniform": pytest.approx(0.0), "confidence": 1.0}
    one = gen.class_balance(np.tile([1.0, 0, 0, 0], (7, 1)))
    assert one["kl_to_uniform"] == pytest.approx(np.log(4))


def test_bad_arrays_are_named():
    bad = np.ones((5, 2))
    bad[3, 1] = np.nan
    with pytest.raises(DataError, match=r"nan in the features at \[3, 1\]"):
        gen.moments(bad)
    with pytest.raises(DataError, match="shape"):
        gen.moments(np.ones((1, 2)))
    with pytest.raises(DataError, match="5 neighbours"):
        gen.coverage(np.ones((5, 2)), np.ones((50, 2)))
    with pytest.raises(DataError, match="covariances"):
        gen.frechet_distance(np.zeros(2), np.eye(3), np.zeros(2), np.eye(3))
    with pytest.raises(DataError, match="not finite"):
        gen.frechet_distance(np.full(2, np.inf), np.eye(2), np.zeros(2), np.eye(2))
    with pytest.raises(DataError, match="3x3"):
        gen.sharpness(np.ones((1, 2, 9, 1)))
