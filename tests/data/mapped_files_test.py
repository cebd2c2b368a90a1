"""Arrays that are mapped files."""

import numpy as np

from infovae_jax.data import mapped_files, raw_splits, subsets


def test_pages_of_a_mapped_file_are_let_go_and_read_again(tmp_path):
    """Views of it are of the file too; what can be changed is left alone."""
    np.save(tmp_path / "x.npy", np.arange(40_000).reshape(4, 100, 100))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    view = np.asarray(x)[1:, None]
    assert mapped_files.of(view) is not None
    mapped_files.release(view)
    assert view.sum() == np.arange(10_000, 40_000).sum()
    assert sum(part.sum() for _, part in raw_splits.chunks(x)) == x.sum()
    taken = subsets.take(x, np.array([3, 1]))
    assert (taken[:, 0, 0] == [30_000, 10_000]).all()
    copy = np.load(tmp_path / "x.npy", mmap_mode="c")
    copy[0] = 7
    assert mapped_files.of(copy[:2]) is None
    mapped_files.release(copy[:2])
    assert (copy[0] == 7).all()
    assert mapped_files.of(np.zeros(3)) is None
    mapped_files.release([1, 2])
