"""The table of every knob, made from the declarations.

    python -m infovae_jax.report.reference            # Markdown, to the terminal
    python -m infovae_jax.report.reference --write    # docs/reference.md

A test compares the page with what this makes.
"""

import dataclasses
import pathlib
import sys
import typing

from infovae_jax import objectives
from infovae_jax.config import groups, knobs
from infovae_jax.training import output

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reference.md"
_INTRO = """# Every key

Made by `python -m infovae_jax.report.reference --write`. On the command line a key is
`--config.<key>=<value>`. Every weight, and the learning rate, is a number or a schedule
in words such as `linear(0, 1, 5)`, with durations in epochs or
in per cent of the training (`linear(0, 1, 20%)`); a weight of a term may
also be a wish, `target(<nats>)`.
"""


def table(group: type, prefix: str) -> list[str]:
    """Rows of a Markdown table, one per knob of a dataclass."""
    kinds, declared = typing.get_type_hints(group), knobs.declared(group)
    rows = ["| key | default | may be | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(group):
        own = declared[field.name]
        what = knobs.describe(own, kinds[field.name])
        cells = f"`{prefix}{field.name}`", f"`{field.default!r}`", what, own.meaning
        rows.append(_row(cells))
    return rows


def weights_table(weights: dict[str, knobs.Weight]) -> list[str]:
    """Rows of a Markdown table, one per scalar of a loss."""
    rows = ["| key | default | may be | meaning |", "|---|---|---|---|"]
    for name, weight in weights.items():
        what = "any number" if weight.signed else "at least 0"
        what = what if weight.is_term else "above 0"
        default = f"`{weight.default!r}`"
        rows.append(_row((f"`weights.{name}`", default, what, weight.meaning)))
    return rows


def of_objective(name: str) -> list[str]:
    """Tables of the knobs of an objective and of the scalars of its loss."""
    module = objectives.load(name)
    return [*table(module.Config, "model."), "", *weights_table(module.HPARAMS)]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The whole page."""
    lines = [_INTRO, "## Shared by all runs", "", *table(groups.Run, "")]
    for name, group in groups.BY_NAME.items():
        lines += ["", f"### {name}", "", *table(group, f"{name}.")]
    lines += ["", "## Objectives", ""]
    lines.append(
        "Defaults of the modules; `configs/<objective>.py` names what differs."
    )
    for name in objectives.names():
        title = objectives.load(name).__doc__.split("\n")[0]
        lines += ["", f"### {name}", "", title, "", *of_objective(name)]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    """Prints the page, or writes it."""
    if arguments == ["--write"]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page())
        print(f"wrote {PAGE}")
    else:
        print(page(), end="")


if __name__ == "__main__":
    output.keep_harmless()
    main(sys.argv[1:])
