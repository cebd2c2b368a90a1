"""Nearest neighbours, and the partners of a batch."""

import chex
import numpy as np
import pytest
from scipy.spatial import distance

from infovae_jax.data import neighbours


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(60, 3, 2, 1)).astype(np.float32)


def test_they_are_those_of_brute_force(x, monkeypatch):
    monkeypatch.setattr(neighbours, "_ROWS", 17)
    table = distance.cdist(*(x.reshape(60, -1),) * 2)
    np.fill_diagonal(table, np.inf)
    expected = np.argsort(table, axis=1)[:, :5]
    found = neighbours.nearest(x, 5)
    chex.assert_type(found, np.int32)
    np.testing.assert_array_equal(found, expected)


def test_an_example_is_never_its_own_neighbour_even_among_equals():
    x = np.zeros((9, 4), np.uint8)
    x[6:] = 1
    found = neighbours.nearest(x, 3)
    assert not (found == np.arange(9)[:, None]).any()
    assert all(len(set(row)) == 3 for row in found.tolist())
    assert (found[:6] < 6).all()


def test_partners_are_neighbours_and_a_function_of_seed_and_step(x):
    near = neighbours.nearest(x, 4)
    rows = np.arange(48, dtype=np.int32).reshape(4, 12)
    all_steps = neighbours.partners(7, 10, rows, near)
    chex.assert_shape(all_steps, (4, 12))
    assert (near[rows] == all_steps[..., None]).any(-1).all()
    later = neighbours.partners(7, 12, rows[2:], near)
    np.testing.assert_array_equal(all_steps[2:], later)
    assert (neighbours.partners(8, 10, rows, near) != all_steps).any()
    many = np.tile(np.arange(60, dtype=np.int32), (200, 1))
    drawn = neighbours.partners(0, 0, many, near)[:, :1]
    counts = (drawn == near[:1]).sum(0)
    assert counts.min() > 25  # of 200 draws of 4


def test_a_cache_is_read_and_a_damaged_one_found_again(x, monkeypatch, tmp_path):
    monkeypatch.setattr(neighbours, "_CACHED_FROM", 10)
    found = neighbours.cached_nearest(x, 3, str(tmp_path))
    (path,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(neighbours, "nearest", None)
        again = neighbours.cached_nearest(x, 3, str(tmp_path))
    np.testing.assert_array_equal(again, found)
    for damage in (b"", path.read_bytes()[:-5], b"\x93NUMPY"):
        path.write_bytes(damage)
        np.testing.assert_array_equal(
            neighbours.cached_nearest(x, 3, str(tmp_path)), found
        )
    np.save(path, np.full((60, 3), 99, np.int32))
    np.testing.assert_array_equal(neighbours.cached_nearest(x, 3, str(tmp_path)), found)


def test_a_cache_that_cannot_be_written_is_done_without(x, monkeypatch, tmp_path):
    monkeypatch.setattr(neighbours, "_CACHED_FROM", 10)
    (tmp_path / "file").write_text("")
    found = neighbours.cached_nearest(x, 3, str(tmp_path / "file"))
    np.testing.assert_array_equal(found, neighbours.nearest(x, 3))
