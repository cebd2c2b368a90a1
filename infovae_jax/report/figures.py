"""What the pictures of a run are drawn from.

Each is a function of the scene that returns the arguments of a function of `pictures`,
or None where the picture does not apply (no clusters, no labels). Everything follows
from the parameters and a fixed key, so the same run gives the same bytes.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.data import subsets as draws
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.evaluation import Encoded, Prepared, clustering, code_paths, subsets
from infovae_jax.evaluation.codes import decoded
from infovae_jax.report.grids import COLUMNS
from infovae_jax.report.pictures import clusters
from infovae_jax.report.results import Evaluation
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run
from infovae_jax.types import DataSpec

MAP_LEAST = 5  # t-SNE needs neighbours
# Clusters that fit a picture; of more, those with the most test examples.
MAX_CLUSTERS = 40


class Scene(NamedTuple):
    """What the pictures are drawn from.

    Attributes:
      run: the opened run.
      params: its parameters.
      codes: of the test split.
      test_x: the test images as the model sees them, `[n, H, W, C]`, made as they are
        asked for.
      rows: of metrics.jsonl.
      evaluation: of evaluation.json.
      key: fixed PRNG key.
      matched: label of each cluster on the test split, `[K]`, or None.
      population: what `population.json` holds, where the run is a member of one.
    """

    run: Run
    params: Any
    codes: Encoded
    test_x: Prepared
    rows: list[dict[str, float]]
    evaluation: Evaluation
    key: Any
    matched: np.ndarray | None
    population: dict[str, Any] | None = None

    @property
    def num_clusters(self) -> int:
        """K of the prior; 1 where it has one component."""
        return self.run.objective.prior.mean.shape[0]

    @property
    def labels(self) -> np.ndarray | None:
        """Test labels, or None."""
        return self.run.dataset.test_y

    def decode(self, z) -> np.ndarray:
        """Decoder means of codes `[..., d]`."""
        decode = functools.partial(decoded, self.run.objective, self.params)
        return code_paths.in_shape(decode, np.asarray(z, np.float32))

    def codes_of_prior(self, num: int, cluster=None, **options) -> np.ndarray:
        """Codes `[num, d]` from the prior, or from the given clusters of it."""
        draw = functools.partial(self.run.objective.sample_code, num=num, **options)
        return np.asarray(seldom(draw)(self.key, self.params, cluster=cluster))


def plain_label(scene: Scene, label: int) -> str:
    """Name of a label, or its number; '?' where it is not known."""
    return clusters.name_of(label, scene.run.dataset.label_names)


def cluster_word(scene: Scene) -> str:
    """What a cluster is called: a class where training learned from labels."""
    return "class" if scene.run.objective.uses_labels else "cluster"


def plain_cluster(scene: Scene, cluster: int) -> str:
    """`3: 7` where cluster 3 is matched to the label 7; of class 3 its name."""
    if scene.run.objective.uses_labels:
        return plain_label(scene, cluster)
    if scene.matched is None or scene.matched[cluster] < 0:
        return str(cluster)
    return f"{cluster}: {plain_label(scene, int(scene.matched[cluster]))}"


def cluster_name(scene: Scene, cluster: int) -> str:
    """`3: '7'` where cluster 3 is matched to the label 7; of class 3 its name."""
    if scene.run.objective.uses_labels:
        return plain_label(scene, cluster)
    label = -1 if scene.matched is None else scene.matched[cluster]
    return clusters.cluster_name(cluster, label, scene.run.dataset.label_names)


def cluster_colours(scene: Scene, num_clusters: int) -> np.ndarray:
    """Number of the colour of each cluster, `[K]`; see `clusters.cluster_colours`."""
    if scene.matched is None:
        return np.arange(num_clusters)
    return clusters.cluster_colours(scene.matched)


def shown_clusters(scene: Scene) -> np.ndarray:
    """Numbers of the clusters to draw: all, or the MAX_CLUSTERS most used."""
    if scene.num_clusters <= MAX_CLUSTERS or scene.codes.logits is None:
        return np.arange(scene.num_clusters)[:MAX_CLUSTERS]
    assigned = scene.codes.logits.argmax(-1)
    shares = clustering.occupancy(assigned, scene.codes.logits.shape[-1])
    return np.sort(np.argsort(-shares, kind="stable")[:MAX_CLUSTERS])


def value_range(scene: Scene) -> tuple[float, float]:
    """Range that is drawn from black to white."""
    return _of_likelihood(scene.run.dataset.spec) or scene.test_x.value_range


def shown_range(spec: DataSpec, x: np.ndarray) -> tuple[float, float]:
    """The same for images x: of the likelihood, or where that has none, of x."""
    return _of_likelihood(spec) or (float(x.min()), float(x.max()))


def _of_likelihood(spec: DataSpec) -> tuple[float, float] | None:
    low, high = make_likelihood(spec).support
    return (low, high) if math.isfinite(high - low) else None


def grid(
    scene: Scene,
    images: np.ndarray,
    row_names: list[str] | None = None,
    column_names: list[str] | None = None,
) -> dict[str, Any]:
    """What `image_grid` is given: images `[rows, columns, H, W, C]` and their names."""
    return {
        "images": images,
        "value_range": value_range(scene),
        "row_names": row_names,
        "column_names": column_names,
    }


def columns_of(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Rows of metrics.jsonl as columns `[n]`, NaN where a row has no such number."""
    columns = {}
    for name in dict.fromkeys(name for row in reversed(rows) for name in row):
        values = [row.get(name) for row in rows]
        if all(value is None or isinstance(value, (int, float)) for value in values):
            columns[name] = np.array(values, float)
    return columns


