"""Hidden labels, added labelled examples, factors and generated images."""

import itertools

import chex
import numpy as np
import pytest

from infovae_jax.data import batches, generated, load, permutation, raw_splits
from infovae_jax.data.labels import visible_labels
from infovae_jax.errors import ConfigError, DataError


def test_visible_labels_are_balanced_and_a_function_of_the_seed():
    labels = np.repeat(np.arange(4), 50)
    first, again, other = (visible_labels(labels, 200, 4, 3, s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    known = first >= 0
    np.testing.assert_array_equal(first[known], labels[known])
    np.testing.assert_array_equal(np.bincount(first[known]), 3)
    np.testing.assert_array_equal(visible_labels(labels, 200, 4, None, 0), labels)
    assert (visible_labels(labels, 200, 4, 0, 0) == -1).all()
    assert (visible_labels(None, 5, 0, 0, 0) == -1).all()


def test_too_few_or_no_labels():
    with pytest.raises(ConfigError, match="class 1, which has 2"):
        visible_labels(np.array([0, 0, 0, 1, 1]), 5, 2, 3, 0)
    with pytest.raises(DataError, match="no labels"):
        visible_labels(None, 5, 0, None, 0)


def test_a_class_of_no_examples_is_left_out():
    """As class 0 is where labels begin at 1."""
    labels = np.arange(40) % 4 + 1
    visible = visible_labels(labels, 40, 5, 2, 0)
    assert np.bincount(visible[visible >= 0], minlength=5).tolist() == [0, 2, 2, 2, 2]


def test_labelled_examples_are_added_to_each_batch():
    labelled = np.array([3, 17, 40, 41, 77])
    rows = batches.training_indices(0, 5, 9, 100, 8, labelled, 2)
    chex.assert_shape(rows, (9, 10))
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(rows[:, :8], batches.batch_indices(0, 5, 9, 100, 8))
    assert set(rows[:, 8:].ravel()) <= set(labelled)
    # A function of the step alone, whatever the chunks.
    np.testing.assert_array_equal(
        rows[4:6], batches.training_indices(0, 9, 2, 100, 8, labelled, 2)
    )
    # Two steps are an epoch of the five: four of them, each once.
    pair = batches.training_indices(0, 4, 2, 100, 8, labelled, 2)[:, 8:].ravel()
    assert len(set(pair)) == 4
    assert batches.training_indices(0, 0, 2, 100, 8).shape == (2, 8)


@pytest.mark.parametrize("name", generated.BASICPROP_NAMES)
def test_basicprop_layouts(name):
    x, label, j = generated._split(name, 300, 0, 0)
    again, _, _ = generated._split(name, 300, 0, 0)
    other, _, _ = generated._split(name, 300, 1, 0)
    np.testing.assert_array_equal(x, again)
    assert (x != other).any()
    np.testing.assert_array_equal(np.bincount(label), 30)
    for image, i, k in zip(x[:40], label, j, strict=False):
        if name == "basicprop":
            bar = np.zeros((28, 28), bool)
            bar[:, 3 + 2 * i : 6 + 2 * i + 1] = True
        else:
            bar = np.zeros((28, 28), bool)
            bar[3 : 3 + 3 + 2 * i, 3:13] = True
            bar[3 : 3 + 3 + 2 * k, 15:25] = True
        if name == "basicprop_angle":
            np.testing.assert_array_equal(image, 255 * bar)
            continue
        assert image[bar].min() >= 150
        assert image[bar].max() <= 239
        if name == "basicprop_noise_bg":
            assert image[~bar].max() <= 100
            assert 40 < image[~bar].mean() < 60
        else:
            assert image[~bar].max() == 0
    values = x[x >= 150]
    if name != "basicprop_angle":
        assert set(np.unique(values)) == set(range(150, 240))
    np.testing.assert_allclose(np.bincount(j, minlength=10), 30, atol=20)


def test_basicprop_as_a_source(data_config, monkeypatch):
    monkeypatch.setattr(generated, "NUM_TRAIN", 500)
    monkeypatch.setattr(generated, "NUM_TEST", 200)
    found = load(data_config("basicprop_angle"))
    chex.assert_shape(found.train_x, (500, 28, 28, 1))
    assert found.spec.likelihood == "bernoulli"
    np.testing.assert_array_equal(found.factors["left"][1], found.test_y)
    assert len(np.unique(found.factors["right"][0])) == 10
    assert "basicprop_angle, generated with seed 0" in found.decision
    assert load(data_config("basicprop")).factors is None


def test_factors_of_an_archive(data_config, tmp_path, raises_line):
    x = np.random.default_rng(0).random((20, 3, 3), dtype=np.float32)
    path = tmp_path / "a.npz"
    np.savez(path, x=x, factor_light=np.arange(20))
    found = load(data_config(path))
    train, test = found.factors["light"]
    np.testing.assert_array_equal(found.train_x[:, ..., 0], x[train.astype(int)])
    np.testing.assert_array_equal(found.test_x[:, ..., 0], x[test.astype(int)])
    assert "factors, for evaluation only: light" in found.decision
    split = {"x_train": x[:15], "x_test": x[15:]}
    ends = {"factor_a_train": np.arange(15.0), "factor_a_test": np.arange(5)}
    np.savez(path, **split, **ends)
    np.testing.assert_array_equal(load(data_config(path)).factors["a"][1], np.arange(5))
    np.savez(path, x=x, factor_light=np.arange(7))
    with raises_line(DataError, 3, "factor_light", "20 examples"):
        load(data_config(path))


def test_some_training_examples_are_a_draw(data_config, raises_line):
    whole, part = load(data_config("digits")), load(data_config("digits", num_train=99))
    assert len(part.train_x) == len(part.train_y) == part.spec.num_examples == 99
    (train, test), kept = whole.origin, part.origin[0]
    rows = np.searchsorted(train, kept)
    assert rows.max() > 1000
    np.testing.assert_array_equal(part.train_x, whole.train_x[rows])
    np.testing.assert_array_equal(part.train_y, whole.train_y[rows])
    np.testing.assert_array_equal(part.origin[1], test)
    np.testing.assert_array_equal(part.test_x, whole.test_x)
    assert "training on 99 of 1438 examples, drawn by seed 0" in part.decision
    other = load(data_config("digits", num_train=99, split_seed=1))
    assert not np.array_equal(other.origin[0], kept)
    for number in (0, 2000):
        with raises_line(ConfigError, 2, str(number), "1438"):
            load(data_config("digits", num_train=number))


def test_a_draw_of_files_ordered_by_class_has_all_classes(data_config, tmp_path):
    path = tmp_path / "data.npz"
    y = np.repeat(np.arange(4), 300)
    x = np.random.default_rng(0).random((1200, 2, 2), dtype=np.float32)
    causes = {"factor_a_train": np.arange(1200.0), "factor_a_test": np.arange(1200.0)}
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y, **causes)
    part = load(data_config(path, num_train=200))
    counts = np.bincount(part.train_y, minlength=4)
    assert counts.min() > 25
    np.testing.assert_array_equal(part.train_x[..., 0], x[part.origin[0]])
    np.testing.assert_array_equal(part.factors["a"][0], part.origin[0])


@pytest.mark.parametrize("seed", [0, 5, -1])
def test_orders_of_one_seed_are_unlike_one_another(seed):
    """The visible labels are not the first of an epoch, nor of one second bar."""
    named = (permutation.VISIBLE_LABELS, permutation.VALIDATION)
    orders = [
        permutation.permutation(seed, stream, 2000) for stream in (*named, *range(8))
    ]
    first = [set(order[:200].tolist()) for order in orders]
    for i, j in itertools.combinations(range(len(first)), 2):
        assert len(first[i] & first[j]) < 60, (i, j)  # 20 by chance
    label, j = generated._split("basicprop_angle", 2000, seed, 0)[1:]
    for order in orders:
        assert np.bincount(j[order[:200]], minlength=10).min() > 5
        assert np.bincount(label[order[:200]], minlength=10).min() > 5


@pytest.mark.parametrize("seed", [0, -1])
def test_validation_is_held_out_of_training_alone(data_config, seed):
    dataset = load(data_config("digits"))
    smaller, held_out = raw_splits.hold_out(dataset, 0.25, seed)
    count = dataset.spec.num_examples
    assert len(held_out) == round(0.25 * count)
    assert smaller.spec.num_examples == len(smaller.train_x) == count - len(held_out)
    rows = {x.tobytes() for x in held_out}
    assert not rows & {x.tobytes() for x in smaller.train_x}
    again = raw_splits.hold_out(dataset, 0.25, seed)[1]
    np.testing.assert_array_equal(held_out, again)
