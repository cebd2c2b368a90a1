"""Shapes and types that are taken, and words for those that are not."""

import decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from infovae_jax import NVAE, VAE, CatVAE, load
from infovae_jax.estimators import inputs

RNG = np.random.default_rng(0)
SHAPES = [(7,), (1,), (5, 4), (6, 7), (4, 4, 1), (5, 3, 2), (6, 5, 13)]
TYPES = ["uint8", "bool", "int16", ">i4", "float16", "float32", ">f8", "float64"]


def values(shape, dtype):
    x = RNG.uniform(0, 200, (12, *shape))
    return (x > 100) if dtype == "bool" else x.astype(dtype)


def pairs(types):
    """All pairs; those of neither the first shape nor the first type are slow."""
    return [
        pytest.param(
            shape,
            dtype,
            marks=pytest.mark.long
            if shape == SHAPES[0] or dtype == types[0]
            else pytest.mark.slow,
        )
        for shape in SHAPES
        for dtype in types
    ]


@pytest.mark.parametrize(("shape", "dtype"), pairs(TYPES))
def test_any_shape_and_type_is_fitted(shape, dtype):
    x = values(shape, dtype)
    model = VAE(hidden=(4,), latent_dim=2, epochs=2, verbose=0, random_state=0)
    codes = model.fit(x).transform(x)
    assert np.isfinite(codes).all()
    assert model.inverse_transform(codes).shape == x.shape
    assert model.n_features_in_ == np.prod(shape)
    np.testing.assert_array_equal(codes, model.transform(np.asfortranarray(x)))


@pytest.mark.parametrize(("shape", "dtype"), pairs(["uint8", ">f8", "float16"]))
def test_any_shape_and_type_is_saved(tmp_path, shape, dtype):
    x = values(shape, dtype)
    model = CatVAE(n_clusters=2, hidden=(4,), epochs=2, verbose=0, random_state=0)
    model.fit(x).save(tmp_path)
    loaded = load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(x), model.labels_)
    assert loaded.sample(2, cluster=1).shape == (2, *shape)


@pytest.mark.long
def test_convolutions(images):
    options = {"network.conv_channels": (4,), "network.conv_hidden": 8}
    model = VAE(network="conv", epochs=2, config=options, verbose=0, random_state=0)
    codes = model.fit(images).transform(images)
    assert model.inverse_transform(codes).shape == images.shape


def test_memory_maps(tmp_path, quick, table):
    np.save(tmp_path / "x.npy", table)
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    codes = VAE(**quick).fit(x).transform(x)
    np.testing.assert_array_equal(codes, VAE(**quick).fit_transform(table))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((4, 2, 2, 2, 2)), ValueError, "channels last"),
        (np.zeros((4, 0, 3)), ValueError, "channels last"),
        (np.zeros(4), ValueError, "Expected 2D array"),
        (np.zeros((1, 3)), ValueError, "minimum of 2"),
        (np.full((4, 3), np.nan), ValueError, "NaN: 12 missing .* in row 0; fill"),
        (
            pd.DataFrame({"a": [1, None, 2], "b": [None, None, 1]}),
            ValueError,
            "NaN: 1 missing value in column 'a', the first in row 1; 2 in 'b'; fill",
        ),
        (np.full((4, 2, 2), np.inf), ValueError, "infinity"),
        (np.zeros((4, 3)) + 1j, ValueError, "Complex"),
        (np.array([["a", "b"], ["c", "d"]]), ValueError, "numeric"),
        (scipy.sparse.csr_array(np.eye(4)), TypeError, "toarray"),
        (np.zeros((4, 2), "M8[D]"), ValueError, "dates or durations"),
        (pd.DataFrame(np.eye(4)[:, :2], columns=["a", "a"]), ValueError, "two columns"),
        (pd.DataFrame(index=range(4)), ValueError, r"0 feature\(s\)"),
        ([[1, 2], [3]], ValueError, "differ in their shape"),
        ([np.zeros((3, 3)), np.zeros((3, 4))], ValueError, "differ in their shape"),
    ],
)
def test_what_cannot_be_used(quick, x, error, message):
    with pytest.raises(error, match=message):
        VAE(**quick).fit(x)


def test_rows_without_bound_are_told(quick, table):
    model = VAE(**quick).fit(table)
    far = table.copy()
    far[3] *= 1e30
    with pytest.warns(UserWarning, match="1 of 60 rows, the first of them row 3"):
        bounds = model.score_samples(far)
    assert np.isfinite(np.delete(bounds, 3)).all()
    far[4, 0] = 1e38
    with pytest.warns(UserWarning, match="so far from the training data"):
        model.transform(far)


