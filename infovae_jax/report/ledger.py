"""Every published figure beside ours, and what is left to be run.

python -m infovae_jax.report.ledger [--results=results] [--out=docs/ledger.md]

A row without a file in `results/` says with which command it is made.
"""

import pathlib
import statistics
from typing import NamedTuple

from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.report import published, record, summary
from infovae_jax.report.published import HIGHER, NEAR, Published
from infovae_jax.training import output

PAGE = pathlib.Path("docs/ledger.md")
REACHED, MISSED = "reached", "not reached"
INCOMPARABLE, OPEN = "not comparable", "not run"
# A figure to meet is met within so much of it, or two of our deviations.
NEARNESS = 0.05


class Ours(NamedTuple):
    """Our figure: mean, deviation (None of one run), runs, minutes of training each."""

    mean: float
    deviation: float | None
    runs: int
    minutes: float


def ours(row: Published, records: dict[str, record.Record]) -> Ours | None:
    """Our figure of a published one, or None where it was not run."""
    found = records.get(row.record)
    if found is None:
        return None
    values = found.figures.get(row.metric) or found.training.get(row.metric)
    if values is None or all(v is None for v in values):
        return None
    values = [None if v is None else row.scale * v for v in values]
    mean, deviation, runs = record.spread(values)
    return Ours(mean, deviation, runs, statistics.fmean(found.minutes))


def verdict(row: Published, own: Ours | None) -> str:
    """Whether our mean is as good as the published figure, in words."""
    if own is None:
        return OPEN
    if row.why:
        return f"{INCOMPARABLE}: {row.why}"
    if row.better == NEAR:
        tolerance = max(NEARNESS * abs(row.value), 2.0 * (own.deviation or 0.0))
        return REACHED if abs(own.mean - row.value) <= tolerance else MISSED
    ahead = own.mean - row.value if row.better == HIGHER else row.value - own.mean
    return REACHED if ahead >= 0 else MISSED


def read_records(folder: pathlib.Path) -> dict[str, record.Record]:
    """All records of a folder, by name.

    Raises:
      ConfigError: there is no such folder, or one is damaged.
    """
    if not folder.is_dir():
        raise ConfigError("no folder", str(folder), "name that of the records")
    return {path.stem: record.read(path) for path in sorted(folder.glob("*.json"))}


def _number(value: float | None, share: bool) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if share else f"{value:.4g}"


def _cell(mean: float | None, deviation: float | None, runs: int | None, share) -> str:
    text = _number(mean, share)
    if deviation is not None:
        text += f" ± {_number(deviation, share)}"
    return f"{text} ({runs})" if runs else text


def _is_share(row: Published) -> bool:
    return "accuracy" in row.figure or "share" in row.figure


def table(rows: list[Published], records: dict[str, record.Record]) -> list[str]:
    """The rows as a Markdown table."""
    lines = [
        "| method | data | figure | published | ours | verdict | minutes a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        own, share = ours(row, records), _is_share(row)
        judged = verdict(row, own)
        if row.note and own is not None:
            judged += f"; {row.note}"
        cells = (
            row.method,
            row.data,
            f"{row.figure} ({row.source})",
            _cell(row.value, row.spread, row.runs, share),
            _cell(own.mean, own.deviation, own.runs, share) if own else "-",
            judged,
            f"{own.minutes:.1f}" if own else "-",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def page(records: dict[str, record.Record]) -> str:
    """The whole ledger as Markdown."""
    verdicts = [verdict(row, ours(row, records)) for row in published.ROWS]
    counts = {
        word: sum(v.startswith(word) for v in verdicts)
        for word in (REACHED, MISSED, INCOMPARABLE, OPEN)
    }
    total = ", ".join(f"{count} {word}" for word, count in counts.items())
    lines = [
        "# The ledger",
        "",
        "The published figures of the systems and their baselines that are known to "
        "us, and ours beside them; made by `python -m infovae_jax.report.ledger` from "
        "the files in `results/`. Means ± standard deviations, with the number of "
        f"runs. {len(verdicts)} rows: {total}.",
        "",
        "A clustering is judged by the mean over our seeds on the test split; no run "
        "and no choice of a run saw a label. 'Reached' means that our mean is at least "
        f"as good; a figure to meet is met within {NEARNESS:.0%} or two of our "
        "deviations.",
    ]
    for system in published.SYSTEMS:
        rows = [row for row in published.ROWS if row.system == system]
        lines += ["", f"## {system}", "", *table(rows, records)]
        missing = [row.command for row in rows if ours(row, records) is None]
        if missing:
            lines += ["", "What is not run yet is run by", ""]
            lines += [f"- `{command}`" for command in dict.fromkeys(missing)]
    used = {row.record for row in published.ROWS} & set(records)
    if used:
        lines += ["", "## How ours were run", ""]
        lines += [_origin(name, records[name]) for name in sorted(used)]
    return "\n".join(lines) + "\n"


def _origin(name: str, found: record.Record) -> str:
    place = found.environment
    return (
        f"- `results/{name}.json`: `{found.command}`; seeds "
        f"{', '.join(map(str, found.seeds))}; commit {place['commit']}, jax "
        f"{place['jax']}, {place['processor']}, {place['cores']} cores."
    )


def main() -> None:
    """Writes the page."""
    parser = summary.Parser(prog="python -m infovae_jax.report.ledger")
    parser.add_argument("--results", type=pathlib.Path, default=record.FOLDER)
    parser.add_argument("--out", type=pathlib.Path, default=PAGE)
    with ending_in_one_line():
        options = parser.parse_args()
        summary.require_place(options.out, "--out", ".md")
        text = page(read_records(options.results))
        options.out.write_text(text, encoding="utf-8")
        print(f"wrote {options.out}")


if __name__ == "__main__":
    output.keep_harmless()
    main()
