"""Probes on codes whose classes are known to lie well or badly."""

import numpy as np
import pytest
from sklearn.svm import SVC

from infovae_jax.errors import DataError
from infovae_jax.evaluation import probes, transductive


def blobs(n, seed, gap=8.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = gap * np.eye(3)
    return centres[labels] + rng.normal(size=(n, 3)), labels


def moons(n, seed, noise=0.08):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    angle = np.pi * rng.random(n)
    x = np.stack([np.cos(angle), np.sin(angle)], 1)
    x[labels == 1] = [1.0, 0.4] - x[labels == 1]
    return x + noise * rng.normal(size=x.shape), labels


def test_separable_classes_and_noise():
    train, y = blobs(300, 0)
    test, expected = blobs(150, 1)
    assert probes.linear_probe(train, y, test, expected) > 0.99
    assert probes.knn_probe(train, y, test, expected) > 0.99
    nothing = np.random.default_rng(2).normal(size=train.shape)
    assert abs(probes.linear_probe(nothing, y, test, expected) - 1 / 3) < 0.25
    # Scale, offset and a constant dim change nothing.
    moved, other = (np.c_[1e4 * a + 77, np.ones(len(a))] for a in (train, test))
    assert probes.linear_probe(moved, y, other, expected) > 0.99


def test_neighbours_see_what_a_line_does_not():
    train, y = moons(400, 0)
    test, expected = moons(400, 1)
    linear = probes.linear_probe(train, y, test, expected)
    assert probes.knn_probe(train, y, test, expected) > 0.98 > linear


def test_few_labels_and_one_class():
    train, y = blobs(6, 0)
    test, expected = blobs(60, 1)
    assert probes.linear_probe(train, y, test, expected) > 0.9
    assert probes.knn_probe(train[:3], y[:3], test, expected) >= 1 / 3
    same = np.zeros(6, int)
    assert probes.linear_probe(train, same, test, expected) == pytest.approx(1 / 3)


def test_labelled_subset_is_balanced_and_seeded():
    labels = np.repeat(np.arange(4), [50, 30, 20, 60])
    first, again = (probes.labelled_subset(labels, 22, 0) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert sorted(np.bincount(labels[first])) == [5, 5, 6, 6]
    assert len(set(first)) == 22
    assert set(first) != set(probes.labelled_subset(labels, 22, 1))
    with pytest.raises(DataError, match="which has 20"):
        probes.labelled_subset(labels, 100, 0)


def test_without_unlabelled_weight_it_is_the_plain_svm():
    train, y = blobs(60, 0, gap=1.5)
    test, _ = blobs(90, 1, gap=1.5)
    found = transductive.transductive_svm(train, y, test, unlabelled_penalty=0.0)
    a, b = probes.standardized(train, test)
    values = [
        SVC(kernel="linear").fit(a, y == k).decision_function(b) for k in range(3)
    ]
    np.testing.assert_array_equal(found, np.argmax(values, axis=0))


def test_unlabelled_codes_move_the_plane_into_the_gap():
    """Two long blobs, the labelled examples at misleading ends of them."""
    rng = np.random.default_rng(0)
    n = 200
    labels = np.arange(n) % 2
    x = np.stack([6 * rng.random(n), 2.0 * labels + 0.25 * rng.normal(size=n)], 1)
    train = np.array([[0.0, 0.0], [6.0, 2.0], [0.5, 0.1], [5.5, 1.9]])
    y = np.array([0, 1, 0, 1])
    plain = (
        transductive.transductive_svm(train, y, x, unlabelled_penalty=0.0) == labels
    ).mean()
    found = (transductive.transductive_svm(train, y, x) == labels).mean()
    assert plain < 0.95
    assert found > 0.98


def test_three_classes_with_few_labels():
    train, y = blobs(6, 0, gap=4.0)
    test, expected = blobs(150, 1, gap=4.0)
    found = transductive.transductive_svm(train, y, test)
    assert (found == expected).mean() > 0.95
    curved = transductive.transductive_svm(train, y, test, kernel="rbf")
    assert (curved == expected).mean() > 0.9
    assert (transductive.transductive_svm(train, np.full(6, 4), test) == 4).all()


def test_rounded_hinge_finds_the_plane_of_the_svm():
    """Newton's plane against libsvm's, at equal and unequal weights."""
    x, y = blobs(300, 0, gap=1.5)
    signs = np.where(y == 0, 1, -1)
    for weights in (np.ones(300), np.linspace(0.01, 2.0, 300)):
        exact = SVC(C=1.0, kernel="linear", tol=1e-6)
        exact.fit(x, signs, sample_weight=weights)
        expected = np.r_[exact.coef_[0], exact.intercept_]

        def objective(plane, weights=weights):
            slack = np.maximum(0.0, 1.0 - signs * (x @ plane[:-1] + plane[-1]))
            return 0.5 * (plane[:-1] ** 2).sum() + weights @ slack

        found = transductive.rounded_svm(x, signs, weights, np.zeros(4), 1e-3)
        assert objective(found) <= objective(expected) + 1e-3 * weights.sum() / 4
        np.testing.assert_allclose(found, expected, atol=0.02)
        rough = transductive.rounded_svm(x, signs, weights, found)
        assert objective(rough) <= objective(expected) + 0.05 * weights.sum() / 4


def test_a_fitted_machine_labels_codes_it_has_not_seen():
    train, y = blobs(30, 0, gap=4.0)
    pool, _ = blobs(150, 1, gap=4.0)
    other, expected = blobs(150, 2, gap=4.0)
    model = transductive.fit_transductive_svm(train, y, pool)
    assert (model.predict(other) == expected).mean() > 0.95
    labels = transductive.transductive_svm(train, y, pool)
    np.testing.assert_array_equal(model.predict(pool), labels)


def test_switching_takes_the_worst_pairs_only():
    guess = np.array([1, 1, -1, -1])
    moved = transductive._switch(guess, np.array([1.8, 0.1, 0.5, 1.5]))
    assert moved == 2
    np.testing.assert_array_equal(guess, [-1, 1, -1, 1])
    assert transductive._switch(guess, np.array([0.9, 1.0, 0.5, 1.0])) == 0


def test_corruptions_have_their_strength_and_repeat():
    x = np.full((50, 8, 8, 3), 0.5, np.float32)
    noisy = probes.add_gaussian(x, 0.3)
    np.testing.assert_allclose((noisy - x).std(), 0.3, rtol=0.03)
    np.testing.assert_array_equal(noisy, probes.add_gaussian(x, 0.3))
    assert (noisy != probes.add_gaussian(x, 0.3, seed=1)).any()
    masked = probes.mask_pixels(x, 0.2)
    np.testing.assert_allclose((masked == 0).mean(), 0.2, atol=0.02)
    assert ((masked == 0).all(-1) == (masked == 0).any(-1)).all()
    np.testing.assert_array_equal(probes.mask_pixels(x, 0.0), x)


def test_robustness_by_hand():
    found = probes.robustness(0.8, {0.5: 0.4, 1.0: 0.0})
    assert found == {"area": pytest.approx(0.5), "worst": 0.0}
    assert probes.robustness(0.8, {}) == {"area": 1.0, "worst": 1.0}
