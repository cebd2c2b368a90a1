"""The information plane: what a code says of the image, and of the label."""

from collections.abc import Callable

import jax
import numpy as np

from infovae_jax.data import batches
from infovae_jax.data.subsets import take
from infovae_jax.distributions import Gaussian
from infovae_jax.evaluation import subsets
from infovae_jax.evaluation.codes import information_bounds, part_slices
from infovae_jax.evaluation.encoding import encode_split, require_finite
from infovae_jax.evaluation.probes import standardized
from infovae_jax.training.run import Run

DATA, LABEL = "information/data", "information/label"
# Share of the uniform guess in the probe's answer: one test example of a class that
# the probe never saw, or a confident mistake, does not make the bound -infinity.
UNIFORM_SHARE = 1e-3
# The bound holds for a probe that stopped early, and half the time is saved.
TOLERANCE = 1e-3


def label_information(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    num_labels: int,
) -> float:
    """H(y) - E[-log r(y | z)] in nats, a lower bound on I(z; y).

    r is multinomial logistic regression (L2 penalty 1) on standardised training
    codes, mixed with a thousandth of the uniform guess; the expectation and H(y) are
    those of the test codes. Barber & Agakov 2003, equation 3: the bound holds for any
    r, and below 0 it says that the probe failed, not that z knows nothing.

    Args:
      train: codes `[n, d]` drawn from q(z | x).
      train_labels: `[n]`.
      test: codes `[m, d]`, drawn likewise.
      test_labels: `[m]`.
      num_labels: L; labels are 0..L-1.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = standardized(train, test)
    guess = np.zeros((len(test), num_labels))
    present = np.unique(train_labels)
    if len(present) > 1:
        probe = LogisticRegression(max_iter=2000, tol=TOLERANCE).fit(
            train, train_labels
        )
        guess[:, probe.classes_] = probe.predict_proba(test)
    else:
        guess[:, present] = 1.0
    guess = (1.0 - UNIFORM_SHARE) * guess + UNIFORM_SHARE / num_labels
    loss = -np.log(guess[np.arange(len(test)), test_labels]).mean()
    shares = np.bincount(test_labels, minlength=num_labels) / len(test_labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum() - loss)


def make_plane_evaluator(run: Run) -> Callable[..., dict[str, float]]:
    """`evaluate(params) -> {'information/data', 'information/label'}`, nats.

    The axes of the information plane (Tishby, Pereira & Bialek 1999,
    arXiv physics/0004057; with bounds for both, Alemi et al. 2018, arXiv 1711.00464,
    and Poole et al. 2019, arXiv 1905.06922): `information/data` is a lower bound on
    I_q(x; z) over 1,000 test examples, at most the log of their number;
    `information/label` that of `label_information` with 2,000 training codes, where
    the data carry labels; the examples are draws, see `subsets`. Both of the same code:
    one z ~ q(z | x) an example by a fixed key, the dims that have noise (no class
    probabilities, no code without prior), of the most probable cluster's posterior
    where there are clusters.
    Empty for a code without such dims; NonFiniteError where the model diverged.
    """
    dataset = run.dataset
    posteriors, noisy = _make_posteriors(run)
    if not noisy:
        return lambda params: {}
    keys = jax.random.split(jax.random.key(run.config.evaluation.seed), 5)
    train_rows, test_rows = (subsets.indices(run, name) for name in (LABEL, DATA))
    train_x, test_x = (
        _once_drawn(run, take(x, rows), key)
        for x, rows, key in (
            (dataset.train_x, train_rows, keys[0]),
            (dataset.test_x, test_rows, keys[1]),
        )
    )

    def evaluate(params) -> dict[str, float]:
        q = posteriors(params, test_x, DATA)
        figures = {DATA: information_bounds(*q, keys[2]).lower}
        if dataset.train_y is not None and dataset.test_y is not None:
            figures[LABEL] = label_information(
                _drawn(posteriors(params, train_x, LABEL), keys[3]),
                np.asarray(dataset.train_y[train_rows]),
                _drawn(q, keys[4]),
                np.asarray(dataset.test_y[test_rows]),
                dataset.spec.num_labels,
            )
        return figures

    return evaluate


def _make_posteriors(run: Run) -> tuple[Callable[..., Gaussian], int]:
    """`posteriors(params, x, metric)` of the dims that have noise, and their number."""
    parts = part_slices(run.objective).values()
    noisy = np.concatenate(
        [np.full(part.size, part.kind == "prior") for _, part in parts]
    )

    def posteriors(params, x, metric: str) -> Gaussian:
        # The program that encodes the whole split, too.
        q = encode_split(run, params, x)[:2]
        require_finite(np.concatenate(q, axis=-1), metric)
        return Gaussian(*(side[:, noisy] for side in q))

    return posteriors, int(noisy.sum())


def _once_drawn(run: Run, x: np.ndarray, key) -> np.ndarray:
    """Images as stored; of those that are drawn anew in each step one draw."""
    kind = run.config.data.binarize
    if kind != "stochastic":
        return np.asarray(x)
    return np.asarray(batches.prepare(np.asarray(x), key, kind))


def _drawn(q: Gaussian, key) -> np.ndarray:
    """One z ~ q an example, `[n, d]`."""
    noise = np.asarray(jax.random.normal(key, q.mean.shape))
    return q.mean + np.exp(0.5 * q.log_var) * noise
