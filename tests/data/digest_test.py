"""Digests tell which part of the data is another."""

import numpy as np

from infovae_jax import data
from infovae_jax.data import digest


def parts(data_config, **changes):
    dataset = data.load(data_config("digits", **changes))
    return dataset, digest.of_dataset(dataset)


def test_the_parts_that_differ(data_config):
    dataset, first = parts(data_config)
    assert digest.of_dataset(dataset) == first
    assert set(first) == {
        f"{split} {what}"
        for split in ("train", "test")
        for what in ("images", "labels")
    }
    labels = np.array(dataset.test_y)
    labels[0] += 1
    other = digest.of_dataset(dataset._replace(test_y=labels))
    assert {name for name in first if first[name] != other[name]} == {"test labels"}
    assert digest.combined(first) != digest.combined(other)
    assert digest.combined(dict(reversed(first.items()))) == digest.combined(first)
    _, split = parts(data_config, split_seed=1)
    assert all(first[name] != split[name] for name in first)
    unlabelled = dataset._replace(train_y=None, test_y=None)
    assert set(digest.of_dataset(unlabelled)) == {"train images", "test images"}


def test_factors_are_parts_too(data_config):
    dataset, first = parts(data_config)
    factors = {"x": (np.zeros(3), np.ones(2))}
    found = digest.of_dataset(dataset._replace(factors=factors))
    assert found.keys() - first.keys() == {"train factor x", "test factor x"}
