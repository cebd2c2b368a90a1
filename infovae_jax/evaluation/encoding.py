"""Codes of a split: what every group of figures starts from."""

from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.data import batches
from infovae_jax.evaluation.codes import part_slices
from infovae_jax.training.run import Run

MAX_TRAIN = 60_000  # first training examples that figures are fitted on


class Encoded(NamedTuple):
    """Codes of a split.

    Attributes:
      mean: posterior means `[n, d]` (of the most probable cluster's posterior).
      log_var: their log-variances `[n, d]`.
      logits: of q(c | x) `[n, K]`, or None.
    """

    mean: np.ndarray
    log_var: np.ndarray
    logits: np.ndarray | None


def encode_split(run: Run, params: Any, x: np.ndarray) -> Encoded:
    """Codes of all examples of `x` `[n, H, W, C]`, in order."""
    binarize = run.config.data.binarize
    size = min(run.config.evaluation.batch_size, len(x))

    @jax.jit
    def encode(params, batch, key):
        batch = batches.prepare(batch, key, binarize)
        q = run.objective.encode(params, batch)
        classify = run.objective.classify
        return q.mean, q.log_var, classify and classify(params, batch)

    key = jax.random.key(run.config.evaluation.seed)
    parts = []
    for number, (batch, valid) in enumerate(batches.padded_batches(x, size)):
        codes = encode(params, batch, jax.random.fold_in(key, number))
        keep = int(valid.sum())
        parts.append(jax.tree.map(lambda a, n=keep: np.asarray(a)[:n], codes))
    return Encoded(*jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts))


def prepared(run: Run, x: np.ndarray) -> np.ndarray:
    """Stored images as the model sees them in evaluation, by a fixed key."""
    key = jax.random.key(run.config.evaluation.seed)
    return np.asarray(batches.prepare(np.asarray(x), key, run.config.data.binarize))


class Split(NamedTuple):
    """One split as the evaluation sees it.

    Attributes:
      x: images as the model sees them, `[n, H, W, C]`.
      labels: `[n]` or None.
      codes: posterior means without class probabilities, `[n, d]`.
    """

    x: np.ndarray
    labels: np.ndarray | None
    codes: np.ndarray


class Splits(NamedTuple):
    """Both splits, and the function that makes such codes of images."""

    train: Split
    test: Split
    encode: Any


def make_splits(run: Run, params: Any) -> Splits:
    """Encodes both splits."""
    kinds = [
        np.full(part.size, part.kind != "class")
        for _, part in part_slices(run.objective).values()
    ]
    kept = np.concatenate(kinds)
    dataset = run.dataset

    @jax.jit
    def mean(x):
        return run.objective.encode(params, x).mean

    def encode(x):
        parts = [np.asarray(mean(x[i : i + 500])) for i in range(0, len(x), 500)]
        return np.concatenate(parts)[:, kept]

    parts = []
    for x, labels in (
        (dataset.train_x[:MAX_TRAIN], dataset.train_y),
        (dataset.test_x, dataset.test_y),
    ):
        codes = encode_split(run, params, x).mean[:, kept]
        labels = None if labels is None else np.asarray(labels[: len(x)])
        parts.append(Split(prepared(run, x), labels, codes))
    return Splits(*parts, encode)
