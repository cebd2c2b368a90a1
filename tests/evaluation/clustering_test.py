"""Clustering scores on cases that can be counted by hand."""

import itertools

import numpy as np
import pytest

from infovae_jax.errors import DataError
from infovae_jax.evaluation import clustering


def brute_force_accuracy(clusters, labels):
    """Best one-to-one matching by trying all of them."""
    size = max(max(clusters), max(labels)) + 1
    pairs = list(zip(clusters, labels, strict=True))
    return max(
        sum(order[c] == y for c, y in pairs) / len(pairs)
        for order in itertools.permutations(range(size))
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("k", "num_labels"), [(4, 4), (5, 3), (3, 5)])
def test_accuracy_against_all_matchings(seed, k, num_labels):
    rng = np.random.default_rng(seed)
    clusters, labels = rng.integers(0, k, 60), rng.integers(0, num_labels, 60)
    found = clustering.clustering_accuracy(clusters, labels)
    assert found == pytest.approx(brute_force_accuracy(clusters, labels))
    assert found <= clustering.purity(clusters, labels) + 1e-12


def test_counted_by_hand():
    clusters = [0, 0, 0, 1, 1, 2]
    labels = [1, 1, 0, 0, 0, 0]
    assert clustering.clustering_accuracy(clusters, labels) == pytest.approx(4 / 6)
    assert clustering.purity(clusters, labels) == pytest.approx(5 / 6)
    np.testing.assert_array_equal(
        clustering.contingency(clusters, labels), [[1, 2], [2, 0], [1, 0]]
    )
    matched = clustering.match_clusters(clustering.contingency(clusters, labels))
    np.testing.assert_array_equal(matched, [1, 0, -1])


def test_perfect_and_permuted_clusters():
    labels = np.arange(40) % 4
    for clusters in (labels, (labels + 1) % 4):
        assert clustering.clustering_accuracy(clusters, labels) == 1.0
        assert clustering.normalized_mutual_information(
            clusters, labels
        ) == pytest.approx(1)
        assert clustering.adjusted_rand_index(clusters, labels) == pytest.approx(1.0)


def test_one_cluster():
    labels = np.arange(100) % 10
    constant = np.zeros(100, int)
    assert clustering.clustering_accuracy(constant, labels) == pytest.approx(0.1)
    assert clustering.normalized_mutual_information(constant, labels) == 0.0
    assert clustering.adjusted_rand_index(constant, labels) == 0.0


def test_random_clusters_score_zero_ari():
    rng = np.random.default_rng(0)
    scores = [
        clustering.adjusted_rand_index(rng.integers(0, 5, 500), rng.integers(0, 5, 500))
        for _ in range(50)
    ]
    assert abs(np.mean(scores)) < 4 * np.std(scores) / np.sqrt(50)


@pytest.mark.parametrize(
    ("clusters", "part"),
    [
        ([0, 1], "2 clusters, 3 labels"),
        ([], "shape"),
        ([0, 1, np.nan], r"nan in clusters at \[2\]"),
        ([0, 1, -1], "negative"),
        ([0, 1, 0.5], "fractions"),
    ],
)
def test_bad_arrays_are_named(clusters, part):
    with pytest.raises(DataError, match=part):
        clustering.clustering_accuracy(clusters, [0, 1, 2])


def test_occupancy_counts_empty_clusters():
    np.testing.assert_allclose(clustering.occupancy([0, 0, 2, 2], 4), [0.5, 0, 0.5, 0])


def test_kmeans_separates_blobs():
    rng = np.random.default_rng(0)
    centres = 10 * np.eye(3).reshape(3, 3, 1, 1)
    labels = np.arange(90) % 3
    x = centres[labels] + rng.normal(size=(90, 3, 1, 1))
    found = clustering.kmeans_clusters(x[:50], x[60:], 3)
    assert clustering.clustering_accuracy(found, labels[60:]) == 1.0
