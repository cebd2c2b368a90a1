"""The row of an evaluation: a figure and how it came about."""

from typing import NamedTuple


class Row(NamedTuple):
    """One figure and how it came about."""

    name: str
    value: float | int | list | None
    recipe: str
