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
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        real, made = rng.normal(size=(400, 4)), rng.normal(size=(300, 4)) + 1.0
        found.append(gen.kernel_distance(real, made, 20, 200))
    found, errors = np.transpose(found)
    assert min(found / errors) > 5
    # What is said of the error is how much other examples would change the figure.
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.4)


def test_coverage_of_equal_distant_and_partial_sets():
    rng = np.random.default_rng(3)
    real = rng.normal(size=(500, 3))
    same = gen.coverage(real, rng.normal(size=(500, 3)))
    assert min(same["precision"], same["recall"], same["coverage"]) > 0.85
    assert same["density"] == pytest.approx(1.0, abs=0.1)
    far = gen.coverage(real, real + 100.0)
    assert far == dict.fromkeys(far, 0.0)
    # A generator that knows one of two groups: precise, but half is missing.
    two = np.concatenate([real, real + 50.0])
    half = gen.coverage(two, rng.normal(size=(600, 3)))
    assert half["precision"] > 0.85
    assert half["recall"] == pytest.approx(0.5, abs=0.06)
    assert half["coverage"] == pytest.approx(0.5, abs=0.06)
    for chunk in (1, 7, 64, 333):
        assert gen.coverage(two, real, chunk=chunk) == gen.coverage(two, real)


def test_frechet_distance_of_samples_of_known_gaussians():
    """Sample moments approach the closed form of their Gaussians."""
    rng = np.random.default_rng(5)
    a, b = covariance(3, 3), covariance(3, 4)
    shift = np.array([1.0, 0.0, -2.0])
    exact = (shift**2).sum() + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    x = rng.multivariate_normal(np.zeros(3), a, 40_000)
    y = rng.multivariate_normal(shift, b, 40_000)
    found = gen.frechet_distance(*gen.moments(x), *gen.moments(y))
    assert found == pytest.approx(exact, rel=0.03)


def test_frechet_distance_of_few_samples_is_that_of_their_span():
    """Two points a set: covariances of rank 1, whose distance is known.

    Of variances s and t along unit vectors u and v: s + t - 2 sqrt(s t) |u.v|.
    """
    u, v = np.eye(40)[0], np.array([0.6, 0.8] + [0.0] * 38)
    x, y = np.stack([u, -u]), np.stack([2 * v, -2 * v])
    exact = 2 + 8 - 2 * np.sqrt(2 * 8) * 0.6
    found = gen.frechet_distance(*gen.moments(x), *gen.moments(y))
    assert found == pytest.approx(exact)
    # Fewer samples give a larger distance of equal laws.
    rng = np.random.default_rng(6)
    few, many = (
        gen.frechet_distance(
            *gen.moments(rng.normal(size=(n, 20))),
            *gen.moments(rng.normal(size=(n, 20))),
        )
        for n in (15, 1500)
    )
    assert few > 10 * many > 0


def test_kernel_distance_by_hand_and_by_brute_force():
    # Features (1), (1) and (0), (0): k(1, 1) = 8, k(0, 0) = k(0, 1) = 1.
    real, made = np.ones((2, 1)), np.zeros((2, 1))
    assert gen.kernel_distance(real, made, 3) == (8 + 1 - 2 * 1, None)
    rng = np.random.default_rng(7)
    real, made = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)) + 0.5

    def k(a, b):
        return (sum(i * j for i, j in zip(a, b, strict=True)) / 3 + 1) ** 3

    within = [
        np.mean([k(x[i], x[j]) for i in range(3) for j in range(3) if i != j])
        for x in (real, made)
    ]
    across = np.mean([k(a, b) for a in real for b in made])
    value, error = gen.kernel_distance(real, made, 4)
    assert value == pytest.approx(sum(within) - 2 * across)
    assert error is None  # every subset is the whole
    # Unlike sizes: subsets of half of the smaller.
    value, error = gen.kernel_distance(rng.normal(size=(7, 3)), rng.normal(size=(9, 3)))
    assert np.isfinite(value)
    assert error > 0


@pytest.mark.parametrize(("count", "subset"), [(60, 1000), (200, 20)])
def test_the_error_of_the_kernel_distance_is_the_spread_of_new_data(count, subset):
    """Whether all examples are in every subset or few are."""
    rng = np.random.default_rng(0)
    pairs = [
        gen.kernel_distance(
            rng.normal(size=(count, 3)), rng.normal(size=(count, 3)) + 0.7, 40, subset
        )
        for _ in range(60)
    ]
    values, errors = np.array(pairs).T
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(ddof=1), rel=0.35)


def test_coverage_by_brute_force():
    rng = np.random.default_rng(8)
    real, made, k = rng.normal(size=(30, 2)), 0.7 * rng.normal(size=(40, 2)), 3

    def radius(x, i):
        return np.sort([np.linalg.norm(x[i] - other) for other in x])[k]

    def inside(point, x):
        return [np.linalg.norm(point - x[i]) <= radius(x, i) for i in range(len(x))]

    balls = np.array([inside(point, real) for point in made])
    back = np.array([inside(point, made) for point in real])
    expected = {
        "precision": balls.any(1).mean(),
        "recall": back.any(1).mean(),
        "density": balls.sum() / k / len(made),
        "coverage": balls.any(0).mean(),
    }
    assert gen.coverage(real, made, k, chunk=7) == pytest.approx(expected)
    same = gen.coverage(real, real, k)
    # Each is in its own ball and in those of k others on average.
    assert same == pytest.approx(
        {"precision": 1, "recall": 1, "density": (k + 1) / k, "coverage": 1}
    )


def test_distances_of_images_go_through_the_features():
    images = RNG.random((50, 4, 4, 3))
    features = gen.Features("means", lambda x: x.mean((1, 2)), "mean colours")
    same = gen.distances(features, images, images.copy())
    assert same.frechet == pytest.approx(0.0, abs=1e-9)
    # A shift of all colours is a shift of the means and of nothing else.
    brighter = gen.distances(features, images, images + 0.5)
    assert brighter.frechet == pytest.approx(3 * 0.25)
    found = images.mean((1, 2))
    kernel = gen.kernel_distance(found, found + 0.5, seed=0)
    assert (brighter.kernel, brighter.kernel_error) == pytest.approx(kernel)
    with pytest.raises(DataError, match=r"shape \(1, 3\)"):
        gen.distances(features, images, images[:1])


def test_colours_are_averaged_for_sharpness():
    grey = RNG.random((3, 9, 9, 1))
    assert gen.sharpness(np.repeat(grey, 3, -1)) == pytest.approx(gen.sharpness(grey))
    red = np.concatenate([grey, np.zeros((3, 9, 9, 2))], -1)
    assert gen.sharpness(red) == pytest.approx(gen.sharpness(grey) / 9)


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
