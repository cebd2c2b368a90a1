"""Agreement of clusterings on cases counted by hand."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from infovae_jax.errors import DataError
from infovae_jax.evaluation import stability


def test_renamed_clusters_are_the_same_clustering():
    first = np.arange(30) % 3
    runs = [first, (first + 1) % 3, (first + 2) % 3]
    assert stability.agreement(runs) == pytest.approx(
        {"ari": 1.0, "nmi": 1.0, "accuracy": 1.0}
    )
    vote = stability.consensus(runs)
    assert (vote.share, vote.unanimous) == (1.0, 1.0)
    assert len(np.unique(np.stack([vote.clusters, first]), axis=1).T) == 3


def test_means_over_pairs():
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, 3, (3, 50))
    found = stability.agreement([a, b, c])
    pairs = ((a, b), (a, c), (b, c))
    ari = np.mean([adjusted_rand_score(x, y) for x, y in pairs])
    nmi = np.mean([normalized_mutual_info_score(x, y) for x, y in pairs])
    assert found["ari"] == pytest.approx(ari)
    assert found["nmi"] == pytest.approx(nmi)


def test_a_vote_counted_by_hand():
    """Three runs, one of which puts the last two examples elsewhere."""
    good = [0, 0, 0, 1, 1, 1]
    renamed = [5, 5, 5, 2, 2, 2]
    other = [1, 1, 1, 0, 1, 1]
    vote = stability.consensus([good, renamed, other])
    same = vote.clusters == vote.clusters[0]
    np.testing.assert_array_equal(same, [1, 1, 1, 0, 0, 0])
    assert vote.unanimous == pytest.approx(4 / 6)
    assert vote.share == pytest.approx((4 + 2 * 2 / 3) / 6)
    assert vote.reference in (0, 1)
    assert stability.agreement([good, other])["accuracy"] == pytest.approx(4 / 6)


def test_a_cluster_without_partner_keeps_a_name_of_its_own():
    vote = stability.consensus([[0, 0, 0, 0], [0, 0, 1, 2]])
    assert vote.share == pytest.approx((1 + 1 + 0.5 + 0.5) / 4)
    assert vote.unanimous == 0.5


def test_one_run_is_no_pair():
    with pytest.raises(DataError, match="1 clusterings"):
        stability.agreement([[0, 1]])
    with pytest.raises(DataError, match="2 clusterings.*3 clusterings"):
        stability.consensus([[0, 1], [0, 1, 1]])
