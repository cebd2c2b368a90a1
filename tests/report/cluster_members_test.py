"""Which real examples show what a cluster is."""

import numpy as np

from infovae_jax.report import cluster_members, numbers, style
from infovae_jax.report.grids import image_grid


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


def test_numbers_of_lines_bars_points_and_images():
    figure, (axes, other) = style.charts(2)
    axes.plot([0, 1], [2, 3], label="train")
    axes.plot([0, 1], [4, 5], label="train")
    axes.scatter([1.0], [2.0], label="a / b")
    other.bar([0, 1], [0.2, 0.8], 0.5, label="share")
    axes.set_title("loss")
    arrays = numbers.of_figure(figure)
    np.testing.assert_array_equal(arrays["0/line/train"], [[0, 2], [1, 3]])
    np.testing.assert_array_equal(arrays["0/line/train #2"], [[0, 4], [1, 5]])
    np.testing.assert_array_equal(arrays["0/points/a   b"], [[1, 2]])
    np.testing.assert_allclose(
        arrays["1/bars/share"], [[-0.25, 0, 0.5, 0.2], [0.75, 0, 0.5, 0.8]]
    )
    assert arrays["0/title"] == ["loss"]
    grid = image_grid(np.zeros((1, 2, 3, 3, 1)), (0.0, 1.0), ["row"], ["a", "b"])
    arrays = numbers.of_figure(grid)
    assert arrays["0/image"].shape == (3, 7)
    assert list(arrays["0/x_ticks"]) == ["a", "b"]
