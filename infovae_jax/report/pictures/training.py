"""Pictures of training, epoch by epoch."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from infovae_jax.report import style

# What is said of clusters on the test split: (title, names after 'assignment/').
_ASSIGNMENTS = (
    ("assignments, test", ("accuracy", "churn", "smallest", "largest")),
    ("certainty of clusters, test", ("entropy", "mutual_information")),
)


def loss_curves(epoch: np.ndarray, **series: np.ndarray) -> Figure:
    """Loss, bound, every term, use of the clusters and the weights that change.

    Args:
      epoch: `[n]`.
      series: by the names of `metrics.jsonl` and of `history_` of an estimator, `[n]`,
        NaN where it was not measured: 'loss', 'test/elbo', 'term/<term>' and
        'test/<term>' in nats, 'weight/<term>', 'cluster/usage', 'assignment/...'.
        Those of other names are passed over.
    """
    panels = [("bound", ["loss", "test/elbo"], "nats")]
    for name in series:
        if name.startswith("term/"):
            both = [name, name.replace("term/", "test/")]
            panels.append((name.removeprefix("term/"), both, "nats"))
    if "cluster/usage" in series:
        panels.append(("cluster/usage", ["cluster/usage"], "clusters"))
    for title, names in _ASSIGNMENTS:
        assigned = [f"assignment/{name}" for name in names]
        if assigned[-1] in series:
            unit = "nats" if "certainty" in title else "share"
            panels.append((title, assigned, unit))
    weights = [name for name in series if name.startswith("weight/")]
    changing = [name for name in weights if len(np.unique(series[name])) > 1]
    if changing:
        panels.append(("weights that change", changing, "weight"))
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(10.5, 2.5 * rows), layout="constrained")
    for number, (title, names, unit) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, number + 1)
        for name in names:
            if name in series:
                # Weights often move together: dashes let the lines below be seen.
                dashes = style.DASHES if names == changing else ("-",)
                _draw_series(axes, np.asarray(epoch), name, series[name], dashes)
        style.finish(axes, "epoch", unit, title.replace("_", " "))
    return figure


def _draw_series(axes, epoch: np.ndarray, name: str, values, dashes) -> None:
    """What was measured of a series, with a mark where it is of the test split."""
    known, number = ~np.isnan(values), len(axes.lines)
    if not known.any():
        return
    sign, label = 1.0, _series_label(name)
    if name == "test/elbo":
        sign, label = -1.0, "test, -ELBO"
    axes.plot(
        epoch[known],
        sign * np.asarray(values)[known],
        dashes[number % len(dashes)],
        label=label,
        marker="o" if name.startswith("test/") else None,
        ms=3,
        lw=1.3,
        color=style.SERIES[number % len(style.SERIES)],
    )


def _series_label(name: str) -> str:
    if name == "loss":
        return "train, loss"
    group, _, rest = name.partition("/")
    if group in ("weight", "assignment"):
        return rest.replace("_", " ")
    return "test" if group == "test" else "train"


def information_curves(
    epoch: np.ndarray,
    part_names: Sequence[str],
    part_sizes: Sequence[int],
    **series: np.ndarray,
) -> Figure:
    """Information, rate of every dim and reconstruction over training.

    Args:
      epoch: `[n]`.
      part_names: of the parts of the code, in their order.
      part_sizes: dims of each part, together d.
      series: by the names of `metrics.jsonl`, `[n]` nats, NaN where not measured: for j
        below d 'dim/mi_<j>', the lower bound on I(z_j; x'), and 'dim/rate_<j>',
        KL(q(z_j | x) || p(z_j)); 'term/reconstruction', and perhaps
        'test/reconstruction'. Those of other names are passed over.
    """
    ends = np.cumsum(part_sizes)
    parts = [
        (name, slice(end - size, end))
        for name, size, end in zip(part_names, part_sizes, ends, strict=True)
    ]
    titles = {"mi": "bound on I(z; x')", "rate": "rate KL(q(z|x) || p(z))"}
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    for row, (kind, title) in enumerate(titles.items()):
        values = np.stack([series[f"dim/{kind}_{j}"] for j in range(ends[-1])], axis=1)
        whole = figure.add_subplot(2, 3, 3 * row + 1)
        single = figure.add_subplot(2, 3, 3 * row + 2)
        for number, (name, dims) in enumerate(parts):
            colour = style.SERIES[number]
            total = values[:, dims].sum(1)
            whole.plot(epoch, total, color=colour, label=name)
            lines = single.plot(epoch, values[:, dims], color=colour, lw=0.8)
            lines[0].set_label(f"dims of {name}")
        whole.plot(epoch, values.sum(1), color="black", lw=0.9, ls=":", label="all")
        style.finish(whole, "epoch", "nats", f"{title}, by part")
        style.finish(single, "epoch", "nats", f"{title}, by dim")
    last = figure.add_subplot(2, 3, 3)
    last.plot(epoch, series["term/reconstruction"], color="black", label="train")
    if "test/reconstruction" in series:
        values = np.asarray(series["test/reconstruction"])
        points = np.asarray(epoch)[~np.isnan(values)], values[~np.isnan(values)]
        last.plot(*points, "o", ms=4, color=style.VERMILION, label="test")
    style.finish(last, "epoch", "nats", "reconstruction")
    return figure
