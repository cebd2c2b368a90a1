"""Figures as rows, and rows as text."""

from typing import Any, NamedTuple

from infovae_jax.errors import printable


class Row(NamedTuple):
    """One figure and how it came about.

    Attributes:
      name: such as 'cluster/accuracy'.
      value: None where it is not reported; the recipe then says why.
      recipe: unit and method, in words.
      error: standard error of the value, in its unit; None where there is none.
    """

    name: str
    value: float | int | list | None
    recipe: str
    error: float | None = None


def format_value(value: float | int | str | list | None, digits: int = 4) -> str:
    """A figure as text of so many significant digits; a list as its range."""
    if value is None:
        return "-"
    if isinstance(value, list) and value and isinstance(value[0], list):
        value = [item for row in value for item in row]
    if isinstance(value, list):
        value = [item for item in value if item is not None]
        if not value:
            return "-"
        return f"{format_value(min(value))}..{format_value(max(value))}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def aligned(rows: list[list[str]], left: tuple[int, ...] = ()) -> list[str]:
    """Rows of cells as lines of columns, those in `left` aligned to the left.

    Names of columns of a table are among them: they are made harmless.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    sides = ["<" if i in left else ">" for i in range(len(rows[0]))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{side}{width}}"
            for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def table_text(result: dict[str, Any]) -> str:
    """The evaluation as a table to print."""
    rows = [["metric", "value", "recipe"], *result["table"]]
    return "\n".join(aligned(rows, left=(0, 2)))
