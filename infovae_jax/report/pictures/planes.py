"""The planes of rate and distortion, and of information: one run or several."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infovae_jax.report import style

# Name of a run and its points `[n, 2]` in the order of training.
Paths = list[tuple[str, np.ndarray]]


def rate_distortion(points: np.ndarray, epochs: Sequence[float] = ()) -> Figure:
    """The path of a run through the plane of rate and distortion.

    Args:
      points: (rate, distortion) after each evaluation, `[n, 2]` nats.
      epochs: of those, `[n]`, which name the first and the last.
    """
    figure, [axes] = style.charts(width=6.0, height=4.4)
    draw_rate_distortion(axes, [("", np.asarray(points))], epochs)
    return figure


def members(
    points: np.ndarray, names: Sequence[str], own: Sequence[float] | None = None
) -> Figure:
    """Runs beside one another in the plane of rate and distortion.

    Args:
      points: (rate, distortion) of each, `[m, 2]` nats.
      names: `[m]`; those of one name have one colour.
      own: the point that is ringed, `[2]`, or None.
    """
    by_name: dict[str, list] = {}
    for name, point in zip(names, points, strict=True):
        by_name.setdefault(str(name), []).append(point)
    figure, [axes] = style.charts(width=6.0, height=4.4)
    paths = [(name, np.array(some)) for name, some in by_name.items()]
    draw_rate_distortion(axes, paths, joined=False)
    if own is not None:
        axes.plot(*own, "o", ms=13, mfc="none", mec="black", label="this member")
    axes.legend(fontsize=7, frameon=False, ncols=1 + len(paths) // 12)
    return figure


def information_plane(
    points: np.ndarray,
    ceilings: Sequence[float] | None = None,
    epochs: Sequence[float] = (),
) -> Figure:
    """The path of a run through the information plane.

    Args:
      points: (bound on I(x; z), bound on I(z; y)) after each evaluation, `[n, 2]` nats.
      ceilings: the most that the two can be, (log n, H(y)) nats, or None.
      epochs: of the points, `[n]`, which name the first and the last.
    """
    figure, [axes] = style.charts(width=6.0, height=4.4)
    draw_information(axes, [("", np.asarray(points))], ceilings, epochs)
    return figure


def of_runs(rates: Paths, informations: Paths) -> Figure:
    """Runs in both planes, or in the one for which there are points."""
    given = [
        (draw, paths)
        for draw, paths in (
            (draw_rate_distortion, rates),
            (draw_information, informations),
        )
        if paths
    ]
    longest = max(len(name) for _, paths in given for name, _ in paths)
    count = max(len(paths) for _, paths in given)
    legend = 0.07 * longest + 0.5
    width = 5.4 * len(given) + legend
    figure = Figure(figsize=(width, max(4.4, 0.2 * count)))
    every = list(dict.fromkeys(name for _, paths in given for name, _ in paths))
    left = 0.75
    for draw, paths in given:
        axes = figure.add_axes((left / width, 0.13, 4.5 / width, 0.8))
        draw(axes, paths, numbers={name: n for n, name in enumerate(every)})
        left += 5.4
    handles = {}
    for axes in figure.axes:
        found = axes.get_legend_handles_labels()
        handles |= dict(zip(*found[::-1], strict=True))
        axes.get_legend().remove()
    figure.legend(
        handles.values(),
        handles.keys(),
        fontsize=8,
        frameon=False,
        loc="center left",
        bbox_to_anchor=((left - 0.75) / width, 0.5),
    )
    return figure


def draw_rate_distortion(
    axes: Axes,
    paths: Paths,
    epochs: Sequence[float] = (),
    numbers: dict | None = None,
    joined: bool = True,
) -> None:
    """Dotted lines join what has the same negative ELBO, rate + distortion.

    `joined`: the points of a name are the path of one run, otherwise runs that are
    alike; those of many names then go through a range of colours in order.

    A code further to the right says more of x (Alemi et al. 2018, arXiv 1711.00464).
    """
    every = np.concatenate([points for _, points in paths])
    low, high = every.min(0), every.max(0)
    span = np.maximum(high - low, 1e-3)
    edges = np.array([low[0] - 0.1 * span[0], high[0] + 0.1 * span[0]])
    for total in np.linspace(low.sum(), high.sum(), 7):
        axes.plot(edges, total - edges, color=style.FAINT, lw=0.8, ls=":", zorder=0)
    if joined:
        _draw_paths(axes, paths, epochs, numbers)
    else:
        _draw_clouds(axes, paths)
    axes.set_xlim(*edges)
    axes.set_ylim(low[1] - 0.1 * span[1], high[1] + 0.1 * span[1])
    style.finish(
        axes,
        "rate KL(q(z|x) || p(z)), nats",
        "distortion -log p(x|z), nats",
        "rate and distortion",
    )


def draw_information(
    axes: Axes,
    paths: Paths,
    ceilings: Sequence[float] | None = None,
    epochs: Sequence[float] = (),
    numbers: dict | None = None,
) -> None:
    """Dotted lines: the most that the bound (log n) and the label (H(y)) allow."""
    _draw_paths(axes, paths, epochs, numbers)
    line = {"color": style.GREY, "lw": 0.9, "ls": ":", "zorder": 0}
    if ceilings is not None:
        axes.axvline(ceilings[0], **line)
        axes.axhline(ceilings[1], **line)
        right, top = ("data", "axes fraction"), ("axes fraction", "data")
        grey = {"color": style.GREY}
        text, place = f"log n = {ceilings[0]:.2f}", (ceilings[0], 0.02)
        style.note(axes, text, place, (-4, 0), xycoords=right, ha="right", **grey)
        text, place = f"H(y) = {ceilings[1]:.2f}", (0.01, ceilings[1])
        style.note(axes, text, place, (0, -4), xycoords=top, va="top", **grey)
    style.finish(
        axes,
        "I(x; z) of example and code, lower bound, nats",
        "I(z; y) of code and label, lower bound, nats",
        "information plane",
    )


def _draw_paths(
    axes: Axes, paths: Paths, epochs: Sequence[float], numbers: dict | None
) -> None:
    for place, (name, points) in enumerate(paths):
        number = place if numbers is None else numbers[name]
        colour = style.category(number)
        # After ten runs the colours come again, with another mark.
        mark = style.MARKERS[number // len(style.CATEGORIES) % len(style.MARKERS)]
        axes.plot(*points.T, color=colour, lw=1.0, marker=".", ms=4)
        label = name or (f"epoch {epochs[-1]:.4g}" if len(epochs) else "last")
        axes.plot(*points[-1], mark, color=colour, ms=8, label=label, mec="white")
        if len(epochs) == len(points) > 1:
            label = f"epoch {epochs[0]:.4g}"
            axes.plot(*points[0], "o", color="white", ms=7, mec=colour, label=label)


def _draw_clouds(axes: Axes, paths: Paths) -> None:
    for number, (name, points) in enumerate(paths):
        colour = style.category(number)
        if len(paths) > 4:
            colour = colormaps["viridis"](number / (len(paths) - 1))
        axes.plot(*points.T, "o", color=colour, ms=7, mec="white", label=name)
