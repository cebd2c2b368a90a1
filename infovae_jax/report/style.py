"""How every chart looks: colours, sizes of letters, axes."""

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infovae_jax.errors import printable

# Okabe & Ito 2008: told apart with every common colour blindness.
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = SERIES = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
)
GREY, FAINT = "#6b7280", "#c3c8d0"
# Petroff 2021 (arXiv 2107.02270): ten categories, made for colour blindness too.
CATEGORIES = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P")
LETTER = 0.067  # inches, the mean of 8 points


def category(number: int) -> str:
    """Colour of a category; they repeat after ten."""
    return CATEGORIES[number % len(CATEGORIES)]


def plain(name: str) -> str:
    """A name as it is drawn letter by letter.

    Two dollars would begin and end a formula, a legend leaves out what begins with an
    underscore, and warnings hold names, which a terminal must not obey.
    """
    text = printable(str(name))
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def names(given: Iterable[str] | None) -> list[str]:
    """`plain` of each; none of None."""
    return [plain(name) for name in (() if given is None else given)]


def rotation(names: list[str], width: float) -> int:
    """Degrees: 0 where names of 8 points fit side by side, so many inches each.

    A name may reach over a neighbour that is empty.
    """
    sizes = [LETTER * max(map(len, name.split("\n"))) for name in names]
    both = zip(sizes, sizes[1:], strict=False)
    return 90 if any(a and b and (a + b) / 2 > width for a, b in both) else 0


def charts(columns: int = 1, width: float = 5.4, height: float = 3.6):
    """A figure with charts side by side: (figure, list of axes)."""
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, [figure.add_subplot(1, columns, n + 1) for n in range(columns)]


def finish(axes: Axes, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Labels, grid and a legend where something is named."""
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    if title:
        axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, frameon=False)


def cell(axes: Axes, row: int, column: int, text: str, dark: bool, size: int) -> None:
    """A number in the middle of its cell of a table, to be read on dark cells too."""
    middle = {"ha": "center", "va": "center", "fontsize": size}
    axes.text(column, row, text, color="white" if dark else "black", **middle)


def note(axes: Axes, text: str, place, shift: tuple[float, float], **options) -> None:
    """A small text so many points beside a place in the chart."""
    options = {"fontsize": 8, "textcoords": "offset points"} | options
    axes.annotate(text, place, xytext=shift, **options)


def bars(axes: Axes, names: list[str], values: list[float], color=BLUE) -> None:
    """Horizontal bars from the top down, each with its value at its end."""
    places = range(len(names))
    axes.barh(places, values, color=color, height=0.62)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    for place, value in zip(places, values, strict=True):
        edge = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}
        end = max(value, 0.0), place
        note(axes, f"{value:.3g}", end, (4, 0), va="center", bbox=edge)
