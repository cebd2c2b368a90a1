"""Calibration on cases counted by hand."""

import chex
import numpy as np
import pytest

from infovae_jax.errors import DataError
from infovae_jax.evaluation import calibration, clustering


def test_two_bins_by_hand():
    """Of two at 0.6 one is right, of three at 0.9 two are."""
    sure = np.array([0.6, 0.6, 0.9, 0.9, 0.9])
    p = np.stack([sure, 1 - sure], 1)
    labels = np.array([0, 1, 0, 0, 1])
    curve = calibration.reliability(p, labels, 5)
    np.testing.assert_allclose(curve.share, [0, 0, 0.4, 0, 0.6])
    np.testing.assert_allclose(curve.confidence[[2, 4]], [0.6, 0.9])
    np.testing.assert_allclose(curve.accuracy[[2, 4]], [0.5, 2 / 3])
    assert np.isnan(curve.accuracy[[0, 1, 3]]).all()
    expected = 0.4 * 0.1 + 0.6 * (0.9 - 2 / 3)
    found = calibration.expected_calibration_error(p, labels, 5)
    assert found == pytest.approx(expected)
    largest = calibration.maximum_calibration_error(p, labels, 5)
    assert largest == pytest.approx(0.9 - 2 / 3)
    squares = [2 * 0.4**2, 2 * 0.6**2, 2 * 0.1**2, 2 * 0.1**2, 2 * 0.9**2]
    assert calibration.brier_score(p, labels) == pytest.approx(np.mean(squares))


def test_a_bin_holds_its_upper_edge():
    p = np.array([[0.75, 0.25], [0.7501, 0.2499], [1.0, 0.0]])
    share = calibration.reliability(p, [0, 0, 0], 4).share
    np.testing.assert_allclose(share, [0, 0, 1 / 3, 2 / 3])


def test_certain_and_right_or_wrong():
    p = np.eye(3)[[0, 1, 2, 0]]
    for labels, error, brier in (([0, 1, 2, 0], 0.0, 0.0), ([1, 2, 0, 1], 1.0, 2.0)):
        assert calibration.expected_calibration_error(p, labels) == error
        assert calibration.maximum_calibration_error(p, labels) == error
        assert calibration.brier_score(p, labels) == brier


def test_labels_drawn_from_the_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 50_000)
    labels = (p.cumsum(1) > rng.random((len(p), 1))).argmax(1)
    assert calibration.expected_calibration_error(p, labels) < 0.01
    hot = p**4 / (p**4).sum(1, keepdims=True)  # the same order, too sure
    gap = hot.max(1).mean() - (hot.argmax(1) == labels).mean()
    found = calibration.expected_calibration_error(hot, labels)
    assert found == pytest.approx(gap, abs=0.01)
    assert found > 0.2


def test_clusters_matched_to_labels_keep_their_confidence():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    logits = 4 * np.eye(3)[labels] + rng.normal(size=(300, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    shuffled = p[:, [2, 0, 1]]
    np.testing.assert_allclose(
        calibration.matched_probabilities(shuffled, labels), p, rtol=1e-12
    )


def test_clusters_left_over_are_never_right_and_labels_may_lack_one():
    p = np.eye(4)[[0, 0, 1, 2, 3, 3]] * 0.7 + 0.075
    labels = [1, 1, 0, 0, 1, 0]
    made = calibration.matched_probabilities(p, labels)
    chex.assert_shape(made, (6, 4))
    np.testing.assert_allclose(made.sum(1), 1.0)
    accuracy = (made.argmax(1) == labels).mean()
    assert accuracy == pytest.approx(
        clustering.clustering_accuracy(p.argmax(1), labels)
    )
    few = calibration.matched_probabilities(np.ones((3, 1)), [0, 1, 2])
    np.testing.assert_allclose(few.sum(1), 1.0)
    chex.assert_shape(few, (3, 3))
    assert calibration.brier_score(few, [0, 1, 2]) == pytest.approx(4 / 3)


def test_what_is_no_distribution_is_refused():
    with pytest.raises(DataError, match="row 1 of probabilities is no distribution"):
        calibration.brier_score([[0.5, 0.5], [0.5, 0.6]], [0, 1])
    with pytest.raises(DataError, match="label 2 beside 2 probabilities"):
        calibration.brier_score([[0.5, 0.5]], [2])