def loss_curves(scene: Scene) -> dict[str, Any]:
    """All that was measured in training."""
    return columns_of(scene.rows)


def reconstructions(scene: Scene) -> dict[str, Any]:
    """Test images and their reconstructions from the posterior mean."""
    chosen = one_of_each(scene, 2 * COLUMNS)
    return {
        "originals": scene.test_x[chosen],
        "means": scene.decode(scene.codes.mean[chosen]),
        "value_range": value_range(scene),
    }


def one_of_each(scene: Scene, count: int) -> np.ndarray:
    """Test examples drawn by the seed, label after label where there are labels."""
    total, labels = len(scene.test_x), scene.labels
    order = draws.in_order(total, scene.run.config.evaluation.seed, labels)
    if labels is None:
        return order[:count]
    labels = np.asarray(labels)[order]
    rank = np.zeros(total, np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return order[np.lexsort((labels, rank))][:count]


def cluster_samples(scene: Scene) -> dict[str, Any] | None:
    """Columns: clusters; rows: draws z ~ N(mu_c, I)."""
    if scene.num_clusters < 2:
        return None
    draws, shown = 10, shown_clusters(scene)
    prior = scene.run.objective.prior
    mean, log_var = (np.asarray(array)[shown] for array in prior)
    noise = np.asarray(jax.random.normal(scene.key, (draws, *mean.shape)))
    images = scene.decode(mean[None] + np.exp(0.5 * log_var)[None] * noise)
    names = [cluster_name(scene, c) for c in shown]
    return grid(scene, images, column_names=names)


def prior_samples(scene: Scene) -> dict[str, Any]:
    """Decoder means of draws from the whole prior."""
    codes = scene.codes_of_prior(8 * COLUMNS).reshape(8, COLUMNS, -1)
    return grid(scene, scene.decode(codes))


def traversals(scene: Scene) -> dict[str, Any]:
    """One latent dim a row, moved about a typical code; the others stay."""
    variances = scene.codes.mean.var(0)
    all_names, kinds = code_paths.named_dims(scene.run.objective)
    movable = np.flatnonzero(kinds != "class")
    most = movable[np.argsort(-variances[movable])[: code_paths.MAX_DIMS]]
    dims, num = np.sort(most), COLUMNS + 1
    start = scene.codes.mean[one_of_each(scene, 1)]
    z = code_paths.along(start, dims, num, kinds, scene.codes.mean)[0]
    images = scene.decode(z)
    order = code_paths.by_change(images)
    dims, images = dims[order], images[order]
    names = [all_names[dim] for dim in dims]
    return grid(scene, images, names, traversal_columns(kinds[dims], num))


def traversal_columns(kinds: np.ndarray, num: int) -> list[str]:
    """Names of the columns of moved dims of these kinds."""
    if "free" in kinds:
        return ["min"] + [""] * (num - 2) + ["max"]
    shares = np.linspace(-1.0, 1.0, num)
    return [f"{code_paths.EXTENT * share:+.1f}" for share in shares]


def interpolations(scene: Scene) -> dict[str, Any]:
    """Straight lines between centroids (or, with one mode, between test codes)."""
    if scene.num_clusters > 1:
        number = shown_clusters(scene)
        ends = np.asarray(scene.run.objective.prior.mean)[number]
        following = np.roll(ends, -1, axis=0)
        names = [
            f"{a} to {b}" for a, b in zip(number, np.roll(number, -1), strict=True)
        ]
    else:
        chosen = one_of_each(scene, 10)
        ends = scene.codes.mean[chosen]
        following, names = np.roll(ends, -1, axis=0), None
    z = code_paths.straight(ends, following, COLUMNS)
    return grid(scene, scene.decode(z), names)


def moving_away(scene: Scene) -> dict[str, Any] | None:
    """Rows: clusters; columns: multiples of the centroid, from the origin outwards."""
    if scene.num_clusters < 2:
        return None
    multiples = np.linspace(0.0, 2.0, COLUMNS + 1)
    shown = shown_clusters(scene)
    means = np.asarray(scene.run.objective.prior.mean)[shown]
    z = multiples[None, :, None] * means[:, None]
    names = [cluster_name(scene, c) for c in shown]
    columns = [f"{multiple:.1f}" for multiple in multiples]
    return grid(scene, scene.decode(z), names, columns)


def latent_layout(scene: Scene) -> tuple[np.ndarray, np.ndarray] | None:
    """Which test examples a map shows, `[n]`, and where, `[n, 2]`; None of a few."""
    shown = subsets.indices(scene.run, "latent_map")
    if len(shown) < MAP_LEAST:
        return None
    return shown, clusters.layout(scene.codes.mean[shown])


def latent_map(scene: Scene) -> dict[str, Any] | None:
    """Posterior means in two dims, by cluster and by label; None of a few examples."""
    placed = latent_layout(scene)
    if placed is None:
        return None
    shown, codes = placed
    given: dict[str, Any] = {"codes": codes}
    if scene.codes.logits is not None:
        given["clusters"] = scene.codes.logits.argmax(-1)[shown]
        nobody = np.full(scene.codes.logits.shape[-1], -1)
        given["matched"] = nobody if scene.matched is None else scene.matched
        given["what"] = clusters.CLASSES if scene.run.objective.uses_labels else None
    if scene.labels is not None:
        given["labels"] = np.asarray(scene.labels)[shown]
        given["label_names"] = np.array(scene.run.dataset.label_names, str)
    return given


def confusion_matrix(scene: Scene) -> dict[str, Any] | None:
    """Counts of labels in clusters; None of so many that they could not be read."""
    logits = scene.codes.logits
    if logits is None or scene.labels is None:
        return None
    counts = clustering.contingency(logits.argmax(-1), scene.labels, logits.shape[-1])
    if max(counts.shape) > MAX_CLUSTERS:
        return None
    return {
        "counts": counts,
        "matched": scene.matched,
        "label_names": np.array(scene.run.dataset.label_names, str),
        "rows": clusters.CLASSES if scene.run.objective.uses_labels else None,
    }


def occupancy(scene: Scene) -> dict[str, Any] | None:
    """Share of the test examples in each cluster, hard and soft."""
    logits = scene.codes.logits
    if logits is None:
        return None
    count = logits.shape[-1]
    return {
        "hard": clustering.occupancy(logits.argmax(-1), count),
        "soft": np.asarray(jax.nn.softmax(logits)).mean(0),
        "names": [cluster_name(scene, cluster) for cluster in range(count)],
    }
