"""The ledger: verdicts, and that its page and the files agree."""

import pathlib

import pytest

from infovae_jax.report import ledger, published, record

ROOT = pathlib.Path(__file__).parents[2]


def make_row(value=0.9, better=published.HIGHER, why="", **changes):
    row = published.Published(
        published.CATVAE,
        "a method",
        "mnist",
        "accuracy",
        value,
        0.01,
        5,
        "a paper",
        "a command",
        "file",
        better=better,
        why=why,
    )
    return row._replace(**changes)


def make_record(*values):
    figures = {"cluster/accuracy": list(values)}
    place = {"commit": "c", "jax": "0", "processor": "p", "cores": "2"}
    seeds = list(range(len(values)))
    return record.Record("command", {}, seeds, figures, {}, [1.0, 3.0], {}, place)


@pytest.mark.parametrize(
    ("row", "values", "expected"),
    [
        (make_row(), (0.95, 0.91), ledger.REACHED),
        (make_row(), (0.95, 0.81), ledger.MISSED),
        (make_row(better=published.LOWER), (0.8, 0.8), ledger.REACHED),
        (make_row(better=published.LOWER), (0.95, 0.95), ledger.MISSED),
        # Within 5 %, or two deviations.
        (make_row(10.0, published.NEAR), (10.4, 10.4), ledger.REACHED),
        (make_row(10.0, published.NEAR), (11.0, 11.0), ledger.MISSED),
        (make_row(10.0, published.NEAR), (11.5, 10.5), ledger.REACHED),
        (make_row(why="units"), (1.0, 1.0), "not comparable: units"),
        (make_row(record="other"), (1.0, 1.0), ledger.OPEN),
        (make_row(metric="other"), (1.0, 1.0), ledger.OPEN),
    ],
)
def test_verdicts(row, values, expected):
    own = ledger.ours(row, {"file": make_record(*values)})
    assert ledger.verdict(row, own) == expected


def test_a_row_says_its_unit_and_what_is_better():
    for row in published.ROWS:
        assert isinstance(row.scale, float), row
        assert row.better in (published.HIGHER, published.LOWER, published.NEAR), row


def test_our_figure_has_its_spread_and_cost():
    own = ledger.ours(make_row(), {"file": make_record(0.8, 1.0)})
    assert own.mean == pytest.approx(0.9)
    assert own.deviation == pytest.approx(0.02**0.5)
    assert (own.runs, own.minutes) == (2, 2.0)


def test_the_page_counts_its_rows_and_names_what_is_left_to_run():
    text = ledger.page({})
    count = len(published.ROWS)
    assert count >= 30
    assert f"{count} rows: 0 reached, 0 not reached, 0 not comparable" in text
    for row in published.ROWS:
        assert f"`{row.command}`" in text
    systems = {row.system for row in published.ROWS}
    assert systems == set(published.SYSTEMS)


def test_the_page_in_the_docs_is_made_from_the_files():
    """If not: python -m infovae_jax.report.ledger."""
    records = ledger.read_records(ROOT / "results")
    found = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    assert found == ledger.page(records)


def test_every_record_is_of_a_row_or_of_a_page():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = {row.record for row in published.ROWS}
    for name in ledger.read_records(ROOT / "results"):
        assert name in named or f"results/{name}.json" in shown, name
