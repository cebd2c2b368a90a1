"""How well clusters agree with labels that the model never saw.

Inputs are integer arrays `[n]`; clusters and labels may differ in number. All
scores are in [0, 1] except ARI, which may be slightly negative.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from infovae_jax.errors import DataError


def _checked(clusters, labels) -> tuple[np.ndarray, np.ndarray]:
    """Both as integer arrays of one length.

    Raises:
      DataError: empty, of different lengths, NaN or not integers, or negative.
    """
    checked = []
    for name, values in (("clusters", clusters), ("labels", labels)):
        values = np.asarray(values)
        if values.ndim != 1 or values.size == 0:
            raise DataError(
                f"shape {values.shape}", name, "give one integer an example"
            )
        integers = values.astype(np.int64) if np.isfinite(values).all() else None
        if integers is None or (integers != values).any() or integers.min() < 0:
            raise DataError("NaN, fractions or negative numbers", name, "give integers")
        checked.append(integers)
    if checked[0].shape != checked[1].shape:
        sizes = f"{checked[0].size} clusters, {checked[1].size} labels"
        raise DataError(sizes, "clusters and labels", "give one of each an example")
    return checked[0], checked[1]


def contingency(
    clusters, labels, num_clusters: int | None = None, num_labels: int | None = None
) -> np.ndarray:
    """Counts `[K, L]`: how often cluster k holds an example of label l."""
    clusters, labels = _checked(clusters, labels)
    rows = max(clusters.max() + 1, num_clusters or 0)
    columns = max(labels.max() + 1, num_labels or 0)
    table = np.zeros((rows, columns), np.int64)
    np.add.at(table, (clusters, labels), 1)
    return table


def match_clusters(table: np.ndarray) -> np.ndarray:
    """The label of each cluster under the best one-to-one matching (Hungarian).

    Args:
      table: counts `[K, L]`.

    Returns:
      `[K]` labels; -1 for clusters left over when K > L.
    """
    rows, columns = linear_sum_assignment(table, maximize=True)
    matched = np.full(table.shape[0], -1)
    matched[rows] = columns
    return matched


def clustering_accuracy(clusters, labels) -> float:
    """Share of examples whose cluster is matched to their label, one to one.

    max over matchings m of (1/n) sum_i [m(cluster_i) = label_i], by
    scipy.optimize.linear_sum_assignment (Kuhn 1955). With more clusters than
    labels, members of the unmatched clusters count as errors; see `purity` for the
    majority vote, which can only be higher.
    """
    table = contingency(clusters, labels)
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def purity(clusters, labels) -> float:
    """Share of examples in the majority label of their cluster (many to one)."""
    table = contingency(clusters, labels)
    return float(table.max(axis=1).sum() / table.sum())


def normalized_mutual_information(clusters, labels) -> float:
    """I(c; y) over the arithmetic mean of the entropies (scikit-learn)."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(*_checked(labels, clusters)))


def adjusted_rand_index(clusters, labels) -> float:
    """Rand index corrected for chance, 0 in expectation (scikit-learn)."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_checked(labels, clusters)))


def occupancy(clusters, num_clusters: int) -> np.ndarray:
    """Share of the examples in each cluster, `[K]`."""
    clusters, _ = _checked(clusters, clusters)
    return np.bincount(clusters, minlength=num_clusters) / clusters.size


def kmeans_starts(num_clusters: int) -> int:
    """Initialisations of k-means: 10, or 1 where a hundred clusters make each long."""
    return 10 if num_clusters < 100 else 1


def kmeans_clusters(
    train_x: np.ndarray, test_x: np.ndarray, num_clusters: int, max_examples: int
) -> np.ndarray:
    """Clusters of `test_x` by k-means on raw values: the figure to beat.

    Args:
      train_x: `[n, ...]`; the first `max_examples` are fitted.
      test_x: `[m, ...]`.
      num_clusters: K.
      max_examples: bounds the time.

    Returns:
      `[m]` integers.
    """
    from sklearn.cluster import KMeans

    fit_x = np.asarray(train_x[:max_examples], np.float32)
    model = KMeans(num_clusters, n_init=kmeans_starts(num_clusters), random_state=0)
    model.fit(fit_x.reshape(len(fit_x), -1))
    flat = np.asarray(test_x, np.float32).reshape(len(test_x), -1)
    return model.predict(flat)
