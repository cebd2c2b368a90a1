"""Joachims' transductive SVM, one against rest: M1+TSVM of the VIMAE paper.

The labels of the unlabelled codes are part of the solution: they start from a plain
SVM and are switched in pairs. That takes thousands of fits. With a linear kernel they
run in the primal by Newton steps on a hinge rounded off within ROUNDING of its corner
(Chapelle 2007), each from the last plane; the plane that is kept is then the exact
SVM of scikit-learn on the labels found.
"""

from typing import NamedTuple

import numpy as np

from infovae_jax.evaluation import checks
from infovae_jax.evaluation.probes import standardized

ROUNDING = 0.05
FIRST_LEVEL, LEVEL_FACTOR = 1e-3, 4.0
NEWTON_STEPS = 50
WHERE = "transductive SVM"


class TransductiveSVM(NamedTuple):
    """A fitted machine.

    Attributes:
      reference: the labelled codes `[n, d]`, whose moments standardise all others.
      classes: `[L]` labels.
      models: one fitted SVC a class; empty where there is one class.
    """

    reference: np.ndarray
    classes: np.ndarray
    models: tuple

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Labels of codes `[m, d]`: the class of the largest decision value, `[m]`."""
        codes = checks.matrix(codes, WHERE, "codes")
        if not self.models:
            return np.full(len(codes), self.classes[0])
        codes = standardized(self.reference, codes)[1]
        values = [model.decision_function(codes) for model in self.models]
        return self.classes[np.argmax(values, axis=0)]


def fit_transductive_svm(
    train,
    train_labels,
    unlabelled,
    penalty: float = 1.0,
    unlabelled_penalty: float = 1.0,
    kernel: str = "linear",
    max_switches: int = 10_000,
) -> TransductiveSVM:
    """Fits 1/2 |w|^2 + C sum_labelled hinge + C* sum_unlabelled hinge, labels free.

    The share of positives among the unlabelled is that among the labelled. A pair of
    opposite labels is switched while both have positive slack, above 2 together; C*
    rises to its value from a thousandth of it, by fours (Joachims 1999 doubles it
    from 1e-5, at three times the cost). With `unlabelled_penalty = 0` it is the plain
    SVM.

    Args:
      train: labelled codes `[n, d]`.
      train_labels: `[n]`.
      unlabelled: codes `[m, d]`.
      penalty: C of the labelled.
      unlabelled_penalty: C* of the unlabelled at the end.
      kernel: 'linear' or 'rbf' (width 1 / d; slow, every fit in the dual).
      max_switches: of labels, in all.

    Raises:
      DataError: empty or unlike arrays; MetricError: a value that is not finite.
    """
    reference = checks.matrix(train, WHERE, "train")
    train_labels = checks.integers(train_labels, WHERE, "train_labels")
    unlabelled = checks.matrix(unlabelled, WHERE, "unlabelled")
    checks.same_length(WHERE, train=reference, train_labels=train_labels)
    checks.same_width(WHERE, train=reference, unlabelled=unlabelled)
    train, unlabelled = standardized(reference, unlabelled)
    classes = np.unique(train_labels)
    if len(classes) < 2:
        return TransductiveSVM(reference, classes, ())
    settings = (penalty, unlabelled_penalty, kernel, max_switches)
    models = [
        _one_against_rest(train, train_labels == label, unlabelled, *settings)
        for label in classes
    ]
    return TransductiveSVM(reference, classes, tuple(models))


def transductive_svm(train, train_labels, unlabelled, **settings) -> np.ndarray:
    """Labels `[m]` of the unlabelled codes; arguments as `fit_transductive_svm`."""
    model = fit_transductive_svm(train, train_labels, unlabelled, **settings)
    return model.predict(unlabelled)


def _one_against_rest(
    train, positive, unlabelled, penalty, unlabelled_penalty, kernel, max_switches
):
    """The fitted SVC of one class."""
    signs = np.where(positive, 1, -1)
    weights = np.full(len(train), float(penalty))
    model = _fit_svc(kernel, train, signs, weights)
    if not unlabelled_penalty > 0:
        return model
    values = model.decision_function(unlabelled)
    num_positive = int(round(positive.mean() * len(unlabelled)))
    num_positive = min(max(num_positive, 1), len(unlabelled) - 1)
    guess = np.full(len(unlabelled), -1)
    guess[np.argsort(-values)[:num_positive]] = 1
    both = np.concatenate([train, unlabelled])
    plane = np.zeros(train.shape[1] + 1)
    level, switches = FIRST_LEVEL * unlabelled_penalty, 0
    while True:
        weights = np.concatenate(
            [np.full(len(train), float(penalty)), np.full(len(unlabelled), level)]
        )
        while switches < max_switches:
            targets = np.concatenate([signs, guess])
            if kernel == "linear":
                plane = rounded_svm(both, targets, weights, plane)
                values = unlabelled @ plane[:-1] + plane[-1]
            else:
                model = _fit_svc(kernel, both, targets, weights)
                values = model.decision_function(unlabelled)
            moved = _switch(guess, np.maximum(0.0, 1.0 - guess * values))
            if not moved:
                break
            switches += moved
        if level >= unlabelled_penalty or switches >= max_switches:
            return _fit_svc(kernel, both, np.concatenate([signs, guess]), weights)
        level = min(LEVEL_FACTOR * level, unlabelled_penalty)


def _fit_svc(kernel: str, x, targets, weights):
    from sklearn.svm import SVC

    model = SVC(C=1.0, kernel=kernel, gamma=1.0 / x.shape[1])
    return model.fit(x, targets, sample_weight=weights)


def rounded_svm(x, targets, weights, start, rounding: float = ROUNDING) -> np.ndarray:
    """The plane of a linear SVM with a rounded hinge, by Newton's method.

    The hinge of t = 1 - y f is (t + r)^2 / 4r for |t| < r, and exact elsewhere: off by
    at most r / 4 an example.

    Args:
      x: codes `[n, d]`.
      targets: 1 or -1, `[n]`.
      weights: penalty of each example, `[n]`.
      start: plane to start from, `[d + 1]`.
      rounding: r.

    Returns:
      `[d + 1]`: the normal, then the offset.
    """
    signed = np.concatenate([x, np.ones((len(x), 1))], 1) * targets[:, None]
    ridge = np.ones(signed.shape[1])
    ridge[-1] = 1e-8  # the offset is free

    def state(plane):
        slack = 1.0 - signed @ plane
        inside = np.abs(slack) < rounding
        loss = np.where(
            inside, (slack + rounding) ** 2 / (4 * rounding), np.maximum(slack, 0.0)
        )
        return 0.5 * (ridge * plane**2).sum() + weights @ loss, slack, inside

    plane = np.array(start, np.float64)
    value, slack, inside = state(plane)
    for _ in range(NEWTON_STEPS):
        slope = np.clip((slack + rounding) / (2 * rounding), 0.0, 1.0)
        gradient = ridge * plane - signed.T @ (weights * slope)
        near = signed[inside] * np.sqrt(weights[inside] / (2 * rounding))[:, None]
        hessian = np.diag(ridge) + near.T @ near
        # Far from every corner nothing bends along the offset: a bounded step then.
        hessian[-1, -1] = max(hessian[-1, -1], 1e-2 * weights.sum())
        step = np.linalg.solve(hessian, gradient)
        decrease, size = gradient @ step, 1.0
        if decrease < 1e-8 * max(value, 1.0):
            break
        while size > 1e-6:
            new = state(plane - size * step)
            if new[0] <= value - 1e-4 * size * decrease:
                break
            size *= 0.5
        else:
            break
        plane = plane - size * step
        value, slack, inside = new
    return plane


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
