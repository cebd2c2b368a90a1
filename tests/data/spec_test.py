"""Shapes, types, ranges and labels: accepted, decided or refused by name."""

import chex
import numpy as np
import pytest

from infovae_jax import data
from infovae_jax.data import raw_splits, spec
from infovae_jax.errors import ConfigError, DataError

GREY = np.linspace(0, 1, 10 * 4 * 4, dtype=np.float32).reshape(10, 4, 4, 1)


@pytest.fixture
def load(tmp_path, data_config):
    """`load(arrays, **changes)`: saves an archive and loads it."""

    def run(arrays, **changes):
        path = tmp_path / "set.npz"
        np.savez(path, **arrays)
        return data.load(data_config(path, **changes))

    return run


@pytest.mark.parametrize(
    ("given", "shape"),
    [((10, 6), (1, 6, 1)), ((10, 4, 5), (4, 5, 1)), ((10, 4, 5, 3), (4, 5, 3))],
)
def test_layouts(load, given, shape):
    dataset = load({"x": np.zeros(given, np.uint8)})
    assert dataset.spec.shape == shape
    chex.assert_shape(dataset.train_x, (8, *shape))
    chex.assert_shape(dataset.test_x, (2, *shape))
    assert dataset.spec.num_examples == 8


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("uint8", "uint8"), ("bool", "uint8"), ("int64", "uint8"), ("uint16", "uint8"),
     ("float16", "float32"), ("float32", "float32"), ("float64", "float32"),
     (">f4", "float32")],
)  # fmt: skip
def test_types(load, dtype, stored):
    x = np.tile(np.array([0, 1], dtype), (5, 8)).reshape(10, 2, 4)
    dataset = load({"x": x})
    assert dataset.spec.dtype == stored
    assert dataset.train_x.dtype == np.dtype(stored)
    top = 255 if stored == "uint8" else 1
    assert set(np.unique(dataset.train_x).tolist()) == {0, top}


def test_auto_takes_bernoulli_inside_the_unit_interval(load):
    dataset = load({"x": GREY})
    assert dataset.spec.likelihood == "bernoulli"
    assert not dataset.spec.binary
    assert "soft cross-entropy, not a log-likelihood" in dataset.decision
    assert "grey" not in dataset.decision  # they may be of colour
    assert "min 0, max 1" in dataset.decision


@pytest.mark.parametrize("x", [GREY - 0.01, GREY * 1.01])
def test_auto_takes_gaussian_outside(load, x):
    dataset = load({"x": x})
    assert dataset.spec.likelihood == "gaussian"
    assert "outside [0, 1]" in dataset.decision


def test_what_is_just_beyond_one_is_told_from_it(load):
    x = GREY.astype(np.float32)
    x.flat[int(x.argmax())] = 1.0000001
    assert "max 1.00000012" in load({"x": x}).decision
    with pytest.raises(ConfigError, match=r"0 to 1\.00000012"):
        load({"x": x}, likelihood="bernoulli")


def test_whole_numbers_of_rows_may_be_no_grey_levels(load):
    rows = np.random.default_rng(0).integers(0, 30, (10, 6))
    assert "give a table with counts as 'count'" in load({"x": rows}).decision
    for other in (rows * 8, rows.reshape(10, 2, 3), rows / 30):
        assert "'count'" not in load({"x": other}).decision


def test_a_large_scale_is_said(load):
    for factor, said in ((255, True), (3, False)):
        decision = load({"x": factor * GREY}).decision
        assert ("may make training diverge" in decision) == said


def test_gaussian_may_be_asked_for(load):
    dataset = load({"x": GREY}, likelihood="gaussian")
    assert dataset.spec.likelihood == "gaussian"
    assert "as data.likelihood says" in dataset.decision


@pytest.mark.parametrize("x", [np.round(GREY), np.round(GREY).astype(np.uint8) * 255])
def test_binary_data_are_noticed(load, x):
    dataset = load({"x": x})
    assert dataset.spec.binary
    assert "true log-likelihood" in dataset.decision


