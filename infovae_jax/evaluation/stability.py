"""How alike the clusterings of several runs are; no labels are involved.

`clusterings` are the clusters of the same `n` examples by each of `r` runs: integers
`[r, n]`. The names of the clusters of a run mean nothing: scores are free of them.
"""

import itertools
from typing import NamedTuple

import numpy as np

from infovae_jax.errors import DataError
from infovae_jax.evaluation import checks
from infovae_jax.evaluation.clustering import (
    adjusted_rand_index,
    clustering_accuracy,
    contingency,
    match_clusters,
    normalized_mutual_information,
)

WHERE = "stability"


class Consensus(NamedTuple):
    """The majority vote of several clusterings.

    Attributes:
      clusters: the vote, `[n]`, in the names of the reference.
      reference: number of the run that agrees best with the others; they are matched
        to it one to one.
      share: mean over examples of the share of runs that voted for the winner.
      unanimous: share of examples on which all runs agree.
    """

    clusters: np.ndarray
    reference: int
    share: float
    unanimous: float


def _checked(clusterings) -> list[np.ndarray]:
    if len(clusterings) < 2:
        raise DataError(
            f"{len(clusterings)} clusterings",
            f"{WHERE}, clusterings",
            "give two at least",
        )
    checked = [checks.integers(c, WHERE, "clusterings") for c in clusterings]
    named = {f"clusterings[{i}]": c for i, c in enumerate(checked)}
    checks.same_length(WHERE, **named)
    return checked


def agreement(clusterings) -> dict[str, float]:
    """Mean over pairs of runs of ARI, NMI and the matched accuracy.

    Args:
      clusterings: `[r, n]` with r above 1.

    Returns:
      `ari`, `nmi`, `accuracy` (share of examples in matched clusters, one to one).

    Raises:
      DataError: fewer than two, empty or of unlike lengths; MetricError: NaN.
    """
    pairs = list(itertools.combinations(_checked(clusterings), 2))
    scores = {
        "ari": adjusted_rand_index,
        "nmi": normalized_mutual_information,
        "accuracy": clustering_accuracy,
    }
    return {
        name: float(np.mean([score(a, b) for a, b in pairs]))
        for name, score in scores.items()
    }


def consensus(clusterings) -> Consensus:
    """The majority vote after matching every run to the one that agrees best.

    A cluster without partner keeps a name of its own. Ties go to the lower name.

    Args:
      clusterings: `[r, n]` with r above 1.

    Raises:
      DataError: fewer than two, empty or of unlike lengths; MetricError: NaN.
    """
    runs = _checked(clusterings)
    totals = [sum(clustering_accuracy(a, b) for b in runs) for a in runs]
    reference = int(np.argmax(totals))
    aligned, used = [], int(runs[reference].max()) + 1
    for clusters in runs:
        matched = match_clusters(contingency(clusters, runs[reference]))
        rest = np.flatnonzero(matched < 0)
        matched[rest] = used + np.arange(len(rest))
        used += len(rest)
        aligned.append(matched[clusters])
    votes = np.zeros((used, len(runs[0])), np.int64)
    for clusters in aligned:
        votes[clusters, np.arange(len(clusters))] += 1
    best = votes.max(0)
    return Consensus(
        votes.argmax(0),
        reference,
        float(best.mean() / len(runs)),
        float((best == len(runs)).mean()),
    )
