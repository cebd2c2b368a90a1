"""Whether a classifier is right as often as it is sure.

Predictions are rows of probabilities `[n, K]`; the confidence is the largest of a row.
Guo et al. 2017 (arXiv 1706.04599): bins of equal width, ((m - 1) / M, m / M].
"""

from typing import NamedTuple

import numpy as np

from infovae_jax.errors import DataError
from infovae_jax.evaluation import checks
from infovae_jax.evaluation.clustering import contingency, match_clusters
from infovae_jax.evaluation.table import Row

NUM_BINS = 15
WHERE = "calibration"


class Reliability(NamedTuple):
    """The reliability curve.

    Attributes:
      confidence: mean confidence in each bin, `[M]`; nan in an empty one.
      accuracy: share of right predictions in each bin, `[M]`; nan in an empty one.
      share: of the examples in each bin, `[M]`.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    share: np.ndarray


def _checked(probabilities, labels) -> tuple[np.ndarray, np.ndarray]:
    probabilities = checks.probabilities(probabilities, WHERE, "probabilities")
    labels = checks.integers(labels, WHERE, "labels")
    checks.same_length(WHERE, probabilities=probabilities, labels=labels)
    if labels.max() >= probabilities.shape[1]:
        raise DataError(
            f"label {labels.max()} beside {probabilities.shape[1]} probabilities",
            f"{WHERE}, labels",
            "give a probability to every label",
        )
    return probabilities, labels


def reliability(probabilities, labels, num_bins: int = NUM_BINS) -> Reliability:
    """Confidence, accuracy and share of each bin of the confidence.

    Args:
      probabilities: `[n, K]`.
      labels: `[n]`, below K.
      num_bins: M, of equal width.

    Raises:
      DataError: unlike or empty arrays, rows that are no distributions;
      MetricError: a value that is not finite.
    """
    probabilities, labels = _checked(probabilities, labels)
    confidence = np.clip(probabilities.max(1), 0.0, 1.0)
    right = probabilities.argmax(1) == labels
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    # A bin holds its upper edge, as in the paper; a confidence of 0 does not occur.
    number = np.clip(np.searchsorted(edges, confidence) - 1, 0, num_bins - 1)
    counts = np.bincount(number, minlength=num_bins)
    filled = np.where(counts > 0, counts, np.nan)
    return Reliability(
        np.bincount(number, confidence, num_bins) / filled,
        np.bincount(number, right, num_bins) / filled,
        counts / len(labels),
    )


def expected_calibration_error(
    probabilities, labels, num_bins: int = NUM_BINS
) -> float:
    """sum_m share_m |accuracy_m - confidence_m|, in [0, 1]; errors as `reliability`."""
    curve = reliability(probabilities, labels, num_bins)
    gap = np.abs(curve.accuracy - curve.confidence)
    return float(np.nansum(curve.share * gap))


def maximum_calibration_error(probabilities, labels, num_bins: int = NUM_BINS) -> float:
    """max_m |accuracy_m - confidence_m| over filled bins; errors as `reliability`."""
    curve = reliability(probabilities, labels, num_bins)
    return float(np.nanmax(np.abs(curve.accuracy - curve.confidence)))


def brier_score(probabilities, labels) -> float:
    """Mean of sum_k (p_k - [label = k])^2, in [0, 2] (Brier 1950); 0 is best.

    Raises:
      DataError, MetricError: as `reliability`.
    """
    probabilities, labels = _checked(probabilities, labels)
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(1).mean())


def matched_probabilities(probabilities, labels) -> np.ndarray:
    """q(c | x) as probabilities of labels, clusters matched to them one to one.

    The matching is that of `clustering.clustering_accuracy`, on these examples and
    argmax q(c | x). Column y holds the cluster matched to label y, or 0 where there
    is none; clusters left over follow as columns that are no label, hence never right.

    Args:
      probabilities: `[n, K]`.
      labels: `[n]`, L different ones.

    Returns:
      `[n, max(K, L)]`.

    Raises:
      DataError: unlike or empty arrays; MetricError: a value that is not finite.
    """
    probabilities = checks.probabilities(probabilities, WHERE, "probabilities")
    labels = checks.integers(labels, WHERE, "labels")
    checks.same_length(WHERE, probabilities=probabilities, labels=labels)
    num_clusters = probabilities.shape[1]
    table = contingency(probabilities.argmax(1), labels, num_clusters)
    matched = match_clusters(table)
    num_labels = table.shape[1]
    rest = np.flatnonzero(matched < 0)
    matched[rest] = num_labels + np.arange(len(rest))
    of_labels = np.zeros((len(labels), num_labels + len(rest)))
    of_labels[:, matched] = probabilities
    return of_labels


def rows(probabilities, labels, prefix: str, how: str) -> list[Row]:
    """Figures and the curve of a classifier, as rows of an evaluation.

    Args:
      probabilities: `[n, K]`.
      labels: `[n]`.
      prefix: 'classification' or 'cluster'.
      how: what predicts, for the recipes.
    """
    bins = f"{NUM_BINS} bins of equal width of the confidence"
    curve = reliability(probabilities, labels)
    figures = [
        (
            "ece",
            expected_calibration_error,
            f"share; mean |accuracy - confidence|, {bins}",
        ),
        ("mce", maximum_calibration_error, f"share; largest of the same, {bins}"),
        ("brier", brier_score, "squared error of the probabilities, 0 to 2"),
    ]
    # An empty bin has no figures, and JSON no NaN.
    shown = {
        name: [None if np.isnan(v) else float(v) for v in values]
        for name, values in curve._asdict().items()
    }
    texts = {
        "confidence": f"mean confidence, {bins}",
        "accuracy": f"share of right predictions, {bins}",
        "share": f"of the examples, {bins}",
    }
    return [
        *(
            Row(f"{prefix}/{name}", score(probabilities, labels), f"{text}; {how}")
            for name, score, text in figures
        ),
        *(Row(f"calibration/{k}", shown[k], f"{texts[k]}; {how}") for k in texts),
    ]