def test_bytes_of_zero_and_one_are_black_and_white(load):
    x = np.round(GREY).astype(np.uint8)
    dataset = load({"x_train": x, "x_test": np.zeros_like(x)})
    assert dataset.test_x.max() == 0
    np.testing.assert_array_equal(dataset.train_x, 255 * x)
    assert dataset.train_x.dtype == np.uint8
    assert dataset.spec.binary
    assert "0 and 1 taken as black and white" in dataset.decision


@pytest.mark.parametrize("other", [0, 2, 255])
def test_other_bytes_are_grey_values(load, other):
    """All black, or a byte above 1 in either split: as stored."""
    x = np.zeros((10, 4, 4), np.uint8)
    x[0, 0, 0] = min(other, 1)
    test = np.full_like(x, other)
    dataset = load({"x_train": x, "x_test": test})
    np.testing.assert_array_equal(dataset.train_x[..., 0], x)
    assert "taken as" not in dataset.decision


@pytest.mark.parametrize("binarize", ["threshold", "stochastic"])
def test_binarised_data_are_binary(load, binarize):
    dataset = load({"x": GREY}, binarize=binarize)
    assert dataset.spec.binary
    assert "true log-likelihood" in dataset.decision


def test_labels_are_counted(load):
    y = np.arange(10) % 2
    dataset = load({"x": GREY, "y": y})
    assert dataset.spec.num_labels == 2
    assert dataset.train_y.dtype == np.int32
    assert "2 classes" in dataset.decision
    assert "labels: none" in load({"x": GREY}).decision


def test_absent_classes_are_named_and_not_counted(load):
    decision = load({"x": GREY, "y": np.arange(10) % 3 + 1}).decision
    assert "3 classes (no training examples of 0)" in decision


def test_column_of_labels_is_accepted(load):
    assert load({"x": GREY, "y": np.zeros((10, 1))}).spec.num_labels == 1


def test_bernoulli_outside_the_unit_interval(load, raises_line):
    x = GREY.copy()
    x[3, 1, 2, 0] = 1.5
    arrays = {"x_train": x, "x_test": GREY}
    with raises_line(
        ConfigError, 2, "bernoulli", "0 to 1.5", "(3, 1, 2, 0)", "train", "gaussian"
    ):
        load(arrays, likelihood="bernoulli")


def test_binarise_outside_the_unit_interval(load, raises_line):
    x = GREY.copy()
    x[4, 0, 0, 0] = -2
    with raises_line(ConfigError, 2, "data.binarize", "-2 to 1", "(4, 0, 0, 0)"):
        load({"x_train": GREY, "x_test": x}, binarize="threshold")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("split", ["train", "test"])
def test_not_finite(load, raises_line, bad, split):
    arrays = {"x_train": GREY.copy(), "x_test": GREY.copy()}
    arrays[f"x_{split}"][7, 2, 3, 0] = bad
    with raises_line(DataError, 3, f"{bad}", "(7, 2, 3, 0)", split, "set.npz"):
        load(arrays)


@pytest.mark.parametrize("value", [1e300, 1e-300])
def test_float64_beyond_float32_is_refused(load, raises_line, value):
    x = np.full((2, 2, 2), value)
    with raises_line(DataError, 3, f"{value}", "float32 does not hold", "'x_train'"):
        load({"x_train": x, "x_test": np.zeros((2, 2, 2))})


def test_scan_in_chunks_agrees_with_the_whole(monkeypatch):
    x = np.random.default_rng(0).normal(size=(50, 3, 3, 1)).astype(np.float32)
    whole = spec.scan(x, "train", "here")
    monkeypatch.setattr(raw_splits, "CHUNK_VALUES", 40)
    parts = spec.scan(x, "train", "here")
    assert parts.outside == whole.outside
    assert (parts.low, parts.high) == (whole.low, whole.high)
    assert parts.mean == pytest.approx(whole.mean)
    x[40, 1, 1, 0] = np.nan
    with pytest.raises(DataError, match=r"\(40, 1, 1, 0\)"):
        spec.scan(x, "train", "here")


@pytest.mark.parametrize(("key", "value"), [("likelihood", "bernouli"),
                                            ("binarize", "treshold")])  # fmt: skip
