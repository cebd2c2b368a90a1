"""Disentanglement scores of codes whose scores are known by hand."""

import numpy as np
import pytest

from infovae_jax.errors import DataError
from infovae_jax.evaluation import disentanglement as dis

SCORES = {
    "mig": dis.mig,
    "sap": dis.sap,
    "modularity": dis.modularity,
    "dci": lambda c, f: dis.dci(c, f)["disentanglement"],
    "factor_vae": lambda c, f: dis.factor_vae_score(c, f, 1000, 500),
    "beta_vae": lambda c, f: dis.beta_vae_score(c, f, 200, 100),
    "irs": dis.irs,
}


@pytest.fixture(scope="module")
def factors():
    """Every pair of four and five values, fifteen times: independent factors."""
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(5)), -1).reshape(-1, 2)
    return np.tile(grid, (15, 1))


@pytest.fixture(scope="module")
def noise(factors):
    return np.random.default_rng(0).normal(size=factors.shape)


def test_perfect_codes(factors):
    codes = factors.astype(float)
    assert dis.mig(codes, factors) == pytest.approx(1.0)
    assert dis.modularity(codes, factors) == pytest.approx(1.0)
    scores = dis.dci(codes, factors)
    assert {k: round(v, 6) for k, v in scores.items()} == dict.fromkeys(scores, 1.0)
    assert dis.factor_vae_score(codes, factors, 1000, 500) == 1.0
    assert dis.beta_vae_score(codes, factors, 200, 100) == 1.0
    assert dis.irs(codes, factors) == pytest.approx(1.0)
    assert dis.sap(codes, factors, continuous=True) == pytest.approx(1.0)
    assert dis.sap(codes, factors) > 0.25


def test_order_sign_and_scale_of_dims_do_not_matter(factors):
    codes = factors.astype(float)
    moved = np.stack([-3.0 * codes[:, 1] + 7, 0.5 * codes[:, 0]], 1)
    for name in ("mig", "modularity", "dci", "factor_vae", "irs"):
        score = SCORES[name]
        assert score(moved, factors) == pytest.approx(score(codes, factors), abs=1e-6)


def test_a_repeated_dim_has_no_gap(factors):
    codes = np.repeat(factors.astype(float), 2, axis=1)
    assert dis.mig(codes, factors) == pytest.approx(0.0)
    assert dis.sap(codes, factors) == pytest.approx(0.0)
    assert dis.modularity(codes, factors) == pytest.approx(1.0)


def test_a_rotated_code_scores_lower(factors):
    codes = factors - factors.mean(0)
    angle = np.pi / 4
    rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    rotated = codes @ rotation
    for name, most in (("mig", 0.3), ("modularity", 0.7), ("dci", 0.7), ("irs", 0.7)):
        assert SCORES[name](rotated, factors) < most, name


def test_noise_scores_nothing(factors, noise):
    assert abs(dis.mig(noise, factors)) < 0.1
    assert abs(dis.sap(noise, factors)) < 0.15
    scores = dis.factor_vae_score(noise, factors, 1000, 1000)
    assert scores < 0.65  # half by chance
    assert dis.dci(noise, factors)["informativeness_test"] < 0.4


def test_mig_of_one_noisy_code_by_hand():
    """A binary factor seen through a channel that flips a quarter of it."""
    factor = np.repeat([0, 1], 400)
    code = factor.copy()
    code[:100], code[400:500] = 1, 0
    h = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    expected = (np.log(2) - h) / np.log(2)
    assert dis.mig(code, factor) == pytest.approx(expected)


def test_information_and_entropy_by_hand():
    a = np.array([0, 0, 1, 1])
    assert dis.entropy(a) == pytest.approx(np.log(2))
    assert dis.discrete_information(a, a) == pytest.approx(np.log(2))
    assert dis.discrete_information(a, np.array([0, 1, 0, 1])) == pytest.approx(0.0)
    codes = np.array([[0.0], [0.049], [0.051], [1.0]])
    np.testing.assert_array_equal(dis.binned(codes, 20).ravel(), [0, 0, 1, 19])


def test_constant_codes_and_factors(factors):
    constant = np.ones((len(factors), 3))
    assert dis.mig(constant, factors) == 0.0
    assert dis.modularity(constant, factors) == 0.0
    assert dis.factor_vae_score(constant, factors) == 0.0
    assert dis.irs(constant, factors) == 0.0
    assert dis.sap(constant, factors, continuous=True) == 0.0
    # A factor that never varies has no score and takes no part.
    more = np.concatenate([factors, np.zeros((len(factors), 1), int)], 1)
    codes = factors.astype(float)
    assert dis.mig(codes, more) == pytest.approx(1.0)


@pytest.mark.parametrize("name", SCORES)
def test_bad_arrays_are_named(name):
    good = np.arange(6).reshape(6, 1)
    with pytest.raises(DataError, match=r"nan in codes at \[2, 0\]"):
        SCORES[name](np.where(good == 2, np.nan, good), good)
    with pytest.raises(DataError, match=r"codes \(5, 1\) and factors \(6, 1\)"):
        SCORES[name](good[:5], good)
    with pytest.raises(DataError, match="every factor is constant"):
        SCORES[name](good, np.zeros(6))
    with pytest.raises(DataError, match="no codes"):
        SCORES[name](np.zeros((0, 2)), np.zeros((0, 1)))
