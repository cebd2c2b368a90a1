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


def binary_grid(num_factors, repeats=50):
    """All corners of a cube, each equally often."""
    corners = np.stack(np.unravel_index(np.arange(2**num_factors), (2,) * num_factors))
    return np.tile(corners.T, (repeats, 1))


def test_mig_of_a_permuted_and_of_a_partly_mixed_code_by_hand():
    f = binary_grid(3).astype(float)
    assert dis.mig(f[:, [2, 0, 1]], f) == pytest.approx(1.0)
    # Two factors in one dim as four levels: each has log 2 of it, and no second dim.
    packed = np.stack([f[:, 0] + 2 * f[:, 1], f[:, 2]], 1)
    assert dis.mig(packed, f) == pytest.approx(1.0)
    # 1 - 0.5 for the factor that two dims know, one of them half of the time.
    rows = np.arange(len(f)) // 8  # of one repeat of the cube
    half = np.where(rows % 2 == 0, f[:, 0], 2 + f[:, 1])
    # Knowing which half it is in, the third code tells one bit of either factor.
    found = dis.mig(np.stack([f[:, 0], f[:, 1], half], 1), f[:, :2])
    assert found == pytest.approx(0.5)
    # The gap is over the entropy of the factor, not over log of the number of bins.
    assert dis.mig(f[:, :1], f[:, :1], bins=2) == pytest.approx(1.0)


def test_a_sum_and_a_difference_by_hand():
    """A code turned by 45 degrees: levels -1, 0, 0, 1 of two fair bits."""
    f = binary_grid(2)
    codes = np.stack([f[:, 0] - f[:, 1], f[:, 0] + f[:, 1]], 1)
    # H(sum) = 1.5 bits, H(sum | one of them) = 1: half a bit in either dim.
    table = dis.information_matrix(codes.astype(float), f)
    np.testing.assert_allclose(table, np.full((2, 2), 0.5 * np.log(2)))
    assert dis.mig(codes, f) == pytest.approx(0.0)
    # Both factors weigh the same in every dim: 1 - x^2 / (x^2 (2 - 1)) = 0.
    assert dis.modularity(codes, f) == pytest.approx(0.0)
    # |correlation| of either dim with either bit is sqrt(1/2): no gap.
    assert dis.sap(codes, f, continuous=True) == pytest.approx(0.0)
    # Fixed to its value, the other bit moves a dim by a half about its mean, where all
    # together move it by one: 1 - 0.5 / 1.
    assert dis.irs(codes, f) == pytest.approx(0.5)


def test_modularity_and_irs_by_hand():
    f = binary_grid(2)
    # One dim holds both factors, the other one: rows (log 2, log 2) and (log 2, 0).
    codes = np.stack([f[:, 0] + 2.0 * f[:, 1], f[:, 0]], 1)
    assert dis.modularity(codes, f) == pytest.approx((0.0 + 1.0) / 2)
    # The packed dim is at most 1.5 from its mean and, given the second bit, 0.5 from
    # that value's mean; weights are the standard deviations.
    deviations = np.sqrt([5 / 4, 1 / 4])
    expected = deviations @ [1 - 0.5 / 1.5, 1.0] / deviations.sum()
    assert dis.irs(codes, f) == pytest.approx(expected)


def test_order_of_importances_by_hand():
    """Disentanglement and completeness of given importances, entropies to base 2."""
    r = np.array([[3.0, 1.0], [0.0, 4.0]])
    h = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert dis._weighted_order(r) == pytest.approx(0.5 * (1 - h) + 0.5 * 1.0, abs=1e-6)
    h_column = -(0.2 * np.log2(0.2) + 0.8 * np.log2(0.8))
    expected = 3 / 8 * 1.0 + 5 / 8 * (1 - h_column)
    assert dis._weighted_order(r.T) == pytest.approx(expected, abs=1e-6)
    assert dis._weighted_order(np.ones((3, 4))) == pytest.approx(0.0, abs=1e-6)
    # Nothing is important: as if everything were, and so no order.
    assert dis._weighted_order(np.zeros((3, 4))) == pytest.approx(0.0, abs=1e-6)
    assert dis._weighted_order(np.eye(5)) == pytest.approx(1.0, abs=1e-6)


def test_codes_of_one_factor_only():
    """Both dims know the first of two factors, none the second."""
    f = binary_grid(2, 100)
    codes = f[:, [0, 0]] + 0.0
    scores = dis.dci(codes, f)
    assert scores["informativeness_test"] == pytest.approx(0.75, abs=0.08)
    assert dis.mig(codes, f) == pytest.approx(0.0)
    assert dis.modularity(codes, f) == pytest.approx(1.0)
    # Fixing the first stills both dims, fixing the second neither: votes go to the
    # first dim by ties, whichever factor it was, and half of them are right.
    assert dis.factor_vae_score(codes, f, 1000, 2000) == pytest.approx(0.5, abs=0.04)


def test_only_dims_that_move_have_a_vote():
    """A dim of deviation below 0.05 is pruned, however it follows a factor."""
    f = binary_grid(2, 100)
    # Deviations of a fair bit of height h: h / 2.
    codes = np.stack([f[:, 0], 0.09 * f[:, 1]], 1)
    score = dis.factor_vae_score(codes, f, 1000, 2000)
    assert score == pytest.approx(0.5, abs=0.04)  # the only voter names one factor
    codes[:, 1] = 0.11 * f[:, 1]
    assert dis.factor_vae_score(codes, f, 1000, 2000) == 1.0


def test_sap_of_linear_and_of_hidden_dims():
    f = binary_grid(2, 100)
    codes = f + 0.01 * np.random.default_rng(0).normal(size=f.shape)
    # Accuracy 1 from the right dim and one half from the other.
    assert dis.sap(codes, f) == pytest.approx(0.5, abs=0.08)
    # Squared correlations 1 and 0 of exact bits.
    assert dis.sap(f.astype(float), f, continuous=True) == pytest.approx(1.0)
    a, b = f[:, 0], f[:, 1]
    codes = np.stack([a + b, a], 1).astype(float)
    # For the first bit 1 - 1/2, for the second 1/2 - 0.
    assert dis.sap(codes, f, continuous=True) == pytest.approx(0.5)


def test_factors_that_say_the_same_are_scored_once():
    rng = np.random.default_rng(0)
    number = rng.integers(0, 4, 500)
    found = dis.distinct(
        {
            "number": number,
            "value": np.array([0.5, -1.0, 7.0, 2.0])[number],
            "coarse": number // 2,
            "light": rng.random(500),
            "brightness": np.ones(500),
        }
    )
    assert list(found) == ["number", "coarse", "light", "brightness"]
    np.testing.assert_array_equal(found["number"], number)
    # 500 values: twenty classes of 25 each, in order.
    np.testing.assert_array_equal(np.bincount(found["light"]), 25)


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
