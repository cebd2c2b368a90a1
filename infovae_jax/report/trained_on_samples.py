"""What a classifier learns from samples in place of images: the accuracy score."""

import re
from collections.abc import Mapping

from infovae_jax.report import record

_FIGURE = re.compile(r"artificial/accuracy_(wide_)?([\d.]+)")


def table(objective: str, records: Mapping[str, record.Record]) -> list[str]:
    """Test accuracy by share of samples, of the objective's records that have it.

    Args:
      objective: name.
      records: of `results/`, by name.
    """
    lines: list[str] = []
    for name, found in sorted(records.items()):
        if found.config["objective"] != objective:
            continue
        by_share = _by_share(found)
        if by_share:
            rows = [["share of samples", "sigma 1", "sigma 1.4"]]
            for share, cells in sorted(by_share.items()):
                rows.append(
                    [f"{share:.0%}", cells.get("", "-"), cells.get("wide_", "-")]
                )
            runs = f"{len(found.seeds)} run{'s' * (len(found.seeds) > 1)}"
            lines += [*record.markdown(rows), ""]
            lines += [f"`results/{name}.json`, {runs}: `{found.command}`"]
    return lines or ["Not measured yet."]


def _by_share(found: record.Record) -> dict[float, dict[str, str]]:
    cells: dict[float, dict[str, str]] = {}
    for name, values in found.figures.items():
        match = _FIGURE.fullmatch(name)
        if match and any(v is not None for v in values):
            text = record.mean_text(values, 3)
            cells.setdefault(float(match[2]), {})[match[1] or ""] = text
    return cells
