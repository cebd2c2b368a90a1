"""Charts of what an evaluation found."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from infovae_jax.report import style

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
    figure = Figure(figsize=(8.5, 0.75 * len(names) + 1.0), layout="constrained")
    axes = figure.add_subplot()
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
        axes.annotate(
            f"{value:.2f}",
            (value, place),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ticks = [
        f"{name}\n" + textwrap.fill(str(recipe).removeprefix("nats; "), 52)
        for name, recipe in zip(names, recipes, strict=True)
    ]
    axes.set_yticks(range(len(names)), ticks)
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.margins(x=0.12)
    style.finish(axes, "log p(x), nats per example (to the right is better)")
    return figure


def probe_accuracy(
    linear: np.ndarray | None = None,
    knn: np.ndarray | None = None,
    tsvm: np.ndarray | None = None,
    chance: float | None = None,
) -> Figure:
    """Accuracy of simple classifiers of the code against the labels they saw.

    Args:
      linear: of a logistic regression, points (labels seen, accuracy) `[n, 2]`.
      knn: of the 5 nearest codes.
      tsvm: of a transductive SVM.
      chance: accuracy of guessing, or None.
    """
    given = {"logistic regression": linear, "5 nearest codes": knn, "TSVM": tsvm}
    figure, [axes] = style.charts(width=6.0)
    ticks: set[float] = set()
    for number, (label, points) in enumerate(given.items()):
        if points is not None:
            _line(axes, points, number, label)
            ticks |= {float(count) for count, _ in points}
    axes.set_xscale("log")
    axes.set_xticks(sorted(ticks), [f"{tick:.0f}" for tick in sorted(ticks)])
    axes.xaxis.set_minor_locator(NullLocator())
    if len(ticks) == 1:
        axes.set_xlim(min(ticks) / 2, min(ticks) * 2)
    _chance(axes, chance)
    axes.set_ylim(0, 1.02)
    style.finish(axes, "labels seen by the classifier", "accuracy on the test split")
    return figure


def robustness(
    gaussian: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    tsvm_gaussian: np.ndarray | None = None,
    tsvm_mask: np.ndarray | None = None,
    tsvm_labels: int | None = None,
    chance: float | None = None,
) -> Figure:
    """Accuracy of a probe fitted on clean codes, on corrupted test images.

    Args:
      gaussian: of a logistic regression under noise, points (standard deviation,
        accuracy) `[n, 2]`.
      mask: where pixels are set to 0, points (share of them, accuracy) `[n, 2]`.
      tsvm_gaussian: the first of a transductive SVM, or None.
      tsvm_mask: the second.
      tsvm_labels: how many labels that saw.
      chance: accuracy of guessing, or None.
    """
    noise = "standard deviation of the noise, in pixel values"
    kinds = [
        ("Gaussian noise", noise, gaussian, tsvm_gaussian),
        ("masked pixels", "share of pixels set to 0", mask, tsvm_mask),
    ]
    kinds = [kind for kind in kinds if kind[2] is not None]
    figure, panels = style.charts(len(kinds), width=4.6)
    for axes, (title, xlabel, points, tsvm) in zip(panels, kinds, strict=True):
        _line(axes, points, 0, "logistic regression")
        if tsvm is not None:
            _line(axes, tsvm, 1, f"TSVM, {tsvm_labels} labels")
        _chance(axes, chance)
        axes.set_ylim(0, 1.02)
        style.finish(axes, xlabel, "accuracy on the test split", title)
    return figure


def generation(
    frechet: float | None = None,
    frechet_floor: float | None = None,
    **shares: float,
) -> Figure:
    """Shares of precision and coverage, and the Frechet distance by its floor.

    Args:
      frechet: distance of features of samples to those of test images.
      frechet_floor: that of training images.
      shares: 'precision', 'recall', 'density', 'coverage'.
    """
    shares = {name: float(value) for name, value in shares.items()}
    distances = {"samples": frechet, "training images (floor)": frechet_floor}
    distances = {n: float(v) for n, v in distances.items() if v is not None}
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


def artificial(points: np.ndarray, chance: float | None = None) -> Figure:
    """Accuracy of a classifier of images, trained on samples in part.

    Args:
      points: (share of samples in training, accuracy) `[n, 2]`.
      chance: accuracy of guessing, or None.
    """
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
        *np.asarray(points).T,
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
