"""The pictures of a run on a table: its columns, and what its clusters are."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from infovae_jax.errors import printable
from infovae_jax.evaluation import tabular
from infovae_jax.report import style
from infovae_jax.report.figures import Scene, cluster_name, shown_clusters

MAX_COLUMNS, MAX_FEATURES = 24, 30
MAX_NAME = 32  # letters
_BINS = 24


def columns(scene: Scene) -> Figure | None:
    """Each column of the test split beside as many draws of the model."""
    scheme = _scheme(scene)
    if scheme is None:
        return None
    x, drawn = _rows(scene.test_x), _draws(scene, len(scene.test_x))
    shown = scheme.used[:MAX_COLUMNS]
    wide, at = min(4, len(shown)), scheme.slices()
    tall = -(-len(shown) // wide)
    figure = Figure(figsize=(2.9 * wide, 2.1 * tall), layout="constrained")
    by_column: dict[str, list[tabular.Feature]] = {}
    for feature in tabular.features(scheme):
        by_column.setdefault(feature.column.name, []).append(feature)
    metrics = scene.evaluation.metrics
    for number, column in enumerate(shown):
        axes = figure.add_subplot(tall, wide, number + 1)
        pair = (x[:, at[column.name]], "test"), (drawn[:, at[column.name]], "model")
        if column.kind in ("binary", "categorical"):
            _shares(axes, pair, column)
        else:
            _histogram(axes, pair, by_column[column.name][0])
        score = metrics.get(f"column/{column.name}")
        told = "" if score is None else f", {score:.2f}"
        style.finish(axes, title=_plain(_short(column.name)) + told)
    # One legend for all: inside a panel it would lie on what is drawn.
    handles, names = figure.axes[0].get_legend_handles_labels()
    for axes in figure.axes:
        axes.get_legend().remove()
    figure.legend(
        handles, names, loc="outside upper right", ncols=2, fontsize=8, frameon=False
    )
    return figure


def cluster_profiles(scene: Scene) -> Figure | None:
    """Clusters against the numbers of a row that tell them apart most."""
    scheme, logits = _scheme(scene), scene.codes.logits
    if scheme is None or logits is None:
        return None
    x, shown = _rows(scene.test_x), shown_clusters(scene)
    means, away = tabular.profiles(scheme, x, logits.argmax(-1), logits.shape[-1])
    chosen = np.argsort(-np.abs(away[shown]).max(0), kind="stable")[:MAX_FEATURES]
    chosen = np.sort(chosen)
    features = tabular.features(scheme)
    found = [features[i] for i in chosen]
    size = (1.6 + 0.62 * len(shown), 0.9 + 0.26 * len(found))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(away[shown][:, chosen].T, cmap="RdBu_r", vmin=-2, vmax=2, aspect="auto")
    for row, place in enumerate(chosen):
        for column, cluster in enumerate(shown):
            value = float(means[cluster, place])
            if np.isnan(value):
                continue
            colour = "white" if abs(away[cluster, place]) > 1.4 else "black"
            axes.text(
                *(column, row, _value(value)),
                ha="center",
                va="center",
                fontsize=7,
                color=colour,
            )
    names = [_plain(_short(f.name)) for f in found]
    axes.set_yticks(range(len(found)), names, fontsize=8)
    axes.set_xticks(range(len(shown)), [cluster_name(scene, int(c)) for c in shown])
    axes.tick_params(length=0, labelsize=8)
    axes.xaxis.tick_top()
    if len(shown) > 8:
        axes.tick_params(axis="x", rotation=90)
    return figure


def _scheme(scene: Scene):
    intake = scene.run.dataset.intake
    return intake and intake.scheme


def _rows(images: np.ndarray) -> np.ndarray:
    return np.asarray(images).reshape(len(images), -1)


def _draws(scene: Scene, count: int) -> np.ndarray:
    objective = scene.run.objective
    return _rows(tabular.draw(scene.key, objective, scene.params, count))


def _shares(axes, pair, column) -> None:
    """Bars of each category, at most twelve of them."""
    for side, (values, name) in enumerate(pair):
        if column.kind == "binary":
            share = np.array([1.0 - values.mean(), values.mean()])
        else:
            share = values.mean(0)
        share = share[:12]
        places = np.arange(len(share)) + (0.4 * side - 0.2)
        colour = (style.BLUE, style.ORANGE)[side]
        axes.bar(places, share, 0.4, color=colour, label=name)
    names = [_plain(str(level)[:12]) for level in column.levels[:12]]
    axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 3 else 0)


def _histogram(axes, pair, feature: tabular.Feature) -> None:
    both = [tabular.in_units(feature, values[:, 0]) for values, _ in pair]
    # By the data: a draw of a bad model may lie anywhere.
    low, high = (float(v) for v in (both[0].min(), both[0].max()))
    high = high if high > low else low + 1.0
    room = 0.1 * (high - low)
    edges = np.linspace(low - room, high + room, _BINS + 1)
    for values, (_, name), colour in zip(
        both, pair, (style.BLUE, style.ORANGE), strict=True
    ):
        inside = np.clip(values, edges[0], edges[-1])
        axes.hist(inside, edges, histtype="step", color=colour, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, _: _value(value))


def _value(value: float) -> str:
    """Three digits, without a power of ten where a person would write none."""
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 3] + "..."


def _plain(name: str) -> str:
    """A name without formulas, and without what a terminal obeys: warnings hold it."""
    return printable(name).replace("$", r"\$")
