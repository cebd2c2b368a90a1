"""Codes of a split: what every group of figures starts from."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.data import batches, mapped_files
from infovae_jax.data.subsets import take
from infovae_jax.errors import NonFiniteError
from infovae_jax.evaluation import subsets
from infovae_jax.evaluation.codes import decoded, part_slices
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run

CORRUPTED_BATCH = 500
PREPARED_AT_ONCE = 10_000


class Encoded(NamedTuple):
    """Codes of a split.

    Attributes:
      mean: posterior means `[n, d]` (of the most probable cluster's posterior).
      log_var: their log-variances `[n, d]`.
      logits: of q(c | x) `[n, K]`, or None where the objective has no `classify`.
    """

    mean: np.ndarray
    log_var: np.ndarray
    logits: np.ndarray | None


def make_encode(run: Run) -> Callable[..., Encoded]:
    """`encode(params, batch [B, H, W, C] as stored, key) -> Encoded`, not jitted."""

    def encode(params, batch, key) -> Encoded:
        batch = batches.prepare(batch, key, run.config.data.binarize)
        q = run.objective.encode(params, batch)
        classify = run.objective.classify
        return Encoded(q.mean, q.log_var, classify and classify(params, batch))

    return encode


def encode_split(run: Run, params: Any, x: np.ndarray, first: int = 0) -> Encoded:
    """Codes of all examples of `x` `[n, H, W, C]`, in order.

    `first`: number of the first of them in the whole, of which x is a part; a multiple
    of `config.evaluation.batch_size`.
    """
    encode = run.kept("encode", lambda: seldom(make_encode(run)))
    encode = functools.partial(encode, params)
    settings = run.config.evaluation
    key, size = jax.random.key(settings.seed), settings.batch_size
    return batches.map_batches(encode, x, size, key, pad=True, first=first // size)


def decode_codes(run: Run, params: Any, codes: np.ndarray) -> np.ndarray:
    """What codes `[n, d]` are decoded to, the means of p(x | z) `[n, H, W, C]`."""
    return decoded(run.objective, params, codes, run.config.evaluation.batch_size)


def require_finite(codes: np.ndarray, metric: str) -> None:
    """Raises NonFiniteError, with the metric, where codes `[n, d]` are not finite."""
    bad = np.flatnonzero(~np.isfinite(codes).all(-1))
    if len(bad):
        raise NonFiniteError(
            f"'{metric}' has no value: the codes of {len(bad)} of {len(codes)} "
            "examples are not finite, the model diverged",
            f"the first is example {bad[0]}",
            "lower config.optimizer.learning_rate or set config.optimizer.clip_norm, "
            "and go on from an earlier checkpoint",
        )


class Codes:
    """Codes of both splits of a run, each encoded once, when first asked for."""

    def __init__(self, run: Run, params: Any):
        self._run, self._params = run, params

    @functools.cached_property
    def train(self) -> Encoded:
        """Of the training examples that figures are fitted on: `train_rows`."""
        x = take(self._run.dataset.train_x, self.train_rows)
        return encode_split(self._run, self._params, x)

    @functools.cached_property
    def train_rows(self) -> np.ndarray:
        """Their positions in the training split."""
        return subsets.indices(self._run, "codes")

    @functools.cached_property
    def test(self) -> Encoded:
        """Of the test split."""
        return encode_split(self._run, self._params, self._run.dataset.test_x)


def prepared(run: Run, x: np.ndarray) -> np.ndarray:
    """Stored images as the model sees them in evaluation, by a fixed key."""
    key = jax.random.key(run.config.evaluation.seed)
    return np.asarray(batches.prepare(np.asarray(x), key, run.config.data.binarize))


class Prepared:
    """`prepared` images of a split, made as they are asked for.

    A split may be larger than memory; of x as this, `x[rows]` is `prepared(x)[rows]`.
    Draws depend on the shape of all: of `data.binarize='stochastic'` the whole is kept.
    """

    def __init__(self, run: Run, x: np.ndarray):
        self._run, self._x = run, x
        self.shape = np.shape(x)

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, rows) -> np.ndarray:
        if self._run.config.data.binarize == "stochastic":
            return self._whole[rows]
        found = prepared(self._run, self._x[rows])
        mapped_files.release(self._x)
        return found

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self._whole, dtype)

    @functools.cached_property
    def _whole(self) -> np.ndarray:
        return prepared(self._run, self._x)

    @functools.cached_property
    def luminance(self) -> np.ndarray:
        """Mean of each image, `[n]`."""
        return np.concatenate([part.mean((1, 2, 3)) for part in self._parts()])

    @functools.cached_property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value."""
        low, high = zip(*((x.min(), x.max()) for x in self._parts()), strict=True)
        return float(min(low)), float(max(high))

    def _parts(self):
        for start in range(0, len(self), PREPARED_AT_ONCE):
            yield self[start : start + PREPARED_AT_ONCE]


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


def make_splits(run: Run, params: Any, codes: Codes | None = None) -> Splits:
    """Both splits with their codes; `codes` are those made already."""
    codes = codes or Codes(run, params)
    kinds = [
        np.full(part.size, part.kind != "class")
        for _, part in part_slices(run.objective).values()
    ]
    kept, dataset = np.concatenate(kinds), run.dataset

    @seldom
    def mean(x):
        return run.objective.encode(params, x).mean

    def encode(x):
        return batches.map_batches(mean, x, CORRUPTED_BATCH)[:, kept]

    def split(x, labels, encoded: Encoded) -> Split:
        labels = None if labels is None else np.asarray(labels)
        return Split(prepared(run, x), labels, encoded.mean[:, kept])

    rows, labels = codes.train_rows, dataset.train_y
    labels = None if labels is None else take(labels, rows)
    return Splits(
        split(take(dataset.train_x, rows), labels, codes.train),
        split(dataset.test_x, dataset.test_y, codes.test),
        encode,
    )
