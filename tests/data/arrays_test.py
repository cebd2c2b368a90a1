"""Arrays in memory as a dataset."""

import numpy as np
import pytest

from infovae_jax.config import groups
from infovae_jax.data import arrays
from infovae_jax.errors import DataError

X = np.random.default_rng(0).random((20, 2, 3, 1)).astype(np.float32)
Y = np.arange(20, dtype=np.int32) % 3
CONFIG = groups.default_config().data


def test_what_is_held_out_is_the_test_split():
    away = arrays.held_out(20, 0.2, seed=1)
    assert len(away) == 4
    assert (np.diff(away) > 0).all()
    dataset = arrays.from_arrays(X, Y, away, CONFIG, 3)
    np.testing.assert_array_equal(dataset.test_x, X[away])
    np.testing.assert_array_equal(dataset.train_x, np.delete(X, away, axis=0))
    np.testing.assert_array_equal(dataset.test_y, Y[away])
    assert dataset.spec.num_examples == len(dataset.train_y) == 16
    assert (arrays.held_out(20, 0.2, seed=2) != away).any()


def test_nothing_may_be_held_out():
    dataset = arrays.from_arrays(X, None, arrays.held_out(20, 0.0, 0), CONFIG)
    assert dataset.train_x is X  # no copy
    assert len(dataset.test_x) == 0
    assert "20 training and 0 test examples" in dataset.decision


def test_at_least_one_row_is_left_on_either_side():
    assert len(arrays.held_out(2, 0.01, 0)) == len(arrays.held_out(2, 0.99, 0)) == 1


def test_unknown_labels_are_counted():
    labels = np.where(Y == 0, -1, Y).astype(np.int32)
    dataset = arrays.from_arrays(X, labels, np.zeros(0, int), CONFIG, 3)
    assert dataset.spec.labels_missing
    assert "unknown of 7 training examples" in dataset.decision
    assert not arrays.from_arrays(X, Y, np.zeros(0, int), CONFIG, 3).spec.labels_missing


def test_values_are_checked():
    bad = X.copy()
    bad[3, 1, 2, 0] = np.nan
    with pytest.raises(DataError, match=r"\(3, 1, 2, 0\)"):
        arrays.from_arrays(bad, None, np.zeros(0, int), CONFIG)
