"""The pictures of a run, each a function that returns a matplotlib Figure or None.

None means that the picture does not apply (no clusters, no labels). Everything
follows from the parameters and a fixed key, so the same run gives the same bytes.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from infovae_jax.data import subsets as draws
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.evaluation import Encoded, clustering, code_paths, subsets
from infovae_jax.evaluation.codes import decoded
from infovae_jax.report import style
from infovae_jax.report.grids import image_grid
from infovae_jax.report.results import Evaluation
from infovae_jax.training.run import Run
from infovae_jax.types import DataSpec

COLUMNS = 10
MAX_WIDTH = 25.0  # inches
MAP_LEAST = 5  # t-SNE needs neighbours
# Clusters that fit a picture; of more, those with the most test examples.
MAX_CLUSTERS = 40


class Scene(NamedTuple):
    """What the pictures are drawn from.

    Attributes:
      run: the opened run.
      params: its parameters.
      codes: of the test split.
      test_x: the test images as the model sees them, `[n, H, W, C]`.
      rows: of metrics.jsonl.
      evaluation: of evaluation.json.
      key: fixed PRNG key.
      matched: label of each cluster on the test split, `[K]`, or None.
      population: what `population.json` holds, where the run is a member of one.
    """

    run: Run
    params: Any
    codes: Encoded
    test_x: np.ndarray
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
        return np.asarray(jax.jit(draw)(self.key, self.params, cluster=cluster))


def plain_label(scene: Scene, label: int) -> str:
    """Name of a label, or its number; '?' where it is not known."""
    names = scene.run.dataset.label_names
    if label < 0:
        return "?"
    return names[label] if label < len(names) else str(label)


def label_name(scene: Scene, label: int) -> str:
    """The same as matplotlib is given it."""
    name = plain_label(scene, label)
    # Two dollars would begin and end a formula, and a legend leaves out what begins
    # with an underscore.
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


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
    """`3 = '7'` where cluster 3 is matched to the label 7."""
    if scene.matched is None or scene.matched[cluster] < 0:
        return str(cluster)
    return f"{cluster}: '{label_name(scene, scene.matched[cluster])}'"


def cluster_colours(scene: Scene, num_clusters: int) -> np.ndarray:
    """Number of the colour of each cluster, `[K]`: that of the label matched to it.

    One without a label has a number that no label has.
    """
    numbers = np.arange(num_clusters)
    if scene.matched is None or scene.run.objective.uses_labels:
        return numbers
    alone = scene.matched < 0
    after = int(scene.matched.max(initial=-1)) + np.cumsum(alone)
    return np.where(alone, after, scene.matched)


def shown_clusters(scene: Scene) -> np.ndarray:
    """Numbers of the clusters to draw: all, or the MAX_CLUSTERS most used."""
    if scene.num_clusters <= MAX_CLUSTERS or scene.codes.logits is None:
        return np.arange(scene.num_clusters)[:MAX_CLUSTERS]
    assigned = scene.codes.logits.argmax(-1)
    shares = clustering.occupancy(assigned, scene.codes.logits.shape[-1])
    return np.sort(np.argsort(-shares, kind="stable")[:MAX_CLUSTERS])


def value_range(scene: Scene) -> tuple[float, float]:
    """Range that is drawn from black to white."""
    return shown_range(scene.run.dataset.spec, scene.test_x)


def shown_range(spec: DataSpec, x: np.ndarray) -> tuple[float, float]:
    """The same for images x: of the likelihood, or where that has none, of x."""
    low, high = make_likelihood(spec).support
    if math.isfinite(high - low):
        return low, high
    return float(x.min()), float(x.max())


def loss_curves(scene: Scene) -> Figure | None:
    """Loss, bound, every term, cluster usage and the weights that change."""
    if not scene.rows:
        return None
    names = [n for n in scene.rows[-1] if n == "loss" or n.startswith("term/")]
    panels = [("bound", ["loss", "test/elbo"])]
    panels += [
        (name.removeprefix("term/"), [name, name.replace("term/", "test/")])
        for name in names
        if name != "loss"
    ]
    panels += [(n, [n]) for n in ("cluster/usage",) if n in scene.rows[-1]]
    for title, names in (
        ("assignments, test", ("accuracy", "churn", "smallest", "largest")),
        ("certainty of clusters, test", ("entropy", "mutual_information")),
    ):
        assigned = [f"assignment/{name}" for name in names]
        if any(assigned[-1] in row for row in scene.rows):
            panels.append((title, assigned))
    weights = [n for n in scene.rows[-1] if n.startswith("weight/")]
    changing = [n for n in weights if len({row.get(n) for row in scene.rows}) > 1]
    if changing:
        panels.append(("weights that change", changing))
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(10.5, 2.5 * rows), layout="constrained")
    for number, (title, series) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        for name in series:
            points = [(r["epoch"], r[name]) for r in scene.rows if name in r]
            if not points:
                continue
            epochs, values = np.array(points).T
            if name == "test/elbo":
                values, label = -values, "test, -ELBO"
            else:
                label = _series_label(name)
            marker = "o" if name.startswith("test/") else None
            colour = style.SERIES[len(axes.lines) % len(style.SERIES)]
            # Weights often move together: dashes let the lines below be seen.
            dashes = style.DASHES[len(axes.lines) % 4] if series == changing else "-"
            axes.plot(
                *(epochs, values, dashes),
                label=label,
                marker=marker,
                ms=3,
                lw=1.3,
                color=colour,
            )
        unit = (
            "weight"
            if "weights" in title
            else "clusters"
            if "usage" in title
            else "share"
            if "assignments" in title
            else "nats"
        )
        style.finish(axes, "epoch", unit, title.replace("_", " "))
    return figure


def _series_label(name: str) -> str:
    if name == "loss":
        return "train, loss"
    group, _, rest = name.partition("/")
    if group in ("weight", "assignment"):
        return rest.replace("_", " ")
    return "test" if group == "test" else "train"


def reconstructions(scene: Scene) -> Figure:
    """Test images above their reconstructions from the posterior mean."""
    chosen = one_of_each(scene, 2 * COLUMNS)
    means = scene.decode(scene.codes.mean[chosen])
    originals = scene.test_x[chosen]
    halves = [
        row
        for start in range(0, len(chosen), COLUMNS)
        for row in (originals[start : start + COLUMNS], means[start : start + COLUMNS])
        if len(row) == min(COLUMNS, len(chosen))
    ]
    names = ["original", "mean of p(x|z)"] * (len(halves) // 2)
    return image_grid(np.stack(halves), value_range(scene), names)


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


def cluster_samples(scene: Scene) -> Figure | None:
    """Columns: clusters; rows: draws z ~ N(mu_c, I)."""
    if scene.num_clusters < 2:
        return None
    draws, shown = 10, shown_clusters(scene)
    prior = scene.run.objective.prior
    mean, log_var = (np.asarray(array)[shown] for array in prior)
    noise = np.asarray(jax.random.normal(scene.key, (draws, *mean.shape)))
    images = scene.decode(mean[None] + np.exp(0.5 * log_var)[None] * noise)
    names = [cluster_name(scene, c) for c in shown]
    return image_grid(images, value_range(scene), column_names=names)


def prior_samples(scene: Scene) -> Figure:
    """Decoder means of draws from the whole prior."""
    codes = scene.codes_of_prior(8 * COLUMNS).reshape(8, COLUMNS, -1)
    return image_grid(scene.decode(codes), value_range(scene))


def traversals(scene: Scene) -> Figure:
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
    return image_grid(
        images, value_range(scene), names, traversal_columns(kinds[dims], num)
    )


def traversal_columns(kinds: np.ndarray, num: int) -> list[str]:
    """Names of the columns of moved dims of these kinds."""
    if "free" in kinds:
        return ["min"] + [""] * (num - 2) + ["max"]
    shares = np.linspace(-1.0, 1.0, num)
    return [f"{code_paths.EXTENT * share:+.1f}" for share in shares]


def interpolations(scene: Scene) -> Figure:
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
    return image_grid(scene.decode(z), value_range(scene), names)


def moving_away(scene: Scene) -> Figure | None:
    """Rows: clusters; columns: multiples of the centroid, from the origin outwards."""
    if scene.num_clusters < 2:
        return None
    multiples = np.linspace(0.0, 2.0, COLUMNS + 1)
    shown = shown_clusters(scene)
    means = np.asarray(scene.run.objective.prior.mean)[shown]
    z = multiples[None, :, None] * means[:, None]
    names = [cluster_name(scene, c) for c in shown]
    columns = [f"{multiple:.1f}" for multiple in multiples]
    return image_grid(scene.decode(z), value_range(scene), names, columns)


def latent_layout(scene: Scene) -> tuple[np.ndarray, np.ndarray] | None:
    """Which test examples a map shows, `[n]`, and where, `[n, 2]`; None of a few.

    t-SNE where the code has more dims: K equidistant modes do not fit a plane, and
    two principal axes would pile most of them on one another.
    """
    shown = subsets.indices(scene.run, "latent_map")
    codes = scene.codes.mean[shown]
    if len(codes) < MAP_LEAST:
        return None
    if codes.shape[1] == 1:
        codes = np.concatenate([codes, np.zeros_like(codes)], axis=1)
    elif codes.shape[1] != 2:
        codes = _in_a_plane(codes.tobytes(), codes.dtype.str, len(codes))
    return shown, codes


@functools.lru_cache(maxsize=1)  # the picture asks for it, and the page
def _in_a_plane(content: bytes, dtype: str, count: int) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    codes = np.frombuffer(content, dtype).reshape(count, -1).copy()
    perplexity = min(30.0, (count - 1) / 3)
    # Its thousand small steps leave several threads nothing but to wait for one
    # another, which took ten times as much of the processor.
    with threadpool_limits(1, "openmp"):
        return TSNE(2, perplexity=perplexity, random_state=0).fit_transform(codes)


def latent_map(scene: Scene) -> Figure | None:
    """Posterior means in two dims, by cluster and by label; None of a few examples."""
    layout = latent_layout(scene)
    if layout is None:
        return None
    (shown, flat), groups = layout, []
    if scene.codes.logits is not None:
        clusters = scene.codes.logits.argmax(-1)[shown]
        count = scene.codes.logits.shape[-1]
        names = [cluster_name(scene, c) for c in range(count)]
        colours = cluster_colours(scene, count)
        groups.append(("cluster: matched label", clusters, names, colours))
    if scene.labels is not None:
        names = [label_name(scene, i) for i in range(int(scene.labels.max()) + 1)]
        groups.append(("label", np.asarray(scene.labels)[shown], names, None))
    if not groups:
        groups.append(("", np.zeros(len(flat), int), [""], None))
    figure = Figure(figsize=(5.4 * len(groups), 4.6), layout="constrained")
    for number, (title, values, names, colours) in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), number + 1)
        for value in np.unique(values):
            points = flat[values == value]
            axes.scatter(
                *points.T,
                s=7,
                color=style.category(value if colours is None else colours[value]),
                label=names[value],
                lw=0,
            )
            if title:
                _name_at(axes, points, names[value])
        axes.set_title(f"by {title}" if title else "test codes", fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
        if title and len(names) <= 20:
            axes.legend(
                fontsize=8,
                markerscale=2.5,
                frameon=False,
                loc="center left",
                bbox_to_anchor=(1.0, 0.5),
            )
    return figure


def _name_at(axes, points: np.ndarray, name: str) -> None:
    """A name just above its middlemost point: colour is not needed to tell."""
    distances = ((points - np.median(points, 0)) ** 2).sum(1)
    axes.annotate(
        name,
        points[np.argmin(distances)],
        xytext=(0, 4),
        textcoords="offset points",
        fontsize=8,
        ha="center",
        va="bottom",
        bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
    )


def confusion_matrix(scene: Scene) -> Figure | None:
    """Counts of clusters (rows, in the order of their labels) against labels."""
    if scene.codes.logits is None or scene.labels is None:
        return None
    clusters = scene.codes.logits.argmax(-1)
    table = clustering.contingency(clusters, scene.labels, scene.codes.logits.shape[-1])
    if max(table.shape) > 40:
        return None  # the numbers could not be read
    matched = clustering.match_clusters(table)
    order = np.argsort(np.where(matched < 0, table.shape[1], matched), kind="stable")
    table = table[order]
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    width = 0.55 * table.shape[1] + 1.6
    figure = Figure(figsize=(width, 0.42 * table.shape[0] + 1.2), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), count in np.ndenumerate(table):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, count, ha="center", va="center", fontsize=8, color=colour
            )
    names = [label_name(scene, i) for i in range(table.shape[1])]
    totals = [f"{n}\n{t}" for n, t in zip(names, table.sum(0), strict=True)]
    axes.set_xticks(range(table.shape[1]), totals if len(names) <= 12 else names)
    names = [cluster_name(scene, int(c)) for c in order]
    axes.set_yticks(
        range(table.shape[0]),
        [f"{n}  ({t})" for n, t in zip(names, table.sum(1), strict=True)],
    )
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="x", rotation=0 if table.shape[1] <= 12 else 90)
    axes.set_xlabel(f"label, {table.sum()} in all", fontsize=9)
    told = scene.run.objective.uses_labels
    rows = "class" if told else "cluster: matched label"
    axes.set_ylabel(f"{rows} (total)", fontsize=9)
    return figure


def occupancy(scene: Scene) -> Figure | None:
    """Share of the test examples in each cluster, hard and soft."""
    logits = scene.codes.logits
    if logits is None:
        return None
    num_clusters = logits.shape[-1]
    hard = clustering.occupancy(logits.argmax(-1), num_clusters)
    soft = np.asarray(jax.nn.softmax(logits)).mean(0)
    figure = Figure(
        figsize=(min(max(5.0, 0.6 * num_clusters + 1), MAX_WIDTH), 2.8),
        layout="constrained",
    )
    axes = figure.add_subplot()
    positions = np.arange(num_clusters)
    axes.bar(positions - 0.2, hard, 0.4, label="argmax q(c|x)", color=style.BLUE)
    axes.bar(positions + 0.2, soft, 0.4, label="mean q(c|x)", color=style.ORANGE)
    axes.axhline(1 / num_clusters, color="black", lw=0.8, ls=":", label="p(c) = 1/K")
    if num_clusters <= 20:
        names = [cluster_name(scene, c).replace(": ", "\n") for c in positions]
        axes.set_xticks(positions, names, fontsize=8)
    axes.set_ylabel("share of test examples", fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(0, 1.35 * max(hard.max(), soft.max()))
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper center")
    return figure
