"""How well clusters agree with labels that the model never saw.

Inputs are integer arrays `[n]`; clusters and labels may differ in number. All
scores are in [0, 1] except ARI, which may be slightly negative. One cluster beside
several labels has NMI and ARI 0; one cluster beside one label 1, as the partitions are
the same. Empty, unlike or negative arrays are a DataError, NaN a MetricError.
"""

import warnings

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats.contingency import crosstab

from infovae_jax.data import subsets
from infovae_jax.evaluation import checks

MAX_ROWS = 2000  # that clusters are compared with those of k-means on
WHERE = "clustering metrics"


def _checked(clusters, labels) -> tuple[np.ndarray, np.ndarray]:
    """Both as integer arrays of one length.

    Raises:
      DataError: empty, of different lengths, fractions or negative numbers;
      MetricError: NaN.
    """
    clusters = checks.integers(clusters, WHERE, "clusters")
    labels = checks.integers(labels, WHERE, "labels")
    checks.same_length(WHERE, clusters=clusters, labels=labels)
    return clusters, labels


def contingency(
    clusters, labels, num_clusters: int | None = None, num_labels: int | None = None
) -> np.ndarray:
    """Counts `[K, L]`: how often cluster k holds an example of label l."""
    clusters, labels = _checked(clusters, labels)
    rows = max(clusters.max() + 1, num_clusters or 0)
    columns = max(labels.max() + 1, num_labels or 0)
    levels = np.arange(rows), np.arange(columns)
    return crosstab(clusters, labels, levels=levels).count


def match_clusters(table: np.ndarray) -> np.ndarray:
    """The label of each cluster under the best one-to-one matching (Hungarian).

    Args:
      table: counts `[K, L]`.

    Returns:
      `[K]` labels; -1 for clusters left over when K > L.
    """
    table = checks.matrix(table, WHERE, "table")
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

    return float(normalized_mutual_info_score(*_checked(clusters, labels)))


def adjusted_rand_index(clusters, labels) -> float:
    """Rand index corrected for chance, 0 in expectation (scikit-learn)."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(*_checked(clusters, labels)))


def occupancy(clusters, num_clusters: int) -> np.ndarray:
    """Share of the examples in each cluster, `[K]`."""
    clusters, _ = _checked(clusters, clusters)
    return np.bincount(clusters, minlength=num_clusters) / clusters.size


def kmeans_starts(num_clusters: int) -> int:
    """Initialisations of k-means: 10, or 1 where a hundred clusters make each long."""
    return 10 if num_clusters < 100 else 1


def kmeans_clusters(
    train_x: np.ndarray, test_x: np.ndarray, num_clusters: int
) -> np.ndarray:
    """Clusters of `test_x` by k-means on raw values: the figure to beat.

    Args:
      train_x: `[n, ...]`, fitted.
      test_x: `[m, ...]`.
      num_clusters: K, or as many as there are examples where those are fewer.

    Returns:
      `[m]` integers.
    """
    from sklearn.cluster import KMeans

    fit_x = checks.array(train_x, WHERE, "train_x").astype(np.float32)
    test_x = checks.array(test_x, WHERE, "test_x")
    checks.same_width(WHERE, train_x=fit_x, test_x=test_x)
    starts = kmeans_starts(num_clusters)
    model = KMeans(min(num_clusters, len(fit_x)), n_init=starts, random_state=0)
    model.fit(fit_x.reshape(len(fit_x), -1))
    flat = np.asarray(test_x, np.float32).reshape(len(test_x), -1)
    return model.predict(flat)


def beside_kmeans(x: np.ndarray, clusters: np.ndarray, num: int) -> dict[str, float]:
    """Clusters of rows beside those of k-means on the same rows; no label is needed.

    Args:
      x: scaled, `[n, ...]`; of more than MAX_ROWS a draw.
      clusters: `[n]`.
      num: K, also of k-means.

    Returns:
      'kmeans/agreement', the NMI of both, and 'kmeans/silhouette' and
      'cluster/silhouette', the mean silhouettes (Rousseeuw 1987) in the space of x,
      where there are at least two clusters; nothing of fewer than 10 rows a cluster.

    Raises:
      DataError: no rows, or not a cluster each; MetricError: a value that is no
        finite number.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import silhouette_score

    clusters = checks.integers(clusters, WHERE, "clusters")
    checks.same_length(WHERE, x=x, clusters=clusters)
    chosen = subsets.draw(MAX_ROWS, len(x), 0)
    drawn = checks.array(x[chosen], WHERE, "x").astype(np.float32)
    if num < 2 or len(x) < 10 * num:
        return {}
    x = drawn.reshape(len(drawn), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of few different rows
        own, kmeans = clusters[chosen], kmeans_clusters(x, x, num)
    found = {"kmeans/agreement": normalized_mutual_information(own, kmeans)}
    for name, numbers in (("kmeans", kmeans), ("cluster", own)):
        if 1 < len(np.unique(numbers)) < len(x):
            found[f"{name}/silhouette"] = float(silhouette_score(x, numbers))
    return found
