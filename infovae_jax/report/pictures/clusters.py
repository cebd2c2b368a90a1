"""Pictures of clusters beside labels, and of codes."""

import functools
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from infovae_jax.evaluation import FACTOR_KL, clustering
from infovae_jax.report import style

MAX_WIDTH = 25.0  # inches
CLUSTERS, CLASSES = "cluster: matched label", "class"


def name_of(label: int, names: Sequence[str] | None = None) -> str:
    """Name of a label, or its number; '?' where it is not known."""
    if label < 0:
        return "?"
    return str(label if names is None or label >= len(names) else names[label])


def cluster_name(
    cluster: int, label: int, label_names: Sequence[str] | None = None
) -> str:
    """`3: '7'` of cluster 3 where it is matched to the label 7, else `3`.

    Args:
      cluster: its number.
      label: matched to it, below 0 for none.
      label_names: see `name_of`.
    """
    return f"{cluster}: '{name_of(label, label_names)}'" if label >= 0 else f"{cluster}"


def names_of(
    matched: np.ndarray, label_names: Sequence[str] | None, what: str
) -> list[str]:
    """Names of clusters, or where they are classes those of the labels, `[K]`."""
    if what == CLASSES:
        return [name_of(label, label_names) for label in range(len(matched))]
    return [cluster_name(c, label, label_names) for c, label in enumerate(matched)]


def cluster_colours(matched: np.ndarray) -> np.ndarray:
    """Number of the colour of each cluster, `[K]`: that of the label matched to it.

    One without a label has a number that no label has.
    """
    matched = np.asarray(matched)
    alone = matched < 0
    after = int(matched.max(initial=-1)) + np.cumsum(alone)
    return np.where(alone, after, matched)


def confusion_matrix(
    counts: np.ndarray,
    matched: np.ndarray | None = None,
    label_names: Sequence[str] | None = None,
    rows: str = CLUSTERS,
) -> Figure:
    """Counts of clusters (rows, in the order of their labels) against labels.

    Args:
      counts: examples of each label in each cluster, `[K, L]`, as
        `evaluation.clustering.contingency(clusters, labels)` has them.
      matched: label of each cluster `[K]`, below 0 for none; None: the best one-to-one
        matching.
      label_names: `[L]`; None: their numbers.
      rows: what the rows are, CLUSTERS or CLASSES.
    """
    counts = np.asarray(counts)
    count, num_labels = counts.shape
    matched = clustering.match_clusters(counts) if matched is None else matched
    places = [label if label >= 0 else num_labels for label in matched]
    order = np.argsort(places, kind="stable")
    table = counts[order]
    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    width, height = 0.55 * num_labels + 1.6, 0.42 * count + 1.2
    figure, [axes] = style.charts(width=width, height=height)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), number in np.ndenumerate(table):
        if number:
            style.cell(axes, row, column, f"{number}", shares[row, column] > 0.5, 8)
    columns = [style.plain(name_of(i, label_names)) for i in range(num_labels)]
    totals = [f"{n}\n{t}" for n, t in zip(columns, table.sum(0), strict=True)]
    columns = totals if num_labels <= 12 else columns
    axes.set_xticks(range(num_labels), columns, rotation=style.rotation(columns, 0.55))
    names = style.names(names_of(matched, label_names, rows))
    totals = [f"{names[c]}  ({t})" for c, t in zip(order, table.sum(1), strict=True)]
    axes.set_yticks(range(count), totals)
    axes.tick_params(labelsize=8)
    axes.set_xlabel(f"label, {table.sum()} in all", fontsize=9)
    axes.set_ylabel(f"{rows} (total)", fontsize=9)
    return figure


