"""Arrays of any layout, and those that are mapped files."""

import numpy as np

from infovae_jax.data import raw_splits


def test_pages_of_a_mapped_file_are_let_go_and_read_again(tmp_path):
    """Views of it are of the file too; what can be changed is left alone."""
    np.save(tmp_path / "x.npy", np.arange(40_000).reshape(4, 100, 100))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    view = np.asarray(x)[1:, None]
    assert raw_splits.mapped(view) is not None
    raw_splits.release(view)
    assert view.sum() == np.arange(10_000, 40_000).sum()
    assert sum(part.sum() for _, part in raw_splits.chunks(x)) == x.sum()
    copy = np.load(tmp_path / "x.npy", mmap_mode="c")
    copy[0] = 7
    assert raw_splits.mapped(copy[:2]) is None
    raw_splits.release(copy[:2])
    assert (copy[0] == 7).all()
    assert raw_splits.mapped(np.zeros(3)) is None
    raw_splits.release([1, 2])
