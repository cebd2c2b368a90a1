"""Charts of what an evaluation found."""

import re
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from infovae_jax.report import style

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


def curve(figures: Mapping[str, float], stem: str) -> np.ndarray:
    """Points (level, value) `[n, 2]` of the figures `<stem>_<level>`, by level."""
    found = {re.fullmatch(re.escape(stem) + r"_(\d+(?:\.\d+)?)", n): n for n in figures}
    points = [(float(m[1]), float(figures[n])) for m, n in found.items() if m]
    return np.array(sorted(points)).reshape(-1, 2)


def density(
    names: Sequence[str],
    values: Sequence[float],
    below: Sequence[float],
    above: Sequence[float],
    recipes: Sequence[str],
) -> Figure:
    """Estimates of log p(x) side by side, with what is known of their error.

    Args:
      names: of the estimates, such as 'ELBO'.
      values: nats per example.
      below: how far each may be too high, nats; 0 where nobody knows.
      above: how far it may be too low.
      recipes: how each came about.
    """
    figure, [axes] = style.charts(width=8.5, height=0.75 * len(names) + 1.0)
    rows = zip(values, below, above, strict=True)
    for place, (value, less, more) in enumerate(rows):
        if more:
            axes.plot(
                [value - less, value + more],
                [place, place],
                color=style.SKY,
                lw=6,
                solid_capstyle="butt",
                zorder=1,
            )
        axes.plot(value, place, "o", color=style.BLUE, ms=7)
        style.note(axes, f"{value:.2f}", (value, place), (0, 7), ha="center")
    ticks = [
        f"{name}\n" + textwrap.fill(str(recipe).removeprefix("nats; "), 52)
        for name, recipe in zip(names, recipes, strict=True)
    ]
    axes.set_yticks(range(len(names)), ticks)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.margins(x=0.12)
    style.finish(axes, "log p(x), nats per example (to the right is better)")
    return figure


def probe_accuracy(chance: float | None = None, **figures: float) -> Figure:
    """Accuracy of simple classifiers of the code against the labels they saw.

    Args:
      chance: accuracy of guessing, or None.
      figures: accuracies by the names of `evaluation.json`, such as 'linear_100' of a
        logistic regression on 100 labels, 'knn_100', 'tsvm_100'.
    """
    curves = {name: curve(figures, name) for name in PROBES}
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
    _chance(axes, chance)
    axes.set_ylim(0, 1.02)
    style.finish(axes, "labels seen by the classifier", "accuracy on the test split")
    return figure


def robustness(chance: float | None = None, **figures: float) -> Figure:
    """Accuracy of a probe fitted on clean codes, on corrupted test images.

    Args:
      chance: accuracy of guessing, or None.
      figures: accuracies by the names of `evaluation.json`: 'clean', 'gaussian_0.5',
        'mask_0.3' of a logistic regression, 'tsvm_100_clean', ... of a transductive SVM
        on 100 labels.
    """
    noise = "standard deviation of the noise, in pixel values"
    kinds = {
        "gaussian": ("Gaussian noise", noise),
        "mask": ("masked pixels", "share of pixels set to 0"),
    }
    counts = [n for n in TSVM_LABELS if f"tsvm_{n}_clean" in figures]
    stems = {"logistic regression": ""}
    stems |= {f"TSVM, {n} labels": f"tsvm_{n}_" for n in counts[:1]}
    kinds = {k: v for k, v in kinds.items() if len(curve(figures, k))}
    figure, panels = style.charts(len(kinds), width=4.6)
    for axes, (kind, (title, xlabel)) in zip(panels, kinds.items(), strict=True):
        for number, (label, stem) in enumerate(stems.items()):
            points = curve(figures, f"{stem}{kind}")
            if f"{stem}clean" in figures:
                points = np.concatenate([[[0.0, figures[f"{stem}clean"]]], points])
            _line(axes, points, number, label)
        _chance(axes, chance)
        axes.set_ylim(0, 1.02)
        style.finish(axes, xlabel, "accuracy on the test split", title)
    return figure


def generation(**figures: float) -> Figure:
    """Shares of precision and coverage, and the Frechet distance by its floor.

    Args:
      figures: by the names of `evaluation.json`: 'precision', 'recall', 'density' and
        'coverage' of samples; 'frechet', distance of their features to those of test
        images, and 'frechet_floor', that of training images.
    """
    names = ("precision", "recall", "density", "coverage")
    shares = {name: float(figures[name]) for name in names if name in figures}
    titles = {"frechet": "samples", "frechet_floor": "training images (floor)"}
    distances = {t: float(figures[n]) for n, t in titles.items() if n in figures}
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


def artificial(chance: float | None = None, **figures: float) -> Figure:
    """Accuracy of a classifier of images, trained on samples in part.

    Args:
      chance: accuracy of guessing, or None.
      figures: by the names of `evaluation.json`, such as 'accuracy_0.4' where two
        fifths of the training images are samples, and 'accuracy_wide_0.4' where these
        are of codes of N(0, 1.4^2 I).
    """
    points, wide = curve(figures, "accuracy"), curve(figures, "accuracy_wide")
    figure, [axes] = style.charts()
    _line(axes, points, 0, "samples of the prior" if len(wide) else None)
    for level, value in points:
        style.note(axes, f"{value:.3f}", (level, value), (0, 6), ha="center")
    if len(wide):
        _line(axes, wide, 1, "samples of sigma 1.4")
        axes.legend(loc="lower left")
    _chance(axes, chance)
    axes.margins(x=0.1)
    axes.set_ylim(0, 1.1)
    style.finish(axes, "share of samples in training", "accuracy on real test images")
    return figure


def disentanglement(**scores: float) -> Figure:
    """Scores against known factors, each between 0 and 1.

    Args:
      scores: by the names of `evaluation.json`, such as 'mig' and 'sap'.
    """
    known = {
        DISENTANGLEMENT.get(name, name.replace("_", " ")): float(score)
        for name, score in scores.items()
    }
    figure, [axes] = style.charts(width=6.4, height=0.3 * len(known) + 0.9)
    style.bars(axes, list(known), list(known.values()))
    axes.set_xlim(0, max(1.1, 1.1 * max(known.values())))
    style.finish(axes, "score (1 is best)")
    axes.grid(visible=False, axis="y")
    return figure


def calibration(
    confidence: np.ndarray,
    accuracy: np.ndarray,
    share: np.ndarray,
    examples: int = 0,
) -> Figure:
    """Reliability diagram: accuracy in bins of equal width of the confidence.

    Args:
      confidence: mean max q(y | x) in each bin, `[B]`; NaN of an empty one.
      accuracy: `[B]`; NaN of an empty one.
      share: of the examples, `[B]`.
      examples: how many there are; 0: not known.
    """
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
    for place, value in zip(centres, np.nan_to_num(share), strict=True):
        text = f"{value * examples:.0f}" if examples else ""
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


def _chance(axes, chance: float | None) -> None:
    """A dotted line at the accuracy of guessing among balanced classes."""
    if chance is not None:
        axes.axhline(chance, color=style.GREY, lw=0.9, ls=":", label="guessing")