def occupancy(
    hard: np.ndarray, soft: np.ndarray, names: Sequence[str] | None = None
) -> Figure:
    """How many examples each cluster has, beside what the prior gives it.

    Args:
      hard: share of the examples whose most probable cluster it is, `[K]`.
      soft: mean probability q(c | x), `[K]`.
      names: of the clusters, `[K]`; None: their numbers. Of more than 20 none is drawn.
    """
    hard, soft = np.asarray(hard), np.asarray(soft)
    count = len(hard)
    width = min(max(5.0, 0.6 * count + 1), MAX_WIDTH)
    figure, [axes] = style.charts(width=width, height=2.8)
    positions = np.arange(count)
    axes.bar(positions - 0.2, hard, 0.4, label="argmax q(c|x)", color=style.BLUE)
    axes.bar(positions + 0.2, soft, 0.4, label="mean q(c|x)", color=style.ORANGE)
    axes.axhline(1 / count, color="black", lw=0.8, ls=":", label="p(c) = 1/K")
    if count <= 20:
        ticks = style.names(positions if names is None else names)
        ticks = [tick.replace(": ", "\n") for tick in ticks]
        turned = style.rotation(ticks, 0.6)
        axes.set_xticks(positions, ticks, fontsize=8, rotation=turned)
    axes.set_ylabel("share of test examples", fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(0, 1.35 * max(hard.max(), soft.max()))
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper center")
    return figure


def layout(codes: np.ndarray) -> np.ndarray:
    """Codes `[n, d]` in the plane, `[n, 2]`; those of two dims stay as they are.

    t-SNE where the code has more dims: K equidistant modes do not fit a plane, and
    two principal axes would pile most of them on one another.
    """
    codes = np.asarray(codes)
    if codes.shape[1] == 1:
        return np.concatenate([codes, np.zeros_like(codes)], axis=1)
    if codes.shape[1] == 2:
        return codes
    return _in_a_plane(codes.tobytes(), codes.dtype.str, len(codes))


@functools.lru_cache(maxsize=1)  # the picture asks for it, and the page
def _in_a_plane(content: bytes, dtype: str, count: int) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    codes = np.frombuffer(content, dtype).reshape(count, -1).copy()
    perplexity = min(30.0, (count - 1) / 3)
    # Its many small steps leave several threads nothing but to wait for one another,
    # which took ten times as much of the processor. Of 1,500 digits half the usual
    # steps keep the neighbours as well: trustworthiness .9953 for .9956, in half the
    # time.
    with threadpool_limits(1, "openmp"):
        model = TSNE(2, perplexity=perplexity, max_iter=500, random_state=0)
        return model.fit_transform(codes)


def latent_map(
    codes: np.ndarray,
    clusters: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    matched: np.ndarray | None = None,
    label_names: Sequence[str] | None = None,
    what: str = CLUSTERS,
) -> Figure:
    """Codes in the plane, by cluster and by label; a cluster has its label's colour.

    Args:
      codes: `[n, d]`; where d is not 2, `layout` lays them out.
      clusters: `[n]`, or None.
      labels: `[n]`, or None.
      matched: label of each cluster `[K]`, below 0 for none; None: the best one-to-one
        matching of clusters and labels.
      label_names: `[L]`; None: their numbers.
      what: the clusters are, CLUSTERS or CLASSES.
    """
    flat, groups = layout(codes), []
    if clusters is not None:
        if matched is None and labels is None:
            matched = np.full(np.max(clusters) + 1, -1)
        elif matched is None:
            matched = clustering.match_clusters(
                clustering.contingency(clusters, labels)
            )
        names = names_of(matched, label_names, what)
        colours = cluster_colours(matched)
        none = what == CLUSTERS and (np.asarray(matched) < 0).all()
        groups.append(("cluster" if none else what, clusters, names, colours))
    if labels is not None:
        names = [name_of(label, label_names) for label in range(np.max(labels) + 1)]
        groups.append(("label", labels, names, range(len(names))))
    if not groups:
        groups.append(("", np.zeros(len(flat), int), [""], [0]))
    figure, panels = style.charts(len(groups), height=4.6)
    for axes, (title, values, names, colours) in zip(panels, groups, strict=True):
        _scatter(axes, flat, np.asarray(values), style.names(names), colours)
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


def _scatter(axes, flat: np.ndarray, values, names: list[str], colours) -> None:
    """Points of each value in its colour, with its name among them."""
    for value in np.unique(values):
        points = flat[values == value]
        colour = style.category(colours[value])
        axes.scatter(*points.T, s=7, color=colour, label=names[value], lw=0)
        if names[value]:
            _name_at(axes, points, names[value])


def _name_at(axes, points: np.ndarray, name: str) -> None:
    """A name just above its middlemost point: colour is not needed to tell."""
    distances = ((points - np.median(points, 0)) ** 2).sum(1)
    box = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7}
    middle = points[np.argmin(distances)]
    style.note(axes, name, middle, (0, 4), ha="center", va="bottom", bbox=box)


def factor_kl(
    shared: np.ndarray, own: np.ndarray, names: Sequence[str] | None = None
) -> Figure:
    """Which dims hold a factor in which class; numbers where the KL is above 0.1 nats.

    Args:
      shared: mean KL of each shared dim over the examples of each class, `[L, s]` nats;
        NaN of a class without examples.
      own: of each dim of the class's own block, `[L, c]` nats.
      names: of the classes, `[L]`; None: their numbers.
    """
    values = np.concatenate([shared, own], axis=1)
    split = np.shape(shared)[1]
    dims = [f"s{j}" for j in range(split)]
    dims += [f"c{j}" for j in range(values.shape[1] - split)]
    width, height = 0.42 * values.shape[1] + 1.8, 0.3 * len(values) + 1.4
    figure, [axes] = style.charts(width=width, height=height)
    shown = axes.imshow(values, cmap="Blues", vmin=0.0, aspect="auto")
    high = np.nanmax(values)
    for (row, column), value in np.ndenumerate(values):
        if value > FACTOR_KL:
            style.cell(axes, row, column, f"{value:.1f}", value > 0.55 * high, 7)
    axes.axvline(split - 0.5, color="black", lw=1)
    axes.set_xticks(range(len(dims)), dims, fontsize=8)
    rows = range(len(values))
    axes.set_yticks(rows, style.names(rows if names is None else names), fontsize=8)
    axes.set_xlabel("shared dims | dims of the class's own block", fontsize=9)
    axes.set_ylabel("class", fontsize=9)
    figure.colorbar(shown, ax=axes, label="mean KL, nats")
    return figure
