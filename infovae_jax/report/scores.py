"""Charts of what the evaluation found; nothing is computed anew.

Each is a function of the scene that returns a Figure, or None where its rows are not
in `evaluation.json`.
"""

import re
import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from infovae_jax.report import style
from infovae_jax.report.figures import Scene

PROBES = {"linear": "logistic regression", "knn": "5 nearest codes", "tsvm": "TSVM"}
DISENTANGLEMENT = {
    "mig": "MIG",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "modularity": "modularity",
    "sap": "SAP",
    "factor_vae": "FactorVAE score",
    "beta_vae": "beta-VAE score",
    "irs": "IRS",
}


# The first of these that was measured is drawn under corruption.
TSVM_LABELS = (1000, 600, 100)


def curve(metrics: dict, stem: str) -> np.ndarray:
    """Points (level, value) `[n, 2]` of the figures `<stem>_<level>`, by level."""
    points = []
    for name, value in metrics.items():
        found = re.fullmatch(re.escape(stem) + r"_(\d+(?:\.\d+)?)", name)
        if found and isinstance(value, (int, float)):
            points.append((float(found[1]), value))
    return np.array(sorted(points)).reshape(-1, 2)


def density(scene: Scene) -> Figure | None:
    """Estimates of log p(x) side by side, with what is known of their error."""
    metrics, recipes = scene.evaluation.metrics, scene.evaluation.recipes
    errors, rows = scene.evaluation.errors, []
    if metrics.get("elbo") is not None:
        same = metrics.get("nll/minus_elbo")
        value = metrics["elbo"] if same is None else -same
        text = recipes["elbo"] + ("" if same is None else "; the examples of the next")
        rows.append(("ELBO", value, None, None, text))
    if metrics.get("nll") is not None:
        error = 2 * (metrics.get("nll/standard_error") or 0.0)
        text = recipes["nll"].replace("; importance-weighted upper bound", "")
        rows.append(("IWAE bound", -metrics["nll"], error, error, text))
    if metrics.get("ais/nll") is not None:
        # The gap is measured on samples of the model, the error on test examples.
        error = 2 * errors.get("ais/nll", 0.0)
        gap = max(metrics.get("ais/gap") or 0.0, 0.0)
        rows.append(
            ("AIS", -metrics["ais/nll"], error, error + gap, recipes["ais/nll"])
        )
    if len(rows) < 2:
        return None
    figure = Figure(figsize=(8.5, 0.75 * len(rows) + 1.0), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, value, below, above, _) in enumerate(rows):
        if above:
            axes.plot(
                [value - below, value + above],
                [place, place],
                color=style.SKY,
                lw=6,
                solid_capstyle="butt",
                zorder=1,
            )
        axes.plot(value, place, "o", color=style.BLUE, ms=7)
        axes.annotate(
            f"{value:.2f}",
            (value, place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    names = [
        f"{name}\n" + textwrap.fill(text.removeprefix("nats; "), 52)
        for name, *_, text in rows
    ]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.margins(x=0.12)
    style.finish(axes, "log p(x), nats per example (to the right is better)")
    return figure


def probe_accuracy(scene: Scene) -> Figure | None:
    """Accuracy of simple classifiers of the code against the labels they saw."""
    curves = {name: curve(scene.evaluation.metrics, f"probe/{name}") for name in PROBES}
    if not any(map(len, curves.values())):
        return None
    figure, [axes] = style.charts(width=6.0)
    for number, (name, points) in enumerate(curves.items()):
        if len(points):
            _line(axes, points, number, PROBES[name])
    ticks = sorted({n for points in curves.values() for n in points[:, 0]})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    if len(ticks) == 1:
        axes.set_xlim(ticks[0] / 2, ticks[0] * 2)
    _chance(axes, scene)
    axes.set_ylim(0, 1.02)
    style.finish(axes, "labels seen by the classifier", "accuracy on the test split")
    return figure


def robustness(scene: Scene) -> Figure | None:
    """Accuracy of a probe fitted on clean codes, on corrupted test images."""
    metrics = scene.evaluation.metrics
    kinds = {
        "gaussian": (
            "Gaussian noise",
            "standard deviation of the noise, in pixel values",
        ),
        "mask": ("masked pixels", "share of pixels set to 0"),
    }
    counts = [n for n in TSVM_LABELS if f"robust/tsvm_{n}_clean" in metrics]
    stems = {"logistic regression": "robust/"}
    stems |= {f"TSVM, {n} labels": f"robust/tsvm_{n}_" for n in counts[:1]}
    kinds = {k: v for k, v in kinds.items() if len(curve(metrics, f"robust/{k}"))}
    if not kinds:
        return None
    figure, panels = style.charts(len(kinds), width=4.6)
    for axes, (kind, (title, xlabel)) in zip(panels, kinds.items(), strict=True):
        for number, (label, stem) in enumerate(stems.items()):
            points = curve(metrics, f"{stem}{kind}")
            if metrics.get(f"{stem}clean") is not None:
                points = np.concatenate([[[0.0, metrics[f"{stem}clean"]]], points])
            _line(axes, points, number, label)
        _chance(axes, scene)
        axes.set_ylim(0, 1.02)
        style.finish(axes, xlabel, "accuracy on the test split", title)
    return figure


def generation(scene: Scene) -> Figure | None:
    """Shares of precision and coverage, and the Frechet distance by its floor."""
    metrics = scene.evaluation.metrics
    names = ("precision", "recall", "density", "coverage")
    shares = {n: metrics.get(f"generation/{n}") for n in names}
    shares = {n: value for n, value in shares.items() if value is not None}
    titles = {"frechet": "samples", "frechet_floor": "training images (floor)"}
    distances = {
        title: metrics.get(f"generation/{name}") for name, title in titles.items()
    }
    distances = {n: value for n, value in distances.items() if value is not None}
    if not shares or not distances:
        return None
    figure, (left, right) = style.charts(2, width=4.6, height=2.4)
    style.bars(left, list(shares), list(shares.values()))
    left.axvline(1.0, color=style.GREY, lw=0.9, ls=":")
    left.set_xlim(0, 1.2 * max(1.0, *shares.values()))
    style.finish(left, "share (density may pass 1)", title="samples among test images")
    style.bars(right, list(distances), list(distances.values()), style.ORANGE)
    right.set_xlim(0, 1.3 * max(distances.values()) or 1.0)
    style.finish(
        right, "Frechet distance (less is better)", title="features against test images"
    )
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
    return figure


def artificial(scene: Scene) -> Figure | None:
    """Accuracy of a classifier of images, trained on samples in part."""
    points = curve(scene.evaluation.metrics, "artificial/accuracy")
    if not len(points):
        return None
    figure, [axes] = style.charts()
    _line(axes, points, 0, None)
    for level, value in points:
        axes.annotate(
            f"{value:.3f}",
            (level, value),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    _chance(axes, scene)
    axes.margins(x=0.1)
    axes.set_ylim(0, 1.1)
    style.finish(axes, "share of samples in training", "accuracy on real test images")
    return figure


def disentanglement(scene: Scene) -> Figure | None:
    """Scores against known factors, each between 0 and 1."""
    metrics = scene.evaluation.metrics
    known = {
        DISENTANGLEMENT.get(name, name.replace("_", " ")): metrics[full]
        for full in metrics
        if (name := full.removeprefix("disentanglement/")) != full
        and isinstance(metrics[full], (int, float))
    }
    if not known:
        return None
    figure, [axes] = style.charts(width=6.4, height=0.3 * len(known) + 0.9)
    style.bars(axes, list(known), list(known.values()))
    axes.set_xlim(0, max(1.1, 1.1 * max(known.values())))
    style.finish(axes, "score (1 is best)")
    axes.grid(visible=False, axis="y")
    return figure


def calibration(scene: Scene) -> Figure | None:
    """Reliability diagram: accuracy in bins of equal width of the confidence."""
    lists = [
        scene.evaluation.metrics.get(f"calibration/{name}")
        for name in ("confidence", "accuracy", "share")
    ]
    if not all(isinstance(values, list) and values for values in lists):
        return None
    if len({len(values) for values in lists}) > 1:
        return None
    # An empty bin has neither confidence nor accuracy, and a share of 0.
    confidence, accuracy, share = (
        np.array([np.nan if value is None else value for value in values], float)
        for values in lists
    )
    count = len(share)
    centres = (np.arange(count) + 0.5) / count
    figure = Figure(figsize=(5.4, 5.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.bar(centres, accuracy, 0.94 / count, color=style.SKY, label="accuracy")
    top.plot(
        confidence,
        accuracy,
        "o",
        color=style.BLUE,
        ms=4,
        label="at the mean confidence of the bin",
    )
    top.plot([0, 1], [0, 1], color=style.GREY, lw=1, ls="--", label="calibrated")
    top.set_ylim(0, 1.02)
    style.finish(top, ylabel="accuracy on the test split")
    named = top.get_legend_handles_labels()
    top.get_legend().remove()  # it would lie on the bars
    figure.legend(
        *named, loc="outside upper center", ncols=3, fontsize=8, frameon=False
    )
    bottom.bar(centres, np.nan_to_num(share), 0.94 / count, color=style.GREY)
    total = scene.evaluation.recipe.get("examples", 0)
    for place, value in zip(centres, np.nan_to_num(share), strict=True):
        text = f"{value * total:.0f}" if total else ""
        bottom.annotate(text, (place, value), ha="center", va="bottom", fontsize=7)
    bottom.margins(y=0.25)
    bottom.set_xlim(0, 1)
    style.finish(bottom, "confidence, max q(y|x)", "share of examples")
    return figure


def _line(axes, points: np.ndarray, number: int, label: str | None) -> None:
    axes.plot(
        *points.T,
        color=style.SERIES[number],
        marker=style.MARKERS[number],
        ms=5,
        lw=1.5,
        label=label,
    )


def _chance(axes, scene: Scene) -> None:
    """A dotted line at the accuracy of guessing among balanced classes."""
    num_labels = scene.run.dataset.spec.num_labels
    if num_labels:
        axes.axhline(1 / num_labels, color=style.GREY, lw=0.9, ls=":", label="guessing")
