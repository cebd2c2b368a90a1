"""What a model says of rows one by one: clusters, codes, bounds, and what is unusual.

The estimators and `--mode=encode|predict|evaluate --input` call these functions: the
same row gets the same values from both.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import softmax

from infovae_jax.config import sealed
from infovae_jax.data import batches
from infovae_jax.errors import CheckpointError
from infovae_jax.evaluation.encoding import encode_split
from infovae_jax.training import elbo, files
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run
from infovae_jax.training.saved import Saved

# Draws of the bound of each row.
SAMPLES = 10
BOUND = f"evidence lower bound of the row, nats, mean of {SAMPLES} draws"
# A row is unusual below this quantile of the bounds of training rows, of which so many,
# drawn at random, are looked at.
QUANTILE, MAX_ROWS = 0.001, 10_000
FILE = "training_bounds.json"
WANTED = ("codes", "bounds")


class Results(NamedTuple):
    """Of `n` rows, in their order.

    Attributes:
      mean: posterior means `[n, d]`, or None where not asked for.
      log_var: their log-variances `[n, d]`, or None.
      cluster: the most probable cluster, of an N-VAE class, int64 `[n]`, or None where
        the objective has none.
      probability: q(c | x), float64 `[n, K]`, or None.
      bound: nats, float64 `[n]`, or None where not asked for.
    """

    mean: np.ndarray | None
    log_var: np.ndarray | None
    cluster: np.ndarray | None
    probability: np.ndarray | None
    bound: np.ndarray | None


def bounds(run: Run, params: Any, x: np.ndarray, seed: int) -> np.ndarray:
    """The evidence lower bound of each row of x as stored, nats, float64 `[n]`."""
    binarize = run.config.data.binarize
    bound = run.kept(
        "row_bound",
        lambda: seldom(elbo.make_row_bound(run.objective, SAMPLES, binarize)),
    )
    key, size = jax.random.key(seed), run.config.evaluation.batch_size
    rows = batches.map_batches(
        lambda batch: bound(params, batch, key), x, size, pad=True
    )
    return rows.astype(np.float64)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """q(c | x) of its logits, float64."""
    return softmax(logits.astype(np.float64), axis=-1)


def results(
    run: Run,
    params: Any,
    x: np.ndarray,
    first: int = 0,
    wanted: tuple[str, ...] = WANTED,
) -> Results:
    """What the model says of rows `[n, H, W, C]` as stored.

    Args:
      run: with or without its data.
      params: of its objective.
      x: rows.
      first: number of the first in what they are a part of; see `encode_split`.
      wanted: of WANTED, what is asked for beside clusters.
    """
    encoded, cluster, probability, bound = None, None, None, None
    if "codes" in wanted or run.objective.classify is not None:
        encoded = encode_split(run, params, x, first)
        if encoded.logits is not None:
            cluster = encoded.logits.argmax(-1).astype(np.int64)
            probability = probabilities(encoded.logits)
    if "bounds" in wanted:
        bound = bounds(run, params, x, run.config.seed)
    codes = (encoded.mean, encoded.log_var) if "codes" in wanted else (None, None)
    return Results(*codes, cluster, probability, bound)


def unusual_below(saved: Saved) -> float | None:
    """The bound below which a row counts as unusual, nats; None where not known yet.

    Raises:
      CheckpointError: what `keep_unusual_below` wrote is damaged.
    """
    path = saved.folder / FILE
    if not path.exists():
        return None
    try:
        record = sealed.read(path)
        return float(record["quantiles"][_key(saved)])
    except sealed.Damaged as error:
        raise CheckpointError(
            f"damaged ({error})", str(path), "delete it; it is made again"
        ) from None
    except (KeyError, TypeError, ValueError):
        return None


def keep_unusual_below(saved: Saved) -> float:
    """Looks at the training rows of a run with its data; keeps the bound beside it.

    The QUANTILE of the bounds of at most MAX_ROWS training rows, drawn by the seed.
    """
    run = saved.run
    x = run.dataset.train_x
    if len(x) > MAX_ROWS:
        rng = np.random.default_rng(run.config.seed)
        x = x[np.sort(rng.choice(len(x), MAX_ROWS, replace=False))]
    found = bounds(run, saved.params, np.asarray(x), run.config.seed)
    value = float(np.quantile(found, QUANTILE))
    path = saved.folder / FILE
    try:
        quantiles = dict(sealed.read(path)["quantiles"])
    except (sealed.Damaged, KeyError, TypeError, ValueError):
        quantiles = {}
    record = {"quantile": QUANTILE, "quantiles": quantiles | {_key(saved): value}}
    files.write_record(path, record)
    return value


def _key(saved: Saved) -> str:
    member = "" if saved.run.member is None else f", member {saved.run.member}"
    return f"step {saved.step}{member}"
