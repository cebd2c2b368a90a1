"""Small data and small models."""

import numpy as np
import pytest


@pytest.fixture
def quick():
    """Parameters of a model that is fitted in no time."""
    return {"hidden": (8,), "epochs": 3, "verbose": 0, "random_state": 0}


@pytest.fixture
def table():
    """60 rows of 5 columns, each of a scale of its own."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 5)) * [0.01, 1, 10, 100, 1000] + 3


@pytest.fixture
def images():
    """40 byte images of 6x5 pixels and 3 channels."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (40, 6, 5, 3)).astype(np.uint8)
