"""Which real examples show what a cluster is."""

import numpy as np

from infovae_jax.report import cluster_members


def test_members_of_each_kind():
    # Cluster 0 on a line from its centre outwards; the last one leans to cluster 1.
    codes = np.array([[0.0], [1], [-1], [2], [-2], [9], [50], [51]])
    lean = np.array([0.99, 0.98, 0.97, 0.96, 0.95, 0.51, 0.1, 0.2])
    probabilities = np.stack([lean, 1 - lean, 0 * lean], 1)
    labels = np.array([0, 0, 0, 1, 0, 1, 1, 0])
    matched = np.array([0, 1, -1])
    found = cluster_members.choose_members(codes, probabilities, 2, labels, matched)
    first, second, empty = found
    # The mean of the first cluster's codes is 1.5.
    assert list(first.centre) == [1, 3]
    assert set(first.typical) <= {0, 2, 4}
    assert list(first.borderline) == [5, 4]
    assert list(first.wrong) == [3, 5]
    assert list(second.centre) == [6, 7]
    assert list(second.wrong) == [7]
    assert [len(kind) for kind in empty] == [0] * 4
    # Without a match nothing is matched wrongly.
    alone = np.array([-1, 1, -1])
    found = cluster_members.choose_members(codes, probabilities, 2, labels, alone)
    assert [len(m.wrong) for m in found] == [0, 1, 0]
    plain = cluster_members.choose_members(codes, probabilities, 2)
    assert [len(m.wrong) for m in plain] == [0, 0, 0]
