"""How the assignments to clusters change as training goes: a row an evaluation."""

import base64
import binascii
import zlib
from collections.abc import Callable, MutableMapping
from typing import Any

import numpy as np

from infovae_jax.evaluation.assignments import cluster_information
from infovae_jax.evaluation.clustering import clustering_accuracy
from infovae_jax.evaluation.encoding import encode_split, require_finite
from infovae_jax.training.run import Run

PREFIX = "assignment/"


def churn(clusters: np.ndarray, before: np.ndarray) -> float:
    """Share of examples whose cluster, `[n]`, is another than `before`.

    The names of clusters keep their meaning within a run, so none are matched.
    """
    return float((clusters != before).mean())


def packed(clusters: np.ndarray) -> str:
    """Cluster numbers `[n]` as a short text, which `unpacked` reads."""
    compressed = zlib.compress(clusters.astype("<u4").tobytes())
    return base64.b64encode(compressed).decode("ascii")


def unpacked(text: str | None, count: int) -> np.ndarray | None:
    """The numbers of `packed`; None where it is not a text of `count` of them."""
    try:
        stored = zlib.decompress(base64.b64decode(text or "", validate=True))
    except (binascii.Error, zlib.error):
        return None
    return np.frombuffer(stored, "<u4") if len(stored) == 4 * count else None


def make_assignment_evaluator(
    run: Run, remembered: MutableMapping[str, Any]
) -> Callable[..., dict[str, float]]:
    """`evaluate(params)`: figures of q(c | x) over the whole test split.

    `assignment/entropy` and `assignment/mutual_information` in nats,
    `assignment/smallest` and `assignment/largest` (shares of the examples in the
    smallest and the largest cluster), from the second evaluation on `assignment/churn`
    (share of the examples that changed cluster since the one before), and where the
    data carry labels `assignment/accuracy`, clusters matched one to one: labels score,
    and steer nothing. The last assignments are kept in `remembered`, see `loop.train`.
    Empty for an objective that does not cluster, or learns from labels; NonFiniteError
    where the model diverged.
    """
    objective, dataset = run.objective, run.dataset
    if objective.classify is None or objective.uses_labels:
        return lambda params: {}
    num_clusters = objective.prior.mean.shape[0]

    def evaluate(params) -> dict[str, float]:
        logits = encode_split(run, params, dataset.test_x).logits
        require_finite(logits, PREFIX + "entropy")
        clusters = logits.argmax(-1)
        found = cluster_information(logits)
        shares = np.bincount(clusters, minlength=num_clusters) / len(clusters)
        before = unpacked(remembered.get(PREFIX), len(clusters))
        remembered[PREFIX] = packed(clusters)
        figures = {
            "entropy": found["entropy"],
            "mutual_information": found["mutual_information"],
            "smallest": shares.min(),
            "largest": shares.max(),
        }
        if before is not None:
            figures["churn"] = churn(clusters, before)
        if dataset.test_y is not None:
            figures["accuracy"] = clustering_accuracy(clusters, dataset.test_y)
        return {PREFIX + name: float(value) for name, value in figures.items()}

    return evaluate
