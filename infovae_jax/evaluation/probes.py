"""What a frozen code is good for: simple classifiers on posterior means.

Every probe is fitted on training codes, standardised by the training codes' mean and
deviation, and scored on test codes. Corruptions are seeded by image, so that every
model meets the same ones.
"""

from typing import Any, NamedTuple

import numpy as np

from infovae_jax.errors import DataError
from infovae_jax.evaluation import checks

WHERE = "representation metrics"
PENALTIES = (0.01, 0.1, 1.0, 10.0)


def standardized(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """All codes in deviations of the training codes; a constant dim becomes 0.

    Raises:
      DataError: no codes, or of unlike sizes; MetricError: a value that is not finite.
    """
    train = checks.matrix(train, WHERE, "train")
    others = [checks.matrix(codes, WHERE, "others") for codes in others]
    for codes in others:
        checks.same_width(WHERE, train=train, others=codes)
    mean, deviation = train.mean(0), train.std(0)
    scale = np.where(deviation > 1e-8, deviation, 1.0)
    return [(codes - mean) / scale for codes in (train, *others)]


def labelled_subset(labels: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Indices of `num` examples, as many of each class as can be.

    Raises:
      DataError: a class has too few examples, or `num` is not above 0.
    """
    labels = checks.integers(labels, WHERE, "labels")
    if num < 1:
        raise DataError(f"{num} labels", f"{WHERE}, num", "ask for at least 1")
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    counts = np.full(len(classes), num // len(classes))
    counts[rng.permutation(len(classes))[: num % len(classes)]] += 1
    chosen = []
    for label, count in zip(classes, counts, strict=True):
        members = np.flatnonzero(labels == label)
        if len(members) < count:
            raise DataError(
                f"{count} examples of class {label}, which has {len(members)}",
                WHERE,
                "ask for fewer labels",
            )
        chosen.append(rng.choice(members, count, replace=False))
    return np.sort(np.concatenate(chosen))


def _checked(train, train_labels, test, test_labels) -> list[np.ndarray]:
    """Standardised codes and labels of both parts.

    Raises:
      DataError: empty or unlike arrays; MetricError: a value that is not finite.
    """
    train = checks.matrix(train, WHERE, "train")
    test = checks.matrix(test, WHERE, "test")
    train_labels = checks.integers(train_labels, WHERE, "train_labels")
    test_labels = checks.integers(test_labels, WHERE, "test_labels")
    checks.same_length(WHERE, train=train, train_labels=train_labels)
    checks.same_length(WHERE, test=test, test_labels=test_labels)
    checks.same_width(WHERE, train=train, test=test)
    train, test = standardized(train, test)
    return [train, train_labels, test, test_labels]


class LinearProbe(NamedTuple):
    """A fitted logistic regression.

    Attributes:
      reference: the training codes, whose moments standardise all others.
      model: of scikit-learn; None where there is one class.
      label: that class.
    """

    reference: np.ndarray
    model: Any
    label: int

    def score(self, codes: np.ndarray, labels: np.ndarray) -> float:
        """Accuracy on codes `[m, d]` with labels `[m]`."""
        _, _, codes, labels = _checked(
            self.reference, np.zeros(len(self.reference)), codes, labels
        )
        if self.model is None:
            return float((labels == self.label).mean())
        return float(self.model.score(codes, labels))


def fit_linear_probe(train, train_labels, seed: int = 0) -> LinearProbe:
    """Multinomial logistic regression, its L2 penalty chosen by validation.

    A fifth of the training codes (one per class at least) chooses the penalty out of
    PENALTIES; then all are fitted again. Too few for that: a penalty of 1. With one
    class the probe says that class.

    Args:
      train: codes `[n, d]`.
      train_labels: `[n]`.
      seed: of the fifth.

    Raises:
      DataError: empty or unlike arrays; MetricError: a value that is not finite.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    reference = checks.matrix(train, WHERE, "train")
    train_labels = checks.integers(train_labels, WHERE, "train_labels")
    checks.same_length(WHERE, train=reference, train_labels=train_labels)
    (train,) = standardized(reference)
    counts = np.unique(train_labels, return_counts=True)[1]
    if len(counts) < 2:
        return LinearProbe(reference, None, int(train_labels[0]))

    def fitted(c, x, y):
        return LogisticRegression(C=c, max_iter=2000).fit(x, y)

    best = 1.0
    if counts.min() >= 5:
        a, b, ya, yb = train_test_split(
            train, train_labels, test_size=0.2, random_state=seed, stratify=train_labels
        )
        best = max(PENALTIES, key=lambda c: fitted(c, a, ya).score(b, yb))
    return LinearProbe(reference, fitted(best, train, train_labels), -1)


def linear_probe(train, train_labels, test, test_labels, seed: int = 0) -> float:
    """Test accuracy of `fit_linear_probe`."""
    _checked(train, train_labels, test, test_labels)
    return fit_linear_probe(train, train_labels, seed).score(test, test_labels)


def knn_probe(train, train_labels, test, test_labels, num_neighbours: int = 5) -> float:
    """Test accuracy of the k nearest training codes (fewer where there are fewer).

    Raises:
      DataError: empty or unlike arrays; MetricError: a value that is not finite.
    """
    from sklearn.neighbors import KNeighborsClassifier

    train, train_labels, test, test_labels = _checked(
        train, train_labels, test, test_labels
    )
    model = KNeighborsClassifier(min(num_neighbours, len(train)))
    return float(model.fit(train, train_labels).score(test, test_labels))


def _images(x: np.ndarray) -> np.ndarray:
    return checks.array(x, WHERE, "x", 4).astype(np.float32)


def add_gaussian(x: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """x + N(0, sigma^2) in every pixel, not clipped; `[n, H, W, C]` float32."""
    x = _images(x)
    rng = np.random.default_rng([seed, 1])
    return (x + sigma * rng.standard_normal(x.shape, np.float32)).astype(np.float32)


def mask_pixels(x: np.ndarray, probability: float, seed: int = 0) -> np.ndarray:
    """Each pixel set to 0, in all channels together, with this probability."""
    x = _images(x)
    rng = np.random.default_rng([seed, 2])
    kept = rng.random((*x.shape[:-1], 1)) >= probability
    return (x * kept).astype(np.float32)


def robustness(clean: float, levels: dict[float, float]) -> dict[str, float]:
    """Accuracy under noise as a share of the clean one, and the area under the curve.

    Args:
      clean: accuracy without noise.
      levels: level of noise -> accuracy.

    Returns:
      `area` and `worst` of the share; both 1 without levels. A clean accuracy of 0
      leaves nothing to lose: the shares are then 0.
    """
    checks.vector([clean], WHERE, "clean")
    checks.vector([0.0, *levels.values()], WHERE, "levels")
    points = sorted({0.0: clean, **levels}.items())
    level, accuracy = np.array(points).T
    share = accuracy / max(clean, 1e-12)
    span = level[-1] - level[0]
    return {
        "area": float(np.trapezoid(share, level) / span) if span else 1.0,
        "worst": float(share.min()),
    }
