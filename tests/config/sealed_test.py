"""A check value tells the record that was written from any other."""

import contextlib
import json

import pytest

from infovae_jax.config import sealed

RECORD = {"step": 3, "metrics": {"elbo": -1.5, "none": None}, "table": [["a", "b"]]}


def test_what_was_sealed_is_read_back(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(sealed.seal(RECORD), indent=2))
    assert sealed.read(path) == RECORD


def test_order_and_spaces_do_not_matter_and_values_do():
    turned = dict(reversed(RECORD.items()))
    assert sealed.check_value(turned) == sealed.check_value(RECORD)
    assert sealed.check_value({**RECORD, "step": 4}) != sealed.check_value(RECORD)


def test_every_flipped_bit_is_seen_or_without_effect():
    text = json.dumps(sealed.seal(RECORD)).encode()
    seen = 0
    for position in range(len(text)):
        for bit in range(8):
            flipped = bytearray(text)
            flipped[position] ^= 1 << bit
            try:
                found = sealed.parse(bytes(flipped))
            except sealed.Damaged:
                seen += 1
                continue
            # The name of the check value is the one place where a flip is not seen by
            # itself; what it guards is as it was.
            assert {**found, **RECORD} == found
    assert seen > 7 * len(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "5", "[" * 100_000, b"\xff\xfe", '{"check": 5}'],
    ids=["empty", "cut", "list", "null", "number", "deep", "bytes", "check"],
)
def test_what_is_no_record(text):
    with pytest.raises(sealed.Damaged):
        sealed.parse(text)


def test_a_file_that_is_a_folder(tmp_path):
    with pytest.raises(sealed.Damaged, match="cannot be read"):
        sealed.read(tmp_path)


def test_records_of_a_time_before_check_values_are_taken():
    assert sealed.parse(json.dumps(RECORD)) == RECORD


def test_any_depth_is_read_or_refused():
    """Near Python's limit a record may be read, and its check value not made."""
    for depth in range(300, 1100, 7):
        text = '{"a":' * depth + "1" + "}" * depth
        with contextlib.suppress(sealed.Damaged):
            assert "a" in sealed.parse(text)
