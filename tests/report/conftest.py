"""Shared by the tests of this folder."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def _compiled(compiled_init):
    """See `compiled_init`."""
