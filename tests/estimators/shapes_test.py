"""Forty shapes and types of data: trained, saved, loaded, the same answers again."""

import numpy as np
import pandas as pd
import pytest

from infovae_jax import VAE, CatVAE, load

COUNT = 40
SHAPES = (
    *((1,), (2,), (7,), (64,), (301,)),
    *((5, 5), (1, 9), (7, 30), (28, 28), (33, 17)),
    *((4, 4, 1), (6, 5, 2), (9, 7, 3), (48, 40, 3), (5, 8, 13), (1, 12, 4)),
)
TYPES = (
    "uint8",
    "int16",
    "int64",
    "float16",
    "float32",
    "float64",
    "bool",
    ">f4",
    ">i2",
)
# Each shape twice, with types in turn, once in C order and once in Fortran's.
ARRAYS = [
    (shape, TYPES[(2 * place + turn) % len(TYPES)], "CF"[turn])
    for place, shape in enumerate(SHAPES)
    for turn in range(2)
]
TABLES = (
    *("numbers", "texts", "category", "bools", "counts"),
    *("missing", "polars", "one column"),
)


def array_of(shape, dtype, order):
    """Noise with two groups, in the range that its type is used for."""
    rng = np.random.default_rng(0)
    x = rng.random((COUNT, *shape)) / 2 + (np.arange(COUNT) % 2 / 2).reshape(
        -1, *[1] * len(shape)
    )
    kind = np.dtype(dtype).kind
    if kind == "b":
        x = x > 0.5
    elif dtype == "uint8":
        x = 255 * x
    elif kind == "i":
        x = 900 * x - 400
    return np.asarray(x.astype(dtype), order=order)


def table_of(name):
    """A small DataFrame, and the parameters that it needs."""
    rng = np.random.default_rng(0)
    side, rest = np.arange(COUNT) % 2, {}
    frame = pd.DataFrame({"age": side + rng.normal(size=COUNT)})
    texts = np.array(["red", "blue", "green"])[side + rng.integers(0, 2, COUNT)]
    if name == "one column":
        return frame.assign(age=texts).rename(columns={"age": "colour"}), rest
    if name == "numbers":
        return frame.assign(size=1000 * rng.normal(size=COUNT)), rest
    if name == "counts":
        rest = {"columns": {"visits": "count", "calls": "poisson"}}
        return frame.assign(visits=rng.poisson(9, COUNT), calls=side), rest
    frame["colour"] = texts
    if name == "category":
        frame["colour"] = frame["colour"].astype("category")
    if name == "bools":
        frame["member"] = side == 1
    if name == "missing":
        rest = {"missing": "impute"}
        frame.loc[3, "age"], frame.loc[5, "colour"] = np.nan, None
    if name == "polars":
        return pytest.importorskip("polars").from_pandas(frame), rest
    return frame, rest


def assert_saved_is_the_same(model, x, folder):
    """Two epochs, and every answer once more from the folder."""
    model.fit(x)
    model.save(folder)
    again = load(folder)
    for name in ("transform", "score_samples", "predict"):
        if hasattr(model, name):
            found = np.asarray(getattr(model, name)(x))
            assert np.isfinite(found).all(), name
            np.testing.assert_array_equal(getattr(again, name)(x), found)
    drawn = again.sample(3)
    assert len(drawn) == 3
    assert np.shape(drawn)[1:] == np.shape(x)[1:]


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "dtype", "order"), ARRAYS)
def test_arrays(tmp_path, shape, dtype, order):
    network = "conv" if len(shape) > 1 and min(shape[:2]) >= 7 else "mlp"
    model = VAE(
        hidden=(8,), epochs=2, latent_dim=2, network=network, random_state=0, verbose=0
    )
    assert_saved_is_the_same(model, array_of(shape, dtype, order), tmp_path / "m")


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    x, rest = table_of(name)
    model = CatVAE(
        n_clusters=2,
        latent_dim=2,
        hidden=(8,),
        epochs=2,
        random_state=0,
        verbose=0,
        **rest,
    )
    assert_saved_is_the_same(model, x, tmp_path / "m")
