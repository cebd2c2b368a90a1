"""What the pictures of a run on a table are drawn from."""

from typing import Any

import numpy as np

from infovae_jax.data.columns import Scheme
from infovae_jax.evaluation import tabular
from infovae_jax.report.figures import Scene, cluster_name, shown_clusters
from infovae_jax.report.pictures import tables

MAX_COLUMNS, MAX_FEATURES = 24, 30


def columns(scene: Scene) -> dict[str, Any] | None:
    """Each column of the test split beside as many draws of the model."""
    scheme = _scheme(scene)
    if scheme is None:
        return None
    shown, objective = scheme.used[:MAX_COLUMNS], scene.run.objective
    drawn = tabular.draw(scene.key, objective, scene.params, len(scene.test_x))
    values = (_values(scheme, _rows(rows)) for rows in (scene.test_x, drawn))
    counts = tables.column_counts(*values, [column.levels for column in shown])
    metrics = scene.evaluation.metrics
    scores = [metrics.get(f"column/{column.name}") for column in shown]
    return {
        "names": [column.name for column in shown],
        "scores": np.array(scores, float),
        **counts,
    }


def cluster_profiles(scene: Scene) -> dict[str, Any] | None:
    """Clusters against the numbers of a row that tell them apart most."""
    scheme, logits = _scheme(scene), scene.codes.logits
    if scheme is None or logits is None:
        return None
    x, shown = _rows(scene.test_x), shown_clusters(scene)
    means, away = tabular.profiles(scheme, x, logits.argmax(-1), logits.shape[-1])
    chosen = np.argsort(-np.abs(away[shown]).max(0), kind="stable")[:MAX_FEATURES]
    chosen = np.sort(chosen)
    features = tabular.features(scheme)
    counts = np.bincount(logits.argmax(-1), minlength=logits.shape[-1])
    return {
        "means": means[shown][:, chosen],
        "away": away[shown][:, chosen],
        "clusters": [
            f"{cluster_name(scene, int(c))}, {counts[c]} ({counts[c] / len(x):.0%})"
            for c in shown
        ],
        "features": [features[i].name for i in chosen],
    }


def _scheme(scene: Scene) -> Scheme | None:
    intake = scene.run.dataset.intake
    return intake and intake.scheme


def _rows(images: np.ndarray) -> np.ndarray:
    return np.asarray(images).reshape(len(images), -1)


def _values(scheme: Scheme, x: np.ndarray) -> np.ndarray:
    """Rows as stored `[n, W]` as values `[n, C]`, of a category its level's number."""
    values, at = [], scheme.slices()
    features = {feature.index: feature for feature in tabular.features(scheme)}
    for column in scheme.used[:MAX_COLUMNS]:
        own = x[:, at[column.name]]
        if column.kind == "categorical":
            values.append(own.argmax(1))
        elif column.kind == "binary":
            values.append(own[:, 0] >= 0.5)
        else:
            feature = features[at[column.name].start]
            values.append(tabular.in_units(feature, own[:, 0]))
    return np.stack(values, axis=1)
