"""Which real examples show what a cluster is."""

from typing import Any, NamedTuple

import numpy as np

from infovae_jax.report.figures import Scene, cluster_name, shown_clusters, value_range

OF_EACH = 4
KINDS = ("centre", "typical", "borderline", "wrongly matched")
MISTAKES = "mistakes"  # of a classifier that learned from labels


class Members(NamedTuple):
    """Examples of a cluster, as positions among all; fewer where there are fewer.

    Attributes:
      centre: nearest to the mean code of its members, the nearest first.
      typical: as far from it as half of the members are, give or take.
      borderline: of the smallest lead over the second most probable cluster.
      wrong: of another label than the cluster is matched to, the most certain first;
        empty without labels, and of a cluster without a match.
    """

    centre: np.ndarray
    typical: np.ndarray
    borderline: np.ndarray
    wrong: np.ndarray


def choose_members(
    codes: np.ndarray,
    probabilities: np.ndarray,
    num: int = OF_EACH,
    labels: np.ndarray | None = None,
    matched: np.ndarray | None = None,
) -> list[Members]:
    """Real examples that show what each cluster is.

    Args:
      codes: posterior means `[n, d]`.
      probabilities: q(c | x) `[n, K]`; the most probable cluster has the example.
      num: of each kind.
      labels: `[n]`, or None.
      matched: label of each cluster `[K]`, below 0 for none; with labels.

    Returns:
      K of them.
    """
    clusters = probabilities.argmax(1)
    ranked = np.sort(probabilities, axis=1)
    second = ranked[:, -2] if ranked.shape[1] > 1 else 0.0
    lead = ranked[:, -1] - second
    found = []
    for cluster in range(probabilities.shape[1]):
        own = np.flatnonzero(clusters == cluster)
        if not len(own):
            found.append(Members(*[own] * 4))
            continue
        distance = np.linalg.norm(codes[own] - codes[own].mean(0), axis=1)
        order = own[np.argsort(distance, kind="stable")]
        middle = max(0, len(own) // 2 - num // 2)
        wrong = own[:0]
        if labels is not None and matched is not None and matched[cluster] >= 0:
            wrong = own[np.asarray(labels)[own] != matched[cluster]]
            wrong = wrong[np.argsort(-lead[wrong], kind="stable")]
        found.append(
            Members(
                order[:num],
                order[middle : middle + num],
                own[np.argsort(lead[own], kind="stable")][:num],
                wrong[:num],
            )
        )
    return found


def gallery(scene: Scene) -> dict[str, Any] | None:
    """Rows: clusters; columns: real examples of each kind; none of tables."""
    logits = scene.codes.logits
    # A row of a table is no picture; `tables.cluster_profiles` tells its clusters.
    if logits is None or logits.shape[-1] < 2 or scene.run.dataset.spec.blocks:
        return None
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = shifted / shifted.sum(1, keepdims=True)
    told = scene.labels is not None
    members = choose_members(
        scene.codes.mean, probabilities, OF_EACH, scene.labels, scene.matched
    )
    shown, kinds = shown_clusters(scene), KINDS if told else KINDS[:3]
    if told and scene.run.objective.uses_labels:
        kinds = (*KINDS[:3], MISTAKES)
    blank = (len(shown), len(kinds), OF_EACH, *scene.test_x.shape[1:])
    images = np.full(blank, np.nan, np.float32)
    for row, cluster in enumerate(shown):
        for place, chosen in enumerate(members[cluster][: len(kinds)]):
            images[row, place, : len(chosen)] = scene.test_x[chosen]
    counts = np.bincount(logits.argmax(1), minlength=logits.shape[-1])
    return {
        "images": images,
        "names": [f"{cluster_name(scene, c)}, {counts[c]}" for c in shown],
        "kinds": kinds,
        "value_range": value_range(scene),
    }
