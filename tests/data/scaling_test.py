"""What is decided about the range of data, and that it comes back."""

import numpy as np
import pytest

from infovae_jax.data import scaling
from infovae_jax.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def rows(x):
    return np.asarray(x)[:, None, :, None]


NORMAL = rows(RNG.normal(5, [1, 10, 0.01], (50, 3)))
GREY = rows(RNG.integers(0, 17, (50, 20)).astype(float))
PIXELS = RNG.normal(0, 3, (20, 4, 4, 1))


@pytest.mark.parametrize(
    ("x", "is_table", "kind", "dtype"),
    [
        (RNG.integers(0, 256, (9, 4, 4, 1)).astype(np.uint8), False, "none", "uint8"),
        (RNG.integers(0, 2, (9, 4, 4, 1)).astype(np.uint8), False, "none", "float32"),
        (rows(RNG.random((9, 3)) > 0.5), True, "none", "float32"),
        (rows(RNG.random((9, 3))), True, "none", "float32"),
        (NORMAL, True, "standardize", "float32"),
        (GREY, True, "grey", "float32"),
        (GREY[:, :, :5], True, "standardize", "float32"),  # five counts are no pixels
        (GREY + 0.5, True, "standardize", "float32"),
        (PIXELS, False, "unit", "float32"),
    ],
)
def test_decisions(x, is_table, kind, dtype):
    found = scaling.choose(x, "auto", "auto", is_table)
    assert (found.kind, found.dtype) == (kind, dtype)
    stored = found.stored(x)
    assert stored.dtype == dtype
    if kind in ("grey", "unit"):
        assert (stored.min(), stored.max()) == (0, 1)
    if kind == "standardize":
        np.testing.assert_allclose(stored.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(stored.std(0), 1, rtol=1e-4)


def test_grey_levels_are_never_negative():
    assert scaling.choose(GREY + 3, "grey", "auto", True).factor == GREY.max() + 3
    with pytest.raises(ConfigError, match="no grey levels"):
        scaling.choose(PIXELS, "grey", "auto", False)


@pytest.mark.parametrize("kind", ["none", "unit", "standardize"])
@pytest.mark.parametrize(("x", "is_table"), [(NORMAL, True), (PIXELS, False)])
def test_data_come_back(x, is_table, kind):
    found = scaling.choose(x, kind, "auto", is_table)
    np.testing.assert_allclose(found.original(found.stored(x)), x, rtol=1e-5, atol=1e-5)
    again = scaling.from_json(scaling.to_json(found))
    np.testing.assert_array_equal(again.stored(x), found.stored(x))


def test_columns_have_scales_of_their_own_and_images_one():
    assert scaling.choose(NORMAL, "unit", "auto", True).factor.shape == (1, 3, 1)
    assert scaling.choose(PIXELS, "standardize", "auto", False).factor.shape == ()


def test_constant_columns_are_left_alone_and_said():
    x = NORMAL.copy()
    x[:, :, 1] = 7e8 / 3
    found = scaling.choose(x, "auto", "auto", True)
    assert "1 constant" in found.decision
    np.testing.assert_allclose(found.stored(x)[:, :, 1], 0, atol=1e-6)


def test_columns_of_counts_are_told():
    counts = RNG.poisson(30, (50, 1, 3, 1)).astype(float)
    told = "3 of whole numbers from 0: if they count something, `columns`"
    assert told in scaling.choose(counts, "auto", "auto", True).decision
    mixed = np.concatenate([counts, NORMAL, -counts], 2)
    assert told in scaling.choose(mixed, "auto", "auto", True).decision
    assert (
        told.replace("3", "20") in scaling.choose(GREY, "auto", "auto", True).decision
    )
    for x, is_table in ((NORMAL, True), (-counts, True), (GREY, False)):
        assert "count" not in scaling.choose(x, "auto", "auto", is_table).decision


def test_a_likelihood_of_the_unit_range_asks_for_it():
    assert scaling.choose(NORMAL, "auto", "bernoulli", True).kind == "unit"
    assert scaling.choose(NORMAL, "auto", "gaussian", True).kind == "standardize"


def test_other_types_mean_what_bytes_meant():
    x = RNG.integers(0, 256, (9, 4, 4, 1)).astype(np.uint8)
    found = scaling.choose(x, "auto", "auto", False)
    np.testing.assert_allclose(found.stored(x.astype(float)), x / 255.0, rtol=1e-6)
    np.testing.assert_allclose(found.original(x / np.float32(255)), x, rtol=1e-6)


@pytest.mark.parametrize("kind", ["auto", "unit", "none"])
@pytest.mark.parametrize("unit", [1e300, 1e-300, 1e40, 1e-40])
def test_columns_that_float32_does_not_hold_are_refused(unit, kind):
    """They would come back as infinity or 0, in samples and exported programs."""
    x = NORMAL * 1.0
    x[:, :, 1] *= unit
    if kind == "none":
        x = x[:, :, 1:2]
    with pytest.raises(DataError, match="float32 does not hold") as caught:
        scaling.choose(x, kind, "auto", True, "file x.npy")
    assert caught.value.where == "file x.npy"
    assert ("in column 1" in caught.value.what) == (kind != "none")


@pytest.mark.parametrize("unit", [1e30, 1e-30])
def test_columns_of_other_units_come_back(unit):
    found = scaling.choose(NORMAL * unit, "auto", "auto", True)
    stored = found.stored(NORMAL * unit)
    np.testing.assert_allclose(stored.std(0), 1, rtol=1e-4)
    np.testing.assert_allclose(found.original(stored), NORMAL * unit, rtol=1e-4)


def test_what_cannot_be_used():
    with pytest.raises(ConfigError, match="did you mean 'standardize'"):
        scaling.choose(NORMAL, "standardise", "auto", True)
    with pytest.raises(ConfigError, match="no statistics"):
        scaling.from_json({"kind": "unit"})
