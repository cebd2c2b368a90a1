"""Small models of tables and of images."""

import numpy as np
import pytest

from infovae_jax import CatVAE

QUICK = {"hidden": (8,), "epochs": 2, "verbose": 0, "random_state": 0}
CONV = {"network.conv_channels": (3, 4), "network.conv_hidden": 8}


@pytest.fixture(scope="session")
def table():
    """60 rows of 5 columns, each of a scale of its own."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 5)) * [0.01, 1, 10, 100, 1000] + 3


@pytest.fixture(scope="session")
def images():
    """40 byte images of 7x5 pixels and 3 channels: odd, and not square."""
    return np.random.default_rng(0).integers(0, 256, (40, 7, 5, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def model(table):
    """A clustering of the table."""
    return CatVAE(n_clusters=3, **QUICK).fit(table)


@pytest.fixture(scope="session")
def conv_model(images):
    """A clustering of the images, by convolutions."""
    return CatVAE(n_clusters=3, network="conv", config=CONV, **QUICK).fit(images)
