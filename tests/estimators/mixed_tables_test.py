"""Tables of mixed columns: every system trains, and what does not fit is told."""

import contextlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import infovae_jax
from infovae_jax import CatVAE, load
from infovae_jax.estimators import loading
from infovae_jax.export import numpy_runtime

N = 96


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, N)
    return pd.DataFrame(
        {
            "age": 30.0 + 20 * side + rng.normal(size=N),
            "colour": np.array(["red", "blue", "green"])[side + rng.integers(0, 2, N)],
            "member": rng.random(N) < 0.5,
            "smoker": rng.integers(0, 2, N),
            "visits": rng.poisson(2 + 9 * side),
            "planet": "earth",
        }
    )


@pytest.fixture(scope="module")
def small():
    return {
        "columns": {"visits": "count"},
        "hidden": (8,),
        "latent_dim": 4,
        "epochs": 2,
        "verbose": 0,
        "random_state": 0,
    }


@pytest.fixture(scope="module")
def model(frame, small):
    return CatVAE(n_clusters=2, **small).fit(frame)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(loading.classes()))
def test_every_system_trains(frame, small, name, tmp_path):
    system = loading.classes()[name]
    options, y = dict(small), None
    with contextlib.suppress(TypeError):
        system(n_clusters=2)
        options["n_clusters"] = 2
    if system.objective == "n_vae":
        del options["latent_dim"]
        y = np.where(np.arange(N) % 3, frame["colour"] == "red", -1)
    made = system(**options).fit(frame, y)
    bounds = made.score_samples(frame)
    assert bounds.shape == (N,)
    assert np.isfinite(bounds).all()
    assert list(made.sample(3).columns) == list(frame.columns.drop("planet"))
    made.save(tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_array_equal(again.transform(frame), made.transform(frame))


def test_names_say_what_is_what(model, frame):
    want = model.predict_proba(frame)
    for other in (
        frame[frame.columns[::-1]],
        frame.assign(more=1),
        frame.drop(columns="planet"),
        frame.assign(age=frame["age"].astype(str)),
        frame.assign(smoker=frame["smoker"].astype(bool)),
        frame.assign(smoker=frame["smoker"].astype(str)),
        type("GeoFrame", (pd.DataFrame,), {})(frame[frame.columns[::-1]]),
        pa.Table.from_pandas(frame[frame.columns[::-1]]),
        frame.to_numpy(),
        frame.to_numpy().tolist(),
    ):
        np.testing.assert_array_equal(model.predict_proba(other), want)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop(columns="age"), "no column 'age'"),
        (lambda f: f.assign(colour="pink"), "'pink', which training never had"),
        (lambda f: f.assign(colour=3), "'3', which training never had"),
        (lambda f: f.assign(age="old"), "'old' is no number"),
        (lambda f: f.assign(age=pd.Timestamp("2020-01-01")), "in place of numbers"),
        (lambda f: f.assign(age=1 + 2j), "complex128 in place of numbers"),
        (lambda f: f.assign(age=f["age"].where(f.index != 7)), "missing .* row 7"),
        (lambda f: f.assign(colour=None), "a missing value in column 'colour', row 0"),
        (lambda f: f.assign(visits=-1), "-1 is no count"),
        (lambda f: f.assign(visits=0.5), "0.5 is no count"),
        (lambda f: pd.concat([f, f[["age"]]], axis=1), "two columns called 'age'"),
        (lambda f: f.to_numpy()[:, :3], "X has 3 features, but CatVAE is expecting 6"),
        (lambda f: np.zeros(6), "Expected 2D array, got 1D array"),
        (lambda f: f.iloc[:0], "0 sample"),
    ],
)
def test_rows_that_do_not_fit(model, frame, change, words):
    with pytest.raises(ValueError, match=words) as caught:
        model.predict(change(frame))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"missing": "mean"}, "unknown value 'mean'.*; missing; use one of"),
        ({"columns": {"visit": "count"}}, "did you mean 'visits'.*; columns; use"),
        ({"columns": {"visits": "counts"}}, "did you mean 'count'"),
        ({"columns": ["age"]}, r"list \['age'\] in .*; columns; give a dict, such as"),
        ({"columns": "age=count"}, "str 'age=count' in place of names and kinds"),
        ({"columns": {3: "count"}}, "unknown column '3'"),
        ({"likelihood": "bernoulli"}, "which is not numeric"),
        ({"scaling": "unit"}, "the numeric columns of a table are standardised"),
    ],
)
def test_parameters_that_cannot_be(frame, small, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        CatVAE(**small | options).fit(frame)
    assert "\n" not in str(caught.value)


def test_what_is_missing_is_refused_in_words_of_python(frame, small):
    holes = frame.assign(age=frame["age"].where(frame.index != 7))
    with pytest.raises(ValueError, match="missing") as caught:
        CatVAE(**small).fit(holes)
    told = str(caught.value)
    assert "set missing='impute', or columns={'age': 'ignore'}" in told
    numbers = holes[["age", "visits"]]
    with pytest.raises(ValueError, match=r"NaN: 1 .* row 7; .*missing='impute'"):
        CatVAE(**small | {"columns": None}).fit(numbers)


@pytest.mark.long
def test_what_is_missing_is_filled_in(frame, small, tmp_path):
    holes = frame.assign(age=frame["age"].where(frame.index % 9 != 7))
    made = CatVAE(n_clusters=2, missing="impute", **small).fit(holes)
    filled = holes.fillna({"age": holes["age"].mean()})
    want = made.predict_proba(holes)
    np.testing.assert_allclose(made.predict_proba(filled), want, rtol=1e-5)
    made.save(tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").predict_proba(holes), want)
    # Of numbers alone, too, in a frame or an array.
    numbers = holes[["age", "visits"]]
    made = CatVAE(n_clusters=2, missing="impute", **small).fit(numbers)
    of_array = CatVAE(n_clusters=2, missing="impute", **small | {"columns": None})
    of_array.fit(numbers.to_numpy())
    assert np.isfinite(made.predict_proba(numbers)).all()
    assert np.isfinite(of_array.predict_proba(numbers.to_numpy())).all()


@pytest.mark.long
def test_going_on_choosing_and_stopping(frame, small):
    options = small | {"epochs": 4}
    goes_on = CatVAE(n_clusters=2, warm_start=True, **options).fit(frame)
    first = goes_on.score(frame)
    assert goes_on.fit(frame).score(frame) > first
    with pytest.raises(ValueError, match="no column 'age'"):
        goes_on.fit(frame.drop(columns="age"))
    assert CatVAE(n_clusters=2, n_seeds=2, **small).fit(frame).members_["chosen"] in (
        0,
        1,
    )
    held = {"early_stopping": True, "validation_fraction": 0.2}
    assert "held-out" in CatVAE(n_clusters=2, **options, **held).fit(frame).stop_reason_


@pytest.mark.long
def test_where_a_table_cannot_go(model, tmp_path):
    model.save(tmp_path / "m")
    with pytest.raises(numpy_runtime.ModelError, match="it is of a table"):
        numpy_runtime.load(tmp_path / "m")
    for formats in (("onnx",), ("stablehlo",)):
        with pytest.raises(infovae_jax.errors.ConfigError, match="a model of a table"):
            model.save(tmp_path / "other", formats)
    assert not (tmp_path / "other").exists()
