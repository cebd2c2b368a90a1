"""What a frozen code is good for: simple classifiers on posterior means.

Every probe is fitted on training codes, standardised by the training codes' mean and
deviation, and scored on test codes. Corruptions are seeded by image, so that every
model meets the same ones.
"""

import numpy as np

from infovae_jax.errors import DataError

WHERE = "representation metrics"
PENALTIES = (0.01, 0.1, 1.0, 10.0)


def standardized(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """All codes in deviations of the training codes; a constant dim becomes 0."""
    mean, deviation = train.mean(0), train.std(0)
    scale = np.where(deviation > 1e-8, deviation, 1.0)
    return [
        (np.asarray(codes, np.float64) - mean) / scale for codes in (train, *others)
    ]


def labelled_subset(labels: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Indices of `num` examples, as many of each class as can be.

    Raises:
      DataError: a class has too few examples.
    """
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


def linear_probe(train, train_labels, test, test_labels, seed: int = 0) -> float:
    """Test accuracy of multinomial logistic regression, L2 penalty by validation.

    A fifth of the training codes (one a class at least) chooses the penalty out of
    PENALTIES; then all are fitted again. Too few for that: a penalty of 1.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    train, test = standardized(train, test)
    counts = np.unique(train_labels, return_counts=True)[1]
    if len(counts) < 2:
        return float((test_labels == train_labels[0]).mean())

    def fitted(c, x, y):
        return LogisticRegression(C=c, max_iter=2000).fit(x, y)

    best = 1.0
    if counts.min() >= 5:
        a, b, ya, yb = train_test_split(
            train, train_labels, test_size=0.2, random_state=seed, stratify=train_labels
        )
        best = max(PENALTIES, key=lambda c: fitted(c, a, ya).score(b, yb))
    return float(fitted(best, train, train_labels).score(test, test_labels))


def knn_probe(train, train_labels, test, test_labels, num_neighbours: int = 5) -> float:
    """Test accuracy of the k nearest training codes (fewer where there are fewer)."""
    from sklearn.neighbors import KNeighborsClassifier

    train, test = standardized(train, test)
    model = KNeighborsClassifier(min(num_neighbours, len(train)))
    return float(model.fit(train, train_labels).score(test, test_labels))


def transductive_svm(
    train,
    train_labels,
    unlabelled,
    penalty: float = 1.0,
    unlabelled_penalty: float = 1.0,
    kernel: str = "linear",
    max_switches: int = 10_000,
) -> np.ndarray:
    """Labels of the unlabelled codes by Joachims' transductive SVM, one against rest.

    The share of positives among the unlabelled is that among the labelled. Labels
    start from a plain SVM and are switched in pairs while a pair of opposite labels,
    both with positive slack summing above 2, is left; the unlabelled penalty rises to
    its value from a thousandth of it, by fours (Joachims 1999 doubles it from 1e-5,
    at three times the cost). With `unlabelled_penalty = 0` it is the
    plain SVM. The class of the largest decision value wins.

    Args:
      train: labelled codes `[n, d]`.
      train_labels: `[n]`.
      unlabelled: codes `[m, d]` to be labelled.
      penalty: C of the labelled.
      unlabelled_penalty: C* of the unlabelled at the end.
      kernel: 'linear' or 'rbf' (width 1 / d).
      max_switches: of labels, in all.

    Returns:
      `[m]` labels.
    """
    train, unlabelled = standardized(train, unlabelled)
    classes = np.unique(train_labels)
    if len(classes) < 2:
        return np.full(len(unlabelled), classes[0])
    settings = (penalty, unlabelled_penalty, kernel, max_switches)
    values = [
        _one_against_rest(train, train_labels == label, unlabelled, *settings)
        for label in classes
    ]
    return classes[np.argmax(values, axis=0)]


def _one_against_rest(
    train, positive, unlabelled, penalty, unlabelled_penalty, kernel, max_switches
) -> np.ndarray:
    """Decision values `[m]` of one class."""
    from sklearn.svm import SVC

    signs = np.where(positive, 1, -1)

    def decision(x, y, weights):
        model = SVC(C=1.0, kernel=kernel, gamma=1.0 / train.shape[1])
        return model.fit(x, y, sample_weight=weights).decision_function(unlabelled)

    values = decision(train, signs, np.full(len(train), penalty))
    if not unlabelled_penalty > 0:
        return values
    num_positive = int(round(positive.mean() * len(unlabelled)))
    num_positive = min(max(num_positive, 1), len(unlabelled) - 1)
    guess = np.full(len(unlabelled), -1)
    guess[np.argsort(-values)[:num_positive]] = 1
    both = np.concatenate([train, unlabelled])
    level, switches = 1e-3 * unlabelled_penalty, 0
    while True:
        weights = np.concatenate(
            [np.full(len(train), penalty), np.full(len(unlabelled), level)]
        )
        while switches < max_switches:
            values = decision(both, np.concatenate([signs, guess]), weights)
            slack = np.maximum(0.0, 1.0 - guess * values)
            moved = _switch(guess, slack)
            if not moved:
                break
            switches += moved
        if level >= unlabelled_penalty or switches >= max_switches:
            return values
        level = min(4.0 * level, unlabelled_penalty)


def _switch(guess: np.ndarray, slack: np.ndarray) -> int:
    """Switches the worst pairs of opposite labels in place; how many labels moved.

    Pairs are taken in the order of their slack, and all at once: each of them lowers
    the objective at the current plane, as one alone would.
    """
    worst = [
        np.flatnonzero((guess == sign) & (slack > 0))[
            np.argsort(-slack[(guess == sign) & (slack > 0)])
        ]
        for sign in (1, -1)
    ]
    moved = 0
    for up, down in zip(*worst, strict=False):
        if slack[up] + slack[down] <= 2.0:
            break
        guess[up], guess[down] = -1, 1
        moved += 2
    return moved


def add_gaussian(x: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    """x + N(0, sigma^2) in every pixel, not clipped; `[n, H, W, C]` float32."""
    rng = np.random.default_rng([seed, 1])
    return (x + sigma * rng.standard_normal(x.shape, np.float32)).astype(np.float32)


def mask_pixels(x: np.ndarray, probability: float, seed: int = 0) -> np.ndarray:
    """Each pixel set to 0, in all channels together, with this probability."""
    rng = np.random.default_rng([seed, 2])
    kept = rng.random((*x.shape[:-1], 1)) >= probability
    return (x * kept).astype(np.float32)


def robustness(clean: float, levels: dict[float, float]) -> dict[str, float]:
    """Accuracy under noise as a share of the clean one, and the area under the curve.

    Args:
      clean: accuracy without noise.
      levels: level of noise -> accuracy.
    """
    points = sorted({0.0: clean, **levels}.items())
    level, accuracy = np.array(points).T
    share = accuracy / max(clean, 1e-12)
    span = level[-1] - level[0]
    return {
        "area": float(np.trapezoid(share, level) / span) if span else 1.0,
        "worst": float(share.min()),
    }
