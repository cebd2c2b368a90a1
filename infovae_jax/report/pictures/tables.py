"""Pictures of a table: its columns, and what its clusters are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from infovae_jax.report import style

MAX_NAME = 32  # letters
BINS, MAX_LEVELS = 24, 12


def column_counts(
    test: np.ndarray, model: np.ndarray, levels: Sequence[Sequence[str]]
) -> dict[str, np.ndarray]:
    """What `columns` draws of values.

    Args:
      test: rows `[n, C]` of numbers, of a category the number of its level.
      model: rows `[m, C]` that a model drew.
      levels: names of the levels of each column; none of a column of numbers.

    Returns:
      'edges' of BINS bins a column `[C, BINS + 1]`, which are of the range of `test`,
      NaN of a category; 'test' and 'model' `[C, BINS]`, how many rows a bin holds, or
      the share of each of the first MAX_LEVELS levels and NaN; their names 'levels'
      `[C, MAX_LEVELS]`.
    """
    edges = np.full((len(levels), BINS + 1), np.nan)
    counts = np.full((2, len(levels), BINS), np.nan)
    names = [[str(n) for n in some[:MAX_LEVELS]] for some in levels]
    for column, some in enumerate(names):
        both = [np.asarray(rows)[:, column] for rows in (test, model)]
        if not some:
            # By the data: a draw of a bad model may lie anywhere.
            low, high = float(both[0].min()), float(both[0].max())
            high = high if high > low else low + 1.0
            room = 0.1 * (high - low)
            edges[column] = np.linspace(low - room, high + room, BINS + 1)
        for side, values in enumerate(both):
            if some:
                shares = [(values == level).mean() for level in range(len(some))]
                counts[side, column, : len(some)] = shares
            else:
                inside = np.clip(values, edges[column, 0], edges[column, -1])
                counts[side, column] = np.histogram(inside, edges[column])[0]
    padded = np.array([some + [""] * (MAX_LEVELS - len(some)) for some in names])
    return {"edges": edges, "test": counts[0], "model": counts[1], "levels": padded}


def columns(
    names: Sequence[str],
    edges: np.ndarray,
    test: np.ndarray,
    model: np.ndarray,
    levels: np.ndarray,
    scores: Sequence[float] | None = None,
) -> Figure:
    """Each column of a table beside rows that a model drew.

    Args:
      names: of the columns, `[C]`.
      edges: this and the next three are those of `column_counts`.
      test: of rows of the table.
      model: of rows that the model drew.
      levels: names of the levels.
      scores: how well each column comes back, `[C]`, NaN where not known; or None.
    """
    wide = min(4, len(names))
    tall = -(-len(names) // wide)
    figure = Figure(figsize=(2.9 * wide, 2.1 * tall), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(tall, wide, number + 1)
        pair = test[number], model[number]
        if np.isnan(edges[number]).any():
            _shares(axes, pair, levels[number])
        else:
            _histogram(axes, pair, edges[number])
        known = scores is not None and not np.isnan(scores[number])
        told = f", {scores[number]:.2f}" if known else ""
        style.finish(axes, title=_short(name) + told)
    # One legend for all: inside a panel it would lie on what is drawn.
    handles, sides = figure.axes[0].get_legend_handles_labels()
    for axes in figure.axes:
        axes.get_legend().remove()
    figure.legend(
        handles, sides, loc="outside upper right", ncols=2, fontsize=8, frameon=False
    )
    return figure


def cluster_profiles(
    means: np.ndarray,
    away: np.ndarray,
    clusters: Sequence[str],
    features: Sequence[str],
) -> Figure:
    """Clusters against numbers of a row that tell them apart.

    Args:
      means: of each number in each cluster, in its units, `[K, F]`; NaN is blank.
      away: how far those are from the means of all rows, in standard deviations of all
        rows, `[K, F]`.
      clusters: their names, `[K]`.
      features: names of the numbers, `[F]`.
    """
    count = len(clusters)
    width, height = 1.6 + 0.62 * count, 0.9 + 0.26 * len(features)
    figure, [axes] = style.charts(width=width, height=height)
    axes.imshow(away.T, cmap="RdBu_r", vmin=-2, vmax=2, aspect="auto")
    for (cluster, feature), value in np.ndenumerate(means):
        if not np.isnan(value):
            dark = abs(away[cluster, feature]) > 1.4
            style.cell(axes, feature, cluster, _value(float(value)), dark, 7)
    axes.set_yticks(range(len(features)), [*map(_short, features)], fontsize=8)
    names = style.names(clusters)
    axes.set_xticks(range(count), names, rotation=style.rotation(names, 0.62))
    axes.tick_params(length=0, labelsize=8)
    axes.xaxis.tick_top()
    return figure


def _shares(axes, pair, levels: Sequence[str]) -> None:
    """Bars of each category, beside those of the model."""
    for side, (share, name) in enumerate(zip(pair, ("test", "model"), strict=True)):
        share = share[~np.isnan(share)]
        places = np.arange(len(share)) + (0.4 * side - 0.2)
        colour = (style.BLUE, style.ORANGE)[side]
        axes.bar(places, share, 0.4, color=colour, label=name)
    ticks = [style.plain(level[:12]) for level in levels[: len(share)]]
    axes.set_xticks(range(len(ticks)), ticks, rotation=90 if len(ticks) > 3 else 0)


def _histogram(axes, pair, edges: np.ndarray) -> None:
    for counts, name, colour in zip(
        pair, ("test", "model"), (style.BLUE, style.ORANGE), strict=True
    ):
        axes.hist(
            edges[:-1], edges, weights=counts, histtype="step", color=colour, label=name
        )
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, _: _value(value))


def _value(value: float) -> str:
    """Three digits, without a power of ten where a person would write none."""
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _short(name: str) -> str:
    cut = name if len(name) <= MAX_NAME else name[: MAX_NAME - 3] + "..."
    return style.plain(cut)
