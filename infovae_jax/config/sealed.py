"""JSON records with a check value, so that one flipped bit is seen and not believed.

The check value is a part of the SHA-256 of the record as canonical JSON: keys in order,
no spaces. A record without one was written before there were any.
"""

import hashlib
import json
import pathlib
from typing import Any

CHECK = "check"
_DIGITS = 16


class Damaged(ValueError):
    """A text that is no record, or not the record that was written."""


def check_value(record: dict[str, Any]) -> str:
    """16 hex digits that change with anything in the record but its check value."""
    rest = {key: value for key, value in record.items() if key != CHECK}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its check value as the last key."""
    rest = {key: value for key, value in record.items() if key != CHECK}
    return rest | {CHECK: check_value(rest)}


def parse(text: str | bytes) -> dict[str, Any]:
    """The record of a JSON text, its check value included where it has one.

    Raises:
      Damaged: no JSON, no object, or another content than was sealed.
    """
    try:
        return _parse(text)
    except RecursionError:  # while it is read, or while its check value is made
        raise Damaged("nested too deeply") from None


def _parse(text: str | bytes) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise Damaged(f"no JSON ({error})") from None
    if not isinstance(record, dict):
        raise Damaged(f"a {type(record).__name__} in place of an object")
    if CHECK not in record:
        return _with_name_mended(record)
    if record[CHECK] != check_value(record):
        raise Damaged("it does not match its check value")
    return record


def _with_name_mended(record: dict[str, Any]) -> dict[str, Any]:
    """The record, sealed where its last key is a check value of a damaged name."""
    rest, last = dict(record), None
    if rest:
        last = rest.popitem()[1]
    return rest | {CHECK: last} if last == check_value(rest) else record


def read(path: pathlib.Path) -> dict[str, Any]:
    """The record of a file, without its check value.

    Raises:
      Damaged: see `parse`; also where the file cannot be read.
    """
    try:
        record = parse(path.read_bytes())
    except OSError as error:
        raise Damaged(f"cannot be read ({error.strerror})") from None
    return {key: value for key, value in record.items() if key != CHECK}
