"""Disentanglement of codes against known factors, on arrays of pairs.

Codes are `[n, d]` (posterior means), factors `[n, f]` with values that repeat (each
distinct value is a class, whatever its number). All scores lie in [0, 1] but for the
gaps, which can fall below 0 by sampling. Constants are those of Locatello et al. 2019
(arXiv 1811.12359) where they have some. A constant code has MIG, SAP, modularity,
FactorVAE score and IRS 0; a constant factor is left out. Randomness comes from `seed`
alone.
"""

import numpy as np
from scipy import stats

from infovae_jax.errors import DataError, MetricError
from infovae_jax.evaluation import checks

WHERE = "disentanglement metrics"
NUM_BINS = 20
TEST_SHARE = 1.0 / 3.0
PRUNED_DEVIATION = 0.05
TINY = 1e-11
# A factor of more values is continuous: its values are cut into NUM_BINS classes.
MAX_VALUES = 200


def check(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes as float64 `[n, d]` and factors as class numbers `[n, f]`.

    Raises:
      DataError: another rank, unequal lengths, or none.
      MetricError: a value that is not finite.
    """
    codes = np.asarray(codes, np.float64)
    factors = np.asarray(factors)
    codes = codes[:, None] if codes.ndim == 1 else codes
    factors = factors[:, None] if factors.ndim == 1 else factors
    where, fix = WHERE, "give codes [n, d] and factors [n, f]"
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        shapes = f"codes {codes.shape} and factors {factors.shape}"
        raise DataError(shapes, where, fix)
    if not codes.size or not factors.size:
        raise DataError("no codes or no factors", where, fix)
    for name, values in (("codes", codes), ("factors", factors)):
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row, column = np.argwhere(~np.isfinite(values))[0]
            raise MetricError(
                f"{values[row, column]} in {name} at [{row}, {column}]",
                where,
                "remove or repair that example",
            )
    classes = [np.unique(column, return_inverse=True)[1] for column in factors.T]
    return codes, np.stack(classes, axis=1)


def distinct(factors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Factors `[n]` as class numbers `[n]`, without those that say the same twice.

    A factor that follows from an earlier one and the other way about (a value and the
    number of that value) would be confused with it by every score. One of more than
    MAX_VALUES values is cut into NUM_BINS classes of about equal size.

    Raises:
      DataError: an empty factor.
      MetricError: a value that is not finite; names the factor.
    """
    kept: dict[str, np.ndarray] = {}
    for name, values in factors.items():
        values = checks.vector(values, WHERE, name)
        known, classes = np.unique(values, return_inverse=True)
        if len(known) > MAX_VALUES:
            cuts = np.quantile(values, np.arange(1, NUM_BINS) / NUM_BINS)
            classes = np.searchsorted(np.unique(cuts), values, side="right")
            classes = np.unique(classes, return_inverse=True)[1]
        if any(_one_to_one(classes, other) for other in kept.values()):
            continue
        kept[name] = classes
    return kept


def _one_to_one(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether class numbers `[n]` follow from one another, both ways."""
    pairs = np.unique(np.stack([a, b], 1), axis=0)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))


def _varying(factors: np.ndarray) -> list[int]:
    """Factors with more than one value; the others have no score."""
    columns = [j for j in range(factors.shape[1]) if factors[:, j].max() > 0]
    if not columns:
        raise DataError(
            "every factor is constant",
            "disentanglement metrics",
            "give factors that vary",
        )
    return columns


def entropy(classes: np.ndarray) -> float:
    """Entropy of class numbers `[n]` in nats (SciPy)."""
    classes = checks.integers(classes, WHERE, "classes")
    return float(stats.entropy(np.bincount(classes)))


def discrete_information(a: np.ndarray, b: np.ndarray) -> float:
    """I(a; b) of two arrays of class numbers `[n]`, plug-in, nats (scikit-learn)."""
    from sklearn.metrics import mutual_info_score

    a, b = checks.integers(a, WHERE, "a"), checks.integers(b, WHERE, "b")
    checks.same_length(WHERE, a=a, b=b)
    return float(mutual_info_score(a, b))


def binned(codes: np.ndarray, bins: int) -> np.ndarray:
    """Each dimension in bins of equal width, from its smallest to its largest value."""
    codes = checks.matrix(codes, WHERE, "codes")
    low, high = codes.min(0), codes.max(0)
    width = np.where(high > low, high - low, 1.0)
    numbers = np.floor((codes - low) / width * bins).astype(np.int64)
    return np.minimum(numbers, bins - 1)


def information_matrix(codes, factors, bins: int = NUM_BINS) -> np.ndarray:
    """I(bin of code i; factor j), `[d, f]` nats; `codes`, `factors` as of `check`."""
    codes = checks.matrix(codes, WHERE, "codes")
    factors = checks.matrix(factors, WHERE, "factors").astype(np.int64)
    checks.same_length(WHERE, codes=codes, factors=factors)
    numbers = binned(codes, bins)
    return np.array(
        [
            [discrete_information(code, factor) for factor in factors.T]
            for code in numbers.T
        ]
    )


def mig(codes, factors, bins: int = NUM_BINS) -> float:
    """Mutual information gap: mean over factors of (I_1 - I_2) / H(factor).

    I_1 and I_2 are the two largest I(code dim; factor); I_2 = 0 where there is one
    dim. Codes enter in `bins` bins of equal width. A constant factor is left out.
    Chen et al. 2018 (arXiv 1802.04942).
    """
    codes, factors = check(codes, factors)
    columns = _varying(factors)
    table = information_matrix(codes, factors[:, columns], bins)
    table = np.sort(np.concatenate([table, np.zeros((1, len(columns)))]), axis=0)
    entropies = np.array([entropy(factors[:, j]) for j in columns])
    return float(((table[-1] - table[-2]) / entropies).mean())


def modularity(codes, factors, bins: int = NUM_BINS) -> float:
    """Mean over code dims of 1 - (mass beside the best factor) / (best^2 (f - 1)).

    From squared informations; a dim without any information counts 0, and with one
    factor every other dim is 1. Ridgeway & Mozer 2018 (arXiv 1802.05312).
    """
    codes, factors = check(codes, factors)
    table = information_matrix(codes, factors[:, _varying(factors)], bins) ** 2
    best = table.max(1)
    if table.shape[1] == 1:
        return float((best > TINY).mean())
    rest = (table.sum(1) - best) / np.maximum(best, TINY) / (table.shape[1] - 1)
    return float(np.where(best > TINY, 1.0 - rest, 0.0).mean())


def _split(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(num)
    num_test = max(1, int(round(num * TEST_SHARE)))
    return order[num_test:], order[:num_test]


def _gap(scores: np.ndarray) -> float:
    ordered = np.sort(np.concatenate([scores, np.zeros((1, scores.shape[1]))]), axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def sap(codes, factors, continuous: bool = False, seed: int = 0) -> float:
    """Separated attribute predictability: mean gap of the two best single dims.

    The score of a dim for a factor is the test accuracy of a linear SVM on that dim
    alone (C = 0.01, balanced class weights), or the squared correlation where
    `continuous`. Kumar et al. 2018 (arXiv 1711.00848).
    """
    from sklearn.svm import LinearSVC

    values = np.asarray(factors, np.float64) if continuous else None
    codes, factors = check(codes, factors)
    columns = _varying(factors)
    scores = np.zeros((codes.shape[1], len(columns)))
    if continuous:
        values = values.reshape(len(codes), -1)
        for number, j in enumerate(columns):
            scores[:, number] = _squared_correlations(codes, values[:, j])
        return _gap(scores)
    train, test = _split(len(codes), seed)
    for number, j in enumerate(columns):
        target = factors[:, j]
        for i in range(codes.shape[1]):
            if len(np.unique(target[train])) < 2:
                continue
            model = LinearSVC(C=0.01, class_weight="balanced", random_state=0)
            model.fit(codes[train, i : i + 1], target[train])
            scores[i, number] = model.score(codes[test, i : i + 1], target[test])
    return _gap(scores)


def _squared_correlations(codes: np.ndarray, factor: np.ndarray) -> np.ndarray:
    centred, values = codes - codes.mean(0), factor - factor.mean()
    variances = (centred**2).mean(0)
    covariance = (centred * values[:, None]).mean(0)
    scale = np.maximum(variances * (values**2).mean(), np.finfo(float).tiny)
    return np.where(variances > 1e-12, covariance**2 / scale, 0.0)


def dci(codes, factors, seed: int = 0) -> dict[str, float]:
    """Disentanglement, completeness and informativeness by gradient-boosted trees.

    Feature importances R `[d, f]` of a classifier a factor. Disentanglement of dim i
    is 1 - H_f(R_i / sum R_i), weighted by row mass; completeness of factor j
    1 - H_d(R_j / sum R_j), by column mass; entropies to the base of the number of
    factors and dims (1 where that number is 1). Informativeness is the mean accuracy,
    `informativeness_train` and `informativeness_test`. Eastwood & Williams 2018.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    codes, factors = check(codes, factors)
    columns = _varying(factors)
    train, test = _split(len(codes), seed)
    importance = np.zeros((codes.shape[1], len(columns)))
    accuracies = np.zeros((2, len(columns)))
    for number, j in enumerate(columns):
        target = factors[:, j]
        if len(np.unique(target[train])) < 2:
            accuracies[:, number] = 1.0
            continue
        model = GradientBoostingClassifier(random_state=0)
        model.fit(codes[train], target[train])
        importance[:, number] = np.abs(model.feature_importances_)
        for row, part in enumerate((train, test)):
            accuracies[row, number] = model.score(codes[part], target[part])
    return {
        "disentanglement": _weighted_order(importance),
        "completeness": _weighted_order(importance.T),
        "informativeness_train": float(accuracies[0].mean()),
        "informativeness_test": float(accuracies[1].mean()),
    }


def _weighted_order(importance: np.ndarray) -> float:
    """Mean over rows, by their mass, of 1 - entropy of the row."""
    if not importance.sum() > 0:
        importance = np.ones_like(importance)
    shares = importance + TINY
    shares = shares / shares.sum(1, keepdims=True)
    order = np.ones(len(shares))
    if shares.shape[1] > 1:
        order += (shares * np.log(shares)).sum(1) / np.log(shares.shape[1])
    weights = importance.sum(1) / importance.sum()
    return float((weights * order).sum())


def _groups(factors: np.ndarray, column: int) -> list[np.ndarray]:
    """Rows of each value of a factor."""
    return [
        np.flatnonzero(factors[:, column] == v) for v in np.unique(factors[:, column])
    ]


def factor_vae_score(
    codes,
    factors,
    num_train: int = 10_000,
    num_test: int = 5_000,
    batch_size: int = 64,
    seed: int = 0,
) -> float:
    """Accuracy of a majority vote: which factor was fixed, from the stillest dim.

    A vote: `batch_size` examples that agree in one factor; the dim of the smallest
    variance relative to that of the whole set. Dims of a standard deviation below
    0.05 have no vote; where none is left the score is 0. Kim & Mnih 2018 (arXiv
    1802.05983).
    """
    codes, factors = check(codes, factors)
    columns = _varying(factors)
    variances = codes.var(0)
    active = np.flatnonzero(np.sqrt(variances) >= PRUNED_DEVIATION)
    if not len(active):
        return 0.0
    rng = np.random.default_rng(seed)
    groups = [_groups(factors, j) for j in columns]

    def votes(num):
        table = np.zeros((len(active), len(columns)), np.int64)
        chosen = rng.integers(len(columns), size=num)
        for number in chosen:
            group = groups[number][rng.integers(len(groups[number]))]
            rows = group[rng.integers(len(group), size=batch_size)]
            local = codes[np.ix_(rows, active)].var(0) / variances[active]
            table[int(local.argmin()), number] += 1
        return table

    decision = votes(num_train).argmax(1)
    test = votes(num_test)
    return float(test[np.arange(len(active)), decision].sum() / num_test)


def beta_vae_score(
    codes,
    factors,
    num_train: int = 2_000,
    num_test: int = 1_000,
    batch_size: int = 64,
    seed: int = 0,
) -> float:
    """Accuracy of a linear classifier: which factor was fixed, from mean |z - z'|.

    Pairs agree in one factor; the absolute difference of their codes, averaged over
    `batch_size` pairs, is the feature. Higgins et al. 2017.
    """
    from sklearn.linear_model import LogisticRegression

    codes, factors = check(codes, factors)
    columns = _varying(factors)
    if len(columns) < 2:
        return 1.0  # there is nothing to confuse
    rng = np.random.default_rng(seed)
    groups = [_groups(factors, j) for j in columns]
    members = [np.concatenate(parts) for parts in groups]
    sizes = [np.array([len(part) for part in parts]) for parts in groups]

    def features(num):
        chosen = rng.integers(len(columns), size=num)
        rows = np.zeros((num, codes.shape[1]))
        for row, number in enumerate(chosen):
            size = sizes[number]
            picks = rng.integers(len(size), size=batch_size)
            first = (size.cumsum() - size)[picks, None]
            pairs = first + rng.integers(size[picks, None], size=(batch_size, 2))
            a, b = codes[members[number][pairs.T]]
            rows[row] = np.abs(a - b).mean(0)
        return rows, chosen

    train, target = features(num_train)
    scale = np.maximum(train.std(0), TINY)
    model = LogisticRegression(max_iter=1000).fit(train / scale, target)
    test, expected = features(num_test)
    return float(model.score(test / scale, expected))


def irs(codes, factors, percentile: float = 0.99) -> float:
    """Interventional robustness: how still a dim stays while all but one factor change.

    For each factor and each of its values, the distance of the codes from their mean
    over that value, its upper percentile, averaged over values and divided by the
    largest distance from the overall mean; a dim scores 1 minus the smallest of
    these, weighted by its standard deviation. Suter et al. 2019 (arXiv 1811.00007).
    """
    codes, factors = check(codes, factors)
    columns = _varying(factors)
    largest = np.abs(codes - codes.mean(0)).max(0)
    moving = largest > 0
    if not moving.any():
        return 0.0
    scores = np.zeros((codes.shape[1], len(columns)))
    for number, j in enumerate(columns):
        groups = _groups(factors, j)
        spread = np.zeros(codes.shape[1])
        for group in groups:
            distance = np.abs(codes[group] - codes[group].mean(0))
            spread += np.quantile(distance, percentile, axis=0) * len(group)
        scores[moving, number] = 1.0 - (spread[moving] / len(codes)) / largest[moving]
    weights = codes.std(0)
    return float((scores.max(1) * weights).sum() / weights.sum())
