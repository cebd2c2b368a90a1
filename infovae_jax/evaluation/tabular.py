"""Figures of tables: how well each column comes back, and what a cluster is.

Functions of rows `[n, W]` as stored and of the scheme that made them.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.data.columns import Scheme
from infovae_jax.data.kinds import Column
from infovae_jax.distributions.columns import COUNTS
from infovae_jax.distributions.likelihoods import as_values
from infovae_jax.evaluation import clustering
from infovae_jax.types import Array, Objective

OF_COLUMN = "cluster/column/"  # how much clusters tell of a column


class Feature(NamedTuple):
    """One number of a row: a column, or one category of it.

    Attributes:
      name: 'age', or 'colour = red'.
      column: the column.
      index: place in a row.
    """

    name: str
    column: Column
    index: int


def features(scheme: Scheme) -> list[Feature]:
    """All numbers of a row, in the order of the table's columns."""
    found, at = [], scheme.slices()
    for column in scheme.used:
        start = at[column.name].start
        if column.kind == "categorical":
            found += [
                Feature(f"{column.name} = {level}", column, start + i)
                for i, level in enumerate(column.levels)
            ]
        elif column.kind == "binary":
            name = f"{column.name} = {column.levels[1]}"
            found.append(Feature(name, column, start))
        else:
            found.append(Feature(column.name, column, start))
    return found


def in_units(feature: Feature, values: np.ndarray) -> np.ndarray:
    """Numbers of a row in the column's own units; of categories they stay shares."""
    if feature.column.kind in COUNTS:
        return np.expm1(values)
    return values * feature.column.factor + (
        feature.column.shift if feature.column.kind == "numeric" else 0.0
    )


def column_scores(
    scheme: Scheme, x: np.ndarray, mean: np.ndarray
) -> dict[str, tuple[float, str]]:
    """How well each column comes back: name -> (score, recipe).

    R^2 of numbers (of counts, of log(1 + count)), 0 where the column is constant; of
    categories the share that is right, with that of the most frequent one beside it.

    Args:
      scheme: of the table.
      x: rows as stored, `[n, W]`.
      mean: what their codes are decoded to, `[n, W]`.
    """
    scores, at = {}, scheme.slices()
    for column in scheme.used:
        own, back = x[:, at[column.name]], mean[:, at[column.name]]
        if column.kind in ("categorical", "binary"):
            if column.kind == "categorical":
                own, back = own.argmax(-1), back.argmax(-1)
            else:
                own, back = own[:, 0] >= 0.5, back[:, 0] >= 0.5
            share = np.bincount(own.astype(np.int64)).max() / len(own)
            text = f"share that comes back; the most frequent value has {share:.3f}"
            scores[column.name] = float((own == back).mean()), text
            continue
        total = float(((own - own.mean()) ** 2).sum(dtype=np.float64))
        left = float(((own - back) ** 2).sum(dtype=np.float64))
        text = "R^2 of what comes back"
        text += " of log(1 + count)" if column.kind in COUNTS else ""
        scores[column.name] = (1.0 - left / total if total > 0 else 0.0), text
    return scores


def told_by_clusters(
    scheme: Scheme, x: np.ndarray, clusters: np.ndarray
) -> dict[str, float]:
    """How much clusters tell of each column: name -> share, from 0 to 1.

    Of categories the NMI; of numbers (of counts, of their logarithm) the share of the
    variance that is between clusters (eta^2), 0 of constant ones.

    Args:
      scheme: of the table.
      x: rows as stored, `[n, W]`.
      clusters: `[n]`.
    """
    shares, at = {}, scheme.slices()
    for column in scheme.used:
        own = np.asarray(x[:, at[column.name]], np.float64)
        if column.kind in ("categorical", "binary"):
            levels = own.argmax(-1) if own.shape[1] > 1 else own[:, 0] >= 0.5
            levels = levels.astype(np.int64)
            share = clustering.normalized_mutual_information(clusters, levels)
        else:
            inside = np.zeros(len(own))
            for cluster in np.unique(clusters):
                inside[clusters == cluster] = own[clusters == cluster, 0].mean()
            spread = own.var()
            share = float(inside.var() / spread) if spread > 1e-12 else 0.0
        shares[column.name] = share
    return shares


def of_clusters(
    x: np.ndarray, clusters: np.ndarray, num: int, scheme: Scheme | None
) -> dict[str, float]:
    """Figures of clusters of rows without labels: name -> value.

    Args:
      x: as stored, `[n, 1, W, 1]`.
      clusters: `[n]`.
      num: K.
      scheme: of a table, whose columns are then compared, or None.
    """
    found = clustering.beside_kmeans(as_values(x), clusters, num)
    if scheme is not None:
        shares = told_by_clusters(scheme, x.reshape(len(x), -1), clusters)
        found |= {OF_COLUMN + name: share for name, share in shares.items()}
    return found


def draw(
    key: Array, objective: Objective, params: Any, num: int, cluster: Any = None
) -> Array:
    """New rows `[num, 1, W, 1]` as stored: draws of p(x | z), z of the prior.

    `cluster`: the one that all are of, or that of each, `[num]`; None: of any.
    """
    key_z, key_x = jax.random.split(key)
    z = objective.sample_code(key_z, params, num, cluster)
    return objective.draw(key_x, params, z)


def drawn(
    key: Array,
    objective: Objective,
    params: Any,
    scheme: Scheme,
    num: int,
    cluster: int | None = None,
) -> Any:
    """`draw` as a frame in the table's units, with the cluster of each row first.

    Its column is `cluster`, of an N-VAE `class`, or where the table has such a one
    `drawn_cluster` or `drawn_class`; of systems without clusters there is none.
    """
    if objective.classify is None:
        return scheme.decode(draw(key, objective, params, num, cluster), drawn=True)
    if cluster is None:
        count = objective.prior.mean.shape[0]
        clusters = jax.random.randint(jax.random.fold_in(key, 2), (num,), 0, count)
    else:
        clusters = np.full(num, cluster, np.int32)
    rows = draw(key, objective, params, num, clusters)
    frame, name = scheme.decode(rows, drawn=True), "cluster"
    if objective.uses_labels:
        name = "class"
    if name in frame.columns:
        name = f"drawn_{name}"
    frame.insert(0, name, np.asarray(clusters))
    return frame


def profiles(
    scheme: Scheme, x: np.ndarray, clusters: np.ndarray, num_clusters: int
) -> tuple[np.ndarray, np.ndarray]:
    """What distinguishes each cluster: its means, and how far off they are.

    Args:
      scheme: of the table.
      x: rows as stored, `[n, W]`.
      clusters: `[n]`.
      num_clusters: K.

    Returns:
      Means `[K, F]` of the `features` in their own units, NaN of a cluster without
      rows; and how far the means of what is stored (of counts, of their logarithm) are
      from those of all rows, in standard deviations of all rows, 0 of a cluster without
      rows and of constant numbers.
    """
    found = features(scheme)
    x = np.asarray(x, np.float64)[:, [feature.index for feature in found]]
    own = np.stack([in_units(f, x[:, i]) for i, f in enumerate(found)], axis=1)
    spread = x.std(0)
    means, away = np.full((2, num_clusters, len(found)), np.nan)
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        means[cluster], away[cluster] = own[inside].mean(0), x[inside].mean(0)
    away = (away - x.mean(0)) / np.where(spread > 1e-6, spread, np.inf)
    return means, np.nan_to_num(away)
