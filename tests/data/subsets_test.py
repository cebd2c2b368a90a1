"""Draws from data that are ordered by class."""

import numpy as np
import pytest

from infovae_jax.data import subsets

SORTED = np.repeat(np.arange(4), [500, 300, 150, 50])


@pytest.mark.parametrize("count", [4, 20, 100, 333, 999])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_every_beginning_has_its_share_of_each_class(count, seed):
    chosen = subsets.draw(count, len(SORTED), seed, SORTED)
    assert len(np.unique(chosen)) == count
    assert (np.diff(chosen) > 0).all()
    found = np.bincount(SORTED[chosen], minlength=4)
    wanted = count * np.array([0.5, 0.3, 0.15, 0.05])
    assert (np.abs(found - wanted) <= 2).all()


def test_draws_of_a_seed_are_nested_and_of_others_differ():
    small, large = (subsets.draw(n, 1000, 3, SORTED) for n in (50, 400))
    assert set(small) < set(large)
    assert set(small) != set(subsets.draw(50, 1000, 4, SORTED))
    np.testing.assert_array_equal(small, subsets.draw(50, 1000, 3, SORTED))


@pytest.mark.parametrize("labels", [None, SORTED])
def test_all_examples_are_equally_likely(labels):
    counts = np.zeros(1000)
    for seed in range(400):
        counts[subsets.draw(200, 1000, seed, labels)] += 1
    # 80 each, with a deviation of 8; blocks of a class average it away.
    assert np.abs(counts - 80).max() < 5 * 8
    for block in np.split(counts, 20):
        assert block.mean() == pytest.approx(80, abs=5)


def test_examples_of_unknown_label_are_left_out():
    labels = np.where(np.arange(1000) % 10, -1, SORTED)
    known = np.arange(0, 1000, 10)
    np.testing.assert_array_equal(subsets.draw(None, 1000, 0, labels), known)
    assert set(subsets.draw(20, 1000, 0, labels)) < set(known)
    assert sorted(subsets.in_order(1000, 0, labels)) == list(known)


def test_the_whole_is_left_as_it_is():
    x = np.arange(7)
    for count in (None, 7, 9):
        chosen = subsets.draw(count, 7, 0)
        np.testing.assert_array_equal(chosen, x)
        assert subsets.take(x, chosen) is x
    np.testing.assert_array_equal(np.sort(subsets.in_order(7, 0)), x)
    assert len(subsets.in_order(0, 0)) == 0
