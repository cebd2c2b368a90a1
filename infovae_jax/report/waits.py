"""What a person waits for: the file that `benchmark.waits` writes, as a table."""

import pathlib
import statistics
from typing import Any, NamedTuple

from infovae_jax.report import record, step_speeds

OURS = step_speeds.OURS
ONE_BY_ONE = "one by one"
_TITLES = {
    OURS: "ours",
    **step_speeds.PEERS,
    "torch_per_image": "PyTorch, image by image",
    "torch_per_sample": "PyTorch, image by image, sample by sample",
    ONE_BY_ONE: "ours, one run after the other",
}
_HEAD = ("what", "who", "seconds", "compiling", "epochs", "ours is x times faster")


class Waits(NamedTuple):
    """What was waited for, and for how long.

    Attributes:
      command: that measured it.
      environment: versions, processor, threads and commit.
      epochs: after which a bound or an accuracy counts as not reached.
      tasks: `what`, `how`, and `variants`: name -> `seconds` without compiling,
        `compile` and `epochs`, one a round (None: not reached, or not told apart), or
        `failed` and why.
      curves: case -> variant -> for each round a point an epoch: `epoch`, `seconds`,
        `compile`, `elbo` in nats and `accuracy`.
    """

    command: str
    environment: dict[str, Any]
    epochs: int
    tasks: list[dict[str, Any]]
    curves: dict[str, dict[str, list[list[dict[str, Any]]]]]


def read(path: pathlib.Path) -> Waits:
    """Waits that `record.write` wrote.

    Raises:
      ConfigError: there are none, or they are damaged.
    """
    fix = "name a file that --out of infovae_jax.benchmark.waits wrote"
    return record.read_as(Waits, path, "waits", fix)


def rows(waits: Waits) -> list[list[str]]:
    """A head, and a row of cells for each task and who did it; ours first."""
    found = [list(_HEAD)]
    for task in waits.tasks:
        ours = task["variants"][OURS]
        for name, own in task["variants"].items():
            what = task["what"] if name == OURS else ""
            ratio = "" if name == OURS else _ratio(own, ours)
            found.append([what, _TITLES[name], *_cells(own, waits.epochs), ratio])
    return found


def table(waits: Waits) -> list[str]:
    """The waits in Markdown, and how they were measured."""
    lines = [
        f"Medians. `{waits.command}`; {record.told_of(waits.environment)}.",
        "",
        *record.markdown(rows(waits)),
    ]
    notes = {task["how"]: task["what"] for task in waits.tasks if task["how"]}
    return lines + [""] * bool(notes) + [f"- {w}: {how}." for how, w in notes.items()]


def part(root: pathlib.Path) -> list[str]:
    """The table of `results/speed/waits.json`, or how to make it."""
    path = step_speeds.FOLDER / "waits.json"
    return record.part(root, path, read, table)


def _cells(own: dict[str, Any], limit: int) -> list[str]:
    if "failed" in own:
        return [f"failed: {own['failed']}", "", ""]
    seconds = [value for value in own["seconds"] if value is not None]
    if not seconds:
        return [f"not within {limit} epochs", "", ""]
    missed = len(own["seconds"]) - len(seconds)
    text = f"{statistics.median(seconds):.1f}"
    if missed:
        text += f" (not reached in {missed} of {missed + len(seconds)} rounds)"
    return [text, _median(own["compile"], ".1f"), _median(own["epochs"], ".0f")]


def _median(values: list[float | None], form: str) -> str:
    there = [value for value in values if value is not None]
    return f"{statistics.median(there):{form}}" if there else ""


def _ratio(own: dict[str, Any], ours: dict[str, Any]) -> str:
    """Of all seconds, compiling too, round by round."""
    if "failed" in own or "failed" in ours:
        return ""
    pairs = zip(_totals(own), _totals(ours), strict=True)
    ratios = [a / b for a, b in pairs if a is not None and b is not None]
    if not ratios:
        return ""
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{statistics.median(ratios):.2f}x{spread}"


def _totals(own: dict[str, Any]) -> list[float | None]:
    both = zip(own["seconds"], own["compile"], strict=True)
    return [None if s is None else s + (c or 0.0) for s, c in both]
