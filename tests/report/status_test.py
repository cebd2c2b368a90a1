"""What the table of systems says of a system's figures."""

import pytest

from infovae_jax.report import ledger, pages


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([ledger.REACHED, ledger.OPEN], pages.REPRODUCED),
        ([ledger.MISSED, ledger.OPEN], ledger.MISSED),
        ([ledger.REACHED, ledger.MISSED, ledger.REACHED], "2 of 3 figures reached"),
        ([ledger.OPEN], pages.NOT_RUN),
    ],
)
def test_what_is_missed_is_not_hidden_by_what_is_reached(
    monkeypatch, verdicts, expected
):
    (system,) = (s for s in pages.SYSTEMS if s.objective == "vae")
    left = iter([*verdicts, *[ledger.OPEN] * 200])
    monkeypatch.setattr(ledger, "verdict", lambda row, own: next(left))
    assert pages.status(system, {}) == expected
