"""A small trained run, and copies of it that a test may change."""

import shutil

import numpy as np
import pytest
import small_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with a run and its file of images."""
    folder = tmp_path_factory.mktemp("trained")
    np.savez(folder / "x.npz", **small_run.images())
    small_run.train(folder / "run", small_run.make_config(folder / "x.npz"))
    return folder


@pytest.fixture
def there(trained, tmp_path):
    """A copy of it."""
    for name in ("run", "x.npz"):
        copy = shutil.copytree if name == "run" else shutil.copy
        copy(trained / name, tmp_path / name)
    small_run.move(tmp_path / "run", trained / "x.npz", tmp_path / "x.npz")
    return tmp_path
