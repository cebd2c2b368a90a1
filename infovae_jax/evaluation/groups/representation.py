"""The group `representation`: probes on few labels, and how they stand corruption.

M1+TSVM of the VIMAE paper (arXiv 1905.10549, tables III to V): codes of a frozen
model, a transductive SVM on few labels, clean and corrupted test images. The paper's
noise levels are not known; ours are SIGMAS and MASKS on the scale [0, 1].
"""

from typing import Any

import numpy as np

from infovae_jax.evaluation import probes, subsets, transductive
from infovae_jax.evaluation.encoding import Split, Splits
from infovae_jax.evaluation.table import Row
from infovae_jax.training.run import Run

NUM_LABELS = (100, 600, 1000, 3000)
NUM_DRAWS = 3
SIGMAS = MASKS = (0.1, 0.2, 0.3, 0.5)
ROBUST_LABELS = 1000
CORRUPTIONS = {"gaussian": probes.add_gaussian, "mask": probes.mask_pixels}


def rows(run: Run, params: Any, splits: Splits) -> list[Row]:
    """Probes on few labels, a transductive SVM, and accuracy under corruption.

    A number of labels is used where it is at most half the training split and every
    class has its share; `probe/label_counts` says which were.
    """
    del params
    if splits.train.labels is None:
        return []
    seed = run.config.evaluation.seed
    counts = label_counts(splits.train.labels)
    text = f"of {NUM_LABELS}: at most half the training split, the same of each class"
    rows = [Row("probe/label_counts", counts, text)]
    for num in counts:
        rows += _probes(splits, num, seed)
    corrupted = _corrupted_codes(splits, seed)
    rows += _robustness(splits, counts, corrupted, seed)
    for num in counts:
        rows += _transductive(run, splits, num, corrupted)
    return rows


def label_counts(labels: np.ndarray) -> list[int]:
    """Those of NUM_LABELS that training labels `[n]` can give in equal shares."""
    least = len(np.unique(labels))
    return [num for num in NUM_LABELS if least <= num <= _most_labels(labels)]


def _most_labels(labels: np.ndarray) -> int:
    sizes = np.unique(labels, return_counts=True)[1]
    return max(1, min(len(labels) // 2, int(sizes.min()) * len(sizes)))


def _probes(splits: Splits, num: int, seed: int) -> list[Row]:
    train, test = splits.train, splits.test
    scores = {"linear": [], "knn": []}
    for draw in range(NUM_DRAWS):
        chosen = probes.labelled_subset(train.labels, num, seed + draw)
        known = train.codes[chosen], train.labels[chosen]
        whole = (*known, test.codes, test.labels)
        scores["linear"].append(probes.linear_probe(*whole, seed=seed))
        scores["knn"].append(probes.knn_probe(*whole))
    recipes = {"linear": "logistic regression", "knn": "5 nearest codes"}
    return [
        Row(
            f"probe/{name}_{num}",
            float(np.mean(values)),
            f"share; {recipes[name]}, {num} labels, as many of each class, "
            f"draws by seeds {seed} to {seed + len(values) - 1}",
        )
        for name, values in scores.items()
    ]


def _corrupted_codes(splits: Splits, seed: int) -> dict[str, dict[float, np.ndarray]]:
    """Name -> level -> codes of the whole test split so corrupted; 0.0 is clean."""
    levels = {"gaussian": SIGMAS, "mask": MASKS}
    return {
        name: {
            0.0: splits.test.codes,
            **{a: splits.encode(corrupt(splits.test.x, a, seed)) for a in levels[name]},
        }
        for name, corrupt in CORRUPTIONS.items()
    }


def _robust_rows(prefix: str, score, corrupted, text: str) -> list[Row]:
    """Rows of `score(codes)` under every corruption, and the areas under them."""
    rows = []
    for name, levels in corrupted.items():
        scores = {level: score(codes) for level, codes in levels.items()}
        clean = scores.pop(0.0)
        if not rows:
            rows.append(Row(f"{prefix}clean", clean, text))
        rows += [Row(f"{prefix}{name}_{a}", value, text) for a, value in scores.items()]
        if not scores:
            continue
        area = probes.robustness(clean, scores)["area"]
        text_area = f"mean share of the clean accuracy up to {max(scores)}"
        rows.append(Row(f"{prefix}{name}_area", area, text_area))
    return rows


def _robustness(splits: Splits, counts, corrupted, seed: int) -> list[Row]:
    """Logistic regression on clean labels, scored on the corrupted test split."""
    train, labels = splits.train, splits.test.labels
    usable = [num for num in counts if num <= ROBUST_LABELS]
    num = max(usable, default=min(ROBUST_LABELS, _most_labels(train.labels)))
    probe = probes.fit_linear_probe(*_labelled(train, num, seed), seed)

    def score(codes):
        return probe.score(codes, labels)

    text = f"share; logistic regression on {num} clean labels"
    return _robust_rows("robust/", score, corrupted, text)


def _transductive(run: Run, splits: Splits, num: int, corrupted) -> list[Row]:
    """M1+TSVM: fitted on clean codes, with the clean test codes as unlabelled ones."""
    some = subsets.indices(run, "probe/tsvm")
    labels = splits.test.labels[some]
    known = _labelled(splits.train, num, run.config.evaluation.seed)
    model = transductive.fit_transductive_svm(*known, splits.test.codes[some])

    def score(codes):
        return float((model.predict(codes[some]) == labels).mean())

    text = f"share; transductive SVM, {num} labels, {subsets.text(run, 'probe/tsvm')}"
    rows = _robust_rows(f"robust/tsvm_{num}_", score, corrupted, text)
    return [Row(f"probe/tsvm_{num}", rows[0].value, rows[0].recipe), *rows]


def _labelled(train: Split, num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    chosen = probes.labelled_subset(train.labels, num, seed)
    return train.codes[chosen], train.labels[chosen]