def test_unknown_options(load, raises_line, key, value):
    with raises_line(ConfigError, 2, f"data.{key}", "did you mean"):
        load({"x": GREY}, **{key: value})


@pytest.mark.parametrize("fraction", [1.0, -1, float("nan")])
def test_test_fraction_must_be_inside(load, raises_line, fraction):
    with raises_line(ConfigError, 2, "data.test_fraction"):
        load({"x": GREY}, test_fraction=fraction)


def test_nothing_may_be_held_out(load):
    dataset = load({"x": GREY, "y": np.arange(len(GREY)) % 2}, test_fraction=0.0)
    assert dataset.tests_on_training
    assert len(dataset.train_x) == len(GREY)
    np.testing.assert_array_equal(dataset.train_x, dataset.test_x)
    np.testing.assert_array_equal(dataset.train_y, dataset.test_y)
    assert "none held out" in dataset.decision
    assert not load({"x": GREY}).tests_on_training


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros(5), ["(5,)"]),
        (np.zeros((2, 2, 2, 2, 2)), ["(2, 2, 2, 2, 2)"]),
        (np.zeros((0, 4, 4)), ["empty split"]),
        (np.zeros((5, 0, 4)), ["no pixels"]),
        (np.zeros((5, 3, 8, 8)), ["8 channels", "numpy.moveaxis(x, 1, -1)"]),
        (np.zeros((5, 8, 8, 7)), ["7 channels"]),
        (np.zeros((5, 2, 2), complex), ["complex128"]),
        (np.array([["a", "b"]] * 5), ["<U1"]),
        (np.full((5, 2, 2), 300), ["300", "(0, 0, 0, 0)"]),
        (np.full((5, 2, 2), -1), ["-1", "0..255"]),
        (np.zeros((1, 2, 2)), ["empty split"]),
    ],
)
def test_no_images(load, raises_line, x, words):
    with raises_line(DataError, 3, "set.npz", *words):
        load({"x": x})


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.arange(10) - 2, ["label -2 at index 0", "out of range"]),
        (np.arange(10) % 2 - 1, ["labels -1, 0", "-1 means not known"]),
        (np.full(10, -1), ["labels -1", "leave the labels out"]),
        (np.arange(9), ["9 labels for 10 images"]),
        (np.eye(10), ["(10, 10)", "argmax"]),
        (np.full(10, 0.5), ["float64"]),
        (np.full(10, np.nan), ["float64"]),
        (np.array(["cat"] * 10), ["<U3"]),
        (np.full(10, 4000), ["4000", "0..999"]),
    ],
)
def test_bad_labels(load, raises_line, y, words):
    with raises_line(DataError, 3, "'y'", "set.npz", *words):
        load({"x": GREY, "y": y})


def test_labels_that_are_not_known_are_of_training_alone(load):
    y = np.array([0, 1, 2, 0, 1, 2, -1, -1, -1, -1])
    dataset = load({"x": GREY, "y": y})
    assert len(dataset.test_y) == 1
    assert dataset.test_y[0] >= 0
    assert (dataset.train_y < 0).sum() == 4
    assert len(dataset.train_y) == 9
    assert "unknown of 4 training examples and of no test" in dataset.decision
    with_test = {"x_train": GREY, "y_train": y, "x_test": GREY, "y_test": y.clip(0)}
    assert load(with_test).spec.labels_missing


def test_test_label_unknown_in_training(load, raises_line):
    y = np.arange(10) % 3
    arrays = {"x_train": GREY, "y_train": y, "x_test": GREY, "y_test": y + 1}
    with raises_line(DataError, 3, "label 3", "0..2", "y_test"):
        load(arrays)


def test_splits_must_agree(load, raises_line):
    with raises_line(DataError, 3, "(4, 4, 1)", "(5, 4, 1)"):
        load({"x_train": GREY, "x_test": np.zeros((3, 5, 4), np.float32)})
    with raises_line(DataError, 3, "float32", "uint8"):
        load({"x_train": GREY, "x_test": np.zeros((3, 4, 4), np.uint8)})