def test_another_shape_than_fitted(quick, images):
    model = VAE(**quick).fit(images)
    with pytest.raises(ValueError, match=r"shape \(5, 6, 3\).*expecting \(6, 5, 3\)"):
        model.transform(images.transpose(0, 2, 1, 3))
    with pytest.raises(ValueError, match="90 features"):
        model.transform(np.zeros((2, 7)))


def test_classes():
    classes, labels = inputs.as_classes([3, -1, 5, 3], 4)
    assert list(classes) == [3, 5]
    assert list(labels) == [0, -1, 1, 0]
    classes, labels = inputs.as_classes(["b", "a", "b"], 3)
    assert list(classes) == ["a", "b"]
    assert list(labels) == [1, 0, 1]


@pytest.mark.parametrize("kind", ["Int64", "int64[pyarrow]", "UInt8"])
def test_classes_stay_integers_beside_what_is_missing(kind):
    y = pd.Series([3, None, 5], dtype="Int64").astype(kind)
    assert inputs.as_classes(y, 3)[0].dtype.kind == "i"


@pytest.mark.parametrize("y", [[1, -1, 1], np.array(["1", "-1", "1"])])
def test_minus_one_beside_one_class_is_a_class(y):
    with pytest.warns(UserWarning, match="y holds -1 and 1: both are taken as classes"):
        classes, labels = inputs.as_classes(y, 3)
    assert list(map(int, classes)) == [-1, 1]
    assert list(labels) == [1, 0, 1]


@pytest.mark.parametrize("unknown", [-1, -1.0, None, np.nan, pd.NA])
@pytest.mark.parametrize("known", [["a", "b"], [3, 5]])
def test_unknown_classes(known, unknown):
    """Whatever stands for them, and in whatever it stands."""
    y = [known[1], unknown, known[0], known[1]]
    series = pd.Series(y, dtype=object)
    for given in (y, np.array(y, object), series, series.convert_dtypes()):
        classes, labels = inputs.as_classes(given, 4)
        assert list(classes) == known
        assert list(labels) == [1, -1, 0, 1]


def test_a_text_of_minus_one_is_not_known_and_told():
    with pytest.warns(UserWarning, match="'-1'.* not known in 1 of 3 rows"):
        classes, labels = inputs.as_classes(np.array(["cat", "dog", -1]), 3)
    assert list(classes) == ["cat", "dog"]
    assert list(labels) == [0, 1, -1]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        ([0, 1], "inconsistent numbers"),
        ([0.5, 1.2, 3.4], "continuous"),
        ([-1, -1, -1], "no known class"),
        ([None, None, -1], "no known class"),
        (["a", "b", 3], "y holds texts and 3, which is none: give all classes as"),
    ],
)
def test_classes_that_cannot_be_used(y, message):
    with pytest.raises(ValueError, match=message):
        inputs.as_classes(y, 3)


@pytest.mark.long
def test_unknown_classes_are_summed_out(quick):
    """They are seen: the rows without class change what is learned."""
    x = RNG.normal(size=(64, 3))
    y = (x[:, 0] > 0).astype(int) + 1
    few = np.where(np.arange(64) % 4 == 0, y, -1)
    model = NVAE(**{**quick, "epochs": 150, "hidden": (16,)}).fit(x, few)
    assert list(model.classes_) == [1, 2]
    assert model.score(x, y) > 0.8
    assert model.score(x, np.where(model.predict(x) == y, y, -1)) == 1.0
    with pytest.raises(ValueError, match="no known class to compare with"):
        model.score(x, np.full(64, -1))
    assert model.score(x) < 0  # nats
    assert "unknown of 48" in model.decision_
    assert model.predict_proba(x).sum(1) == pytest.approx(1)
    with pytest.raises(ValueError, match="none of"):
        model.sample(1, cluster=0)
    assert model.sample(2, cluster=2).shape == (2, 3)


def test_a_channel_of_one_may_be_left_out():
    x = np.random.default_rng(0).random((4, 5, 6))
    for fitted, other in ((x, x[..., None]), (x[..., None], x)):
        model = VAE()
        expected = inputs.as_images(model, fitted, reset=True)
        found = inputs.as_images(model, other, reset=False)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 40), (4, 4, 5)])
def test_channels_that_are_probably_first_are_told(shape):
    x = np.zeros((2, *shape))
    with pytest.warns(UserWarning, match=rf"{shape[2]} channels: .*moveaxis\(x, 1, -1"):
        inputs.as_images(VAE(), x, reset=True)
    inputs.as_images(VAE(), np.moveaxis(x, 1, -1), reset=True)  # warns of nothing


def test_decimals_are_numbers():
    rows = [[decimal.Decimal(i) / 4, decimal.Decimal(1)] for i in range(4)]
    polars = pytest.importorskip("polars")
    for x in (rows, np.array(rows), polars.DataFrame(rows, orient="row")):
        found = inputs.as_images(VAE(), x, reset=True)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found[:, 0, :, 0], np.array(rows, float))
