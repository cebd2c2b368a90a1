"""What all estimators share, and that they are the command line's engine."""

import inspect
import json

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from infovae_jax import NVAE, VAE, CatVAE, InfoCatVAE, load
from infovae_jax import config as config_lib
from infovae_jax.data import arrays
from infovae_jax.errors import ConfigError, NonFiniteError
from infovae_jax.evaluation import encode_split
from infovae_jax.training import loop, programs, train_step
from infovae_jax.training.progress import COMPILING
from infovae_jax.training.run import claim_workdir, open_run


@pytest.fixture
def workdir_run(tmp_path, images, quick):
    """`(estimator, run, state, folder)`: the same config by both ways."""
    model = InfoCatVAE(n_clusters=3, **quick).fit(images)
    np.savez(tmp_path / "x.npz", x_train=images, x_test=images[:10])
    config = config_lib.from_json(model._config)
    config.data.source = str(tmp_path / "x.npz")
    folder = tmp_path / "run"
    claim_workdir(config, folder)
    run = open_run(config, say=lambda text: None)
    state = loop.train(run, folder, run.make_mesh())
    return model, run, state, folder


@pytest.mark.long
def test_same_bits_as_the_command_line(workdir_run, images):
    """Same config, same data: parameters, codes and figures of training."""
    model, run, state, folder = workdir_run
    params = train_step.variables(state)
    jax.tree.map(np.testing.assert_array_equal, model.params_, params)
    codes = encode_split(run, params, images)
    np.testing.assert_array_equal(model.transform(images), codes.mean)
    rows = [json.loads(t) for t in (folder / "metrics.jsonl").read_text().splitlines()]
    np.testing.assert_array_equal(model.history_["loss"], [r["loss"] for r in rows])


@pytest.mark.long
def test_workdir_as_estimator(workdir_run, images):
    model, _, _, folder = workdir_run
    loaded = load(folder)
    assert type(loaded) is InfoCatVAE
    np.testing.assert_array_equal(loaded.predict(images), model.labels_)
    np.testing.assert_array_equal(
        loaded.score_samples(images), model.score_samples(images)
    )
    assert loaded.sample(2).shape == (2, 6, 5, 3)
    own, again = config_lib.from_json(model._config), clone(loaded)
    config = again._prepared(images, None, 0)[0]
    for group in ("model", "network", "optimizer", "weights"):
        assert config[group].to_dict() == own[group].to_dict()
    assert config.train.num_epochs == own.train.num_epochs
    assert again.n_clusters == 3
    for member in (-1, 0):
        with pytest.raises(ConfigError, match=f"no member {member}"):
            load(folder, member=member)
    warm = loaded.set_params(warm_start=True, epochs=1, verbose=0)
    assert warm.fit(images).predict(images).shape == (40,)


def test_fit_is_a_function_of_data_and_seed(table, quick):
    first, again = (VAE(**quick).fit(table).transform(table) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = VAE(**{**quick, "random_state": 1}).fit(table).transform(table)
    assert not np.allclose(first, other)


def test_a_random_state_is_drawn_from(table, quick):
    draws = np.random.RandomState(3)
    seeds = [
        VAE(**{**quick, "epochs": 1, "random_state": draws}).fit(table).seed_
        for _ in range(2)
    ]
    assert seeds[0] != seeds[1]


def test_bounds_do_not_depend_on_neighbours(table, quick):
    """Nor on the order or on how many rows there are."""
    model = VAE(**quick).fit(table)
    bounds = model.score_samples(table)
    assert bounds.shape == (60,)
    np.testing.assert_array_equal(model.score_samples(table[::-1]), bounds[::-1])
    np.testing.assert_array_equal(model.score_samples(table[7:8]), bounds[7:8])
    assert model.score(table) == pytest.approx(bounds.mean())


def test_bounds_rise_with_training(table, quick):
    short = VAE(**quick).fit(table).score(table)
    assert VAE(**{**quick, "epochs": 200}).fit(table).score(table) > short + 1


def test_inverse_transform_gives_the_range_of_the_data(table, quick):
    """Columns of scales from 0.01 to 1000 come back in theirs."""
    options = {**quick, "epochs": 300, "hidden": (32,)}
    model = VAE(weights={"kl_z": 0.01}, **options).fit(table)
    decoded = model.inverse_transform(model.transform(table))
    assert decoded.shape == table.shape
    error = ((decoded - table) ** 2).mean(0) / table.var(0)
    assert (error < 0.5).all()
    with pytest.raises(ValueError, match="X has 3 dims"):
        model.inverse_transform(np.zeros((2, 3)))


def test_images_come_back_as_images(images, quick):
    model = VAE(**quick).fit(images)
    decoded = model.inverse_transform(model.transform(images))
    assert decoded.shape == images.shape
    assert 1 < decoded.max() <= 255  # as bytes were given
    samples = model.sample(300)
    assert samples.shape == (300, 6, 5, 3)
    np.testing.assert_array_equal(model.sample(300), samples)
    assert not np.array_equal(model.sample(300, random_state=1), samples)
    rows = images.reshape(40, -1)
    np.testing.assert_array_equal(model.transform(rows), model.transform(images))


def test_samples_of_a_cluster(images, quick):
    model = InfoCatVAE(n_clusters=3, **quick).fit(images)
    first, second = (model.sample(20, cluster=c) for c in (0, 1))
    assert not np.allclose(first, second)
    for cluster in (3, -1, "a", 1.0, True, [0, 1]):
        with pytest.raises(
            ValueError, match=r"cluster=.*: give an integer from 0 to 2"
        ):
            model.sample(1, cluster=cluster)
    for count in (0, -1, 2.5, "3", None, True):
        with pytest.raises(ValueError, match="n_samples=.*: give an integer of at"):
            model.sample(count)
    model.set_params(n_clusters=5, encoder=3, config=3)  # of the next fit
    np.testing.assert_array_equal(model.sample(20, cluster=0), first)
    assert model.predict_proba(images).shape == (40, 3)


def test_history_has_a_row_an_epoch(table, quick):
    model = VAE(batch_size=16, **quick).fit(table)
    assert model.n_iter_ == 3
    assert list(model.history_["epoch"]) == [1, 2, 3]
    for name in ("loss", "term/reconstruction", "term/kl_z"):
        assert model.history_[name].shape == (3,)
        assert np.isfinite(model.history_[name]).all()
    assert model.stop_reason_ == "all 3 epochs done"


def test_early_stopping_keeps_the_best_epoch(table, quick):
    options = {**quick, "epochs": 300, "hidden": (64,), "learning_rate": 0.01}
    model = VAE(
        early_stopping=True, validation_fraction=0.3, n_iter_no_change=5, **options
    ).fit(table)
    bounds = model.history_["test/elbo"]
    best = bounds.argmax() + 1
    assert model.n_iter_ == best + 5 < 300
    assert f"has not risen since epoch {best}" in model.stop_reason_
    whole = VAE(**{**options, "epochs": int(best)}).fit(table)
    assert whole.history_.keys() == model.history_.keys() - {
        n for n in model.history_ if n.startswith("test/")
    }


def test_verbosity(table, quick, capsys):
    VAE(**quick).fit(table)
    assert capsys.readouterr().out == ""
    VAE(**{**quick, "verbose": 1}).fit(table)
    printed = capsys.readouterr()
    assert "each column standardised" in printed.out
    assert "epochs: 3" in printed.out
    assert "learned_gaussian" in printed.out
    assert "all 3 epochs done" in printed.out
    assert "step 3/3" in printed.err
    assert COMPILING not in printed.err  # the first fit did
    programs._kept.clear()
    VAE(**{**quick, "verbose": 1}).fit(table)
    assert capsys.readouterr().err.startswith(COMPILING)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"config": {"network.activatoin": "relu"}},
            "did you mean 'network.activation'",
        ),
        ({"weights": {"kl_zz": 1.0}}, "did you mean 'weights.kl_z'"),
        ({"weights": {"kl_z": -1.0}}, r"weights={'kl_z': \.\.\.}"),
        ({"weights": "kl_z"}, "'kl_z' is no dict; VAE.weights"),
        ({"config": ["seed"]}, "no dict; VAE.config"),
        ({"config": {"num_seeds": 3}}, "give n_seeds"),
        ({"config": {"data.missing": "impute"}}, "'data.missing': .*; give missing"),
        ({"likelihood": "gaussain"}, "did you mean 'gaussian'"),
        ({"scaling": "minmax"}, "unknown value 'minmax'"),
        ({"network": "cnn"}, "did you mean 'conv'"),
        ({"hidden": (0,)}, "0 is too small; hidden"),
        ({"hidden": 32}, "32 is no such tuple; hidden; give a tuple"),
        ({"hidden": "16"}, "16 is no such tuple; hidden; give a tuple"),
        ({"hidden": (3.5,)}, "'3.5' is no integer; hidden"),
        ({"epochs": "many"}, "'many' is no integer; epochs; give an integer"),
        ({"batch_size": 0}, "; batch_size; give"),
        ({"batch_size": "all"}, "; batch_size; give"),
        ({"batch_size": 61}, "set batch_size to 60 or less"),
        ({"latent_dim": 0}, "; latent_dim; give"),
        ({"random_state": "x"}, "random"),
        ({"random_state": -1}, "-1 is no seed; random_state"),
        ({"validation_fraction": 1.0}, "too large; VAE.validation_fraction"),
        ({"validation_fraction": 0.0}, "too small; VAE.validation_fraction"),
        ({"validation_fraction": "all"}, "no number; VAE.validation_fraction"),
        ({"n_iter_no_change": 0}, "0 is too small; VAE.n_iter_no_change"),
        ({"early_stopping": "yes"}, "neither True nor False; VAE.early_stopping"),
        ({"n_seeds": True}, "'True' is no integer; VAE.n_seeds"),
        ({"n_seeds": 3, "random_state": 2**32 - 2}, "of at most 4294967293"),
        ({"config": {"data.columns": "a=count"}}, "give columns"),
        ({"config": {"objective": "catvae"}}, "choose the class"),
        ({"likelihood": "bernoulli", "scaling": "none"}, "needs data in"),
    ],
)
def test_parameters_that_cannot_be_used(table, quick, parameters, message):
    with pytest.raises(ValueError, match=message):
        VAE(**{**quick, **parameters}).fit(table)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CatVAE(n_cluster=3), r"CatVAE .*'n_cluster' \(did you mean 'n_cl"),
        (lambda: VAE(n_clusters=3), "VAE .*'n_clusters': CatVAE, InfoCatVAE have it"),
        (lambda: VAE(class_dim=3), "'class_dim': NVAE have it"),
        (lambda: VAE(3), "takes parameters by name, as VAE"),
    ],
)
def test_names_of_parameters_that_there_are_not(make, message):
    with pytest.raises(TypeError, match=message):
        make()
    names = list(inspect.signature(CatVAE).parameters)
    assert names == list(inspect.signature(CatVAE.__init__).parameters)[1:]
    assert {"n_clusters", "latent_dim"} < set(names)


@pytest.mark.parametrize(
    ("cls", "name", "message"),
    [
        (VAE, "predict", "CatVAE, InfoCatVAE, NVAE have it"),
        (VAE, "labels_", "CatVAE, InfoCatVAE have it"),
        (CatVAE, "labels_", "call fit first"),
        (VAE, "history_", "call fit first"),
        (VAE, "transfrom", "no attribute 'transfrom'$"),
    ],
)
def test_what_a_system_does_not_have(cls, name, message):
    assert not hasattr(cls(), name)
    with pytest.raises(AttributeError, match=message):
        getattr(cls(), name)


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "0 is too small; n_clusters; give an integer of at least 1"),
        (True, "'True' is no integer; n_clusters; give an integer of at least 1"),
        ("3", "'3' is no integer; n_clusters; give an integer of at least 1"),
        (61, "61 clusters for 60 training examples; n_clusters"),
    ],
)
def test_numbers_of_clusters_that_cannot_be_used(table, quick, k, message):
    with pytest.raises(ValueError, match=message):
        CatVAE(n_clusters=k, **quick).fit(table)


def test_a_divergence_is_told_in_the_words_of_the_parameters(table, quick):
    with pytest.raises(NonFiniteError) as told:
        VAE(**{**quick, "epochs": 50, "learning_rate": 1e6}).fit(table)
    fix = "lower learning_rate, or set config={'optimizer.clip_norm': ...}"
    assert told.value.fix == fix


def test_clusters_that_say_little_are_told(table, quick):
    """By the check of the command line's verdict, however quiet the fit."""
    with pytest.warns(ConvergenceWarning, match="^verdict: assignments .* undecided"):
        CatVAE(n_clusters=3, **quick).fit(table)


def test_numpy_values_of_a_grid_search(table, quick):
    parameters = {"latent_dim": np.int64(3), "learning_rate": np.float64(0.01)}
    model = VAE(**quick).set_params(**parameters, hidden=np.array([4])).fit(table)
    assert model.transform(table).shape == (60, 3)


def test_before_fit(table, quick):
    for use in ("transform", "predict", "score_samples", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(InfoCatVAE(**quick), use)(table)
    with pytest.raises(NotFittedError):
        NVAE(**quick).predict(table)
    with pytest.raises(NotFittedError):
        VAE(**quick).sample()


@pytest.mark.long
def test_pipeline_search_and_clone(table, quick):
    pipeline = make_pipeline(StandardScaler(), VAE(**quick))
    search = GridSearchCV(pipeline, {"vae__latent_dim": [1, 2]}, cv=2).fit(table)
    assert search.best_params_["vae__latent_dim"] in (1, 2)
    assert clone(search.best_estimator_[1]).get_params()["hidden"] == (8,)


def test_data_frames(table, quick):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(table, columns=list("abcde"))
    model = VAE(latent_dim=2, **quick).set_output(transform="pandas").fit(frame)
    codes = model.transform(frame)
    assert list(codes.columns) == ["vae0", "vae1"]
    assert list(model.feature_names_in_) == list("abcde")
    plain = VAE(latent_dim=2, **quick).fit(table)
    np.testing.assert_array_equal(codes.to_numpy(), plain.transform(table))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[list("edcba")])
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({name: table[:, i] for i, name in enumerate("abcde")})
    np.testing.assert_array_equal(
        plain.transform(table), clone(plain).fit_transform(frame)
    )


def test_fractions_are_refused_by_a_model_of_bytes(images, quick):
    """Divided by 255 a second time, all would be black, and no figure would say so."""
    model = CatVAE(n_clusters=2, **quick).fit(images)
    for numbers in (images.astype(int), images.astype(np.float32)):
        np.testing.assert_array_equal(model.predict(numbers), model.predict(images))
    with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
        model.score(images / 255)


def test_a_fit_that_fails_leaves_the_model_as_it_was(quick, table, images, tmp_path):
    """Columns of other names, images and classes: set before what fails."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table, columns=list("abcde"))
    model = VAE(**quick).fit(frame)
    before, codes = dict(vars(model)), model.transform(frame)
    other = frame[list("edcba")]
    with pytest.raises(ValueError, match="unknown likelihood|nope"):
        model.set_params(likelihood="nope").fit(other)
    model.set_params(likelihood="auto")
    assert vars(model).keys() == before.keys()
    np.testing.assert_array_equal(model.transform(frame), codes)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(other)
    y = np.arange(len(images)) % 3
    classes = NVAE(**quick).fit(images, y)
    with pytest.raises(ValueError, match="epochs"):
        classes.set_params(epochs=0).fit(images, np.array(list("xyz"))[y])
    assert set(classes.predict(images)) <= {0, 1, 2}
    fresh = CatVAE(n_clusters=3, **quick)
    with pytest.raises(ValueError, match="epochs"):
        fresh.set_params(epochs=0).fit(images)
    with pytest.raises(NotFittedError):
        fresh.predict(images)


def test_a_held_out_bound_that_is_no_number_is_told(quick, table):
    """One row is held out: the one that lies beyond all numbers of the model."""
    away = arrays.held_out(len(table), 0.01, 0)
    assert len(away) == 1
    table[away] = 1e30
    early = {"early_stopping": True, "validation_fraction": 0.01}
    with pytest.raises(NonFiniteError, match="held out"):
        VAE(**quick, **early).fit(table)


def test_what_is_masked_is_missing(quick, table):
    masked = np.ma.masked_array(table, np.zeros(table.shape, bool))
    model = VAE(**quick).fit(table)
    np.testing.assert_array_equal(model.transform(masked), model.transform(table))
    masked[7, 1] = np.ma.masked
    with pytest.raises(ValueError, match="row 7"):
        VAE(**quick).fit(masked)
    holes = table.copy()
    holes[7, 1] = np.nan
    first, second = (
        VAE(missing="impute", **quick).fit(x).transform(x) for x in (masked, holes)
    )
    np.testing.assert_array_equal(first, second)


def test_texts_that_look_like_numbers_stay_texts_in_a_file(quick, tmp_path):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    texts = np.array(["01", "1", "10"])[rng.integers(0, 3, 60)]
    frame = pd.DataFrame({"a": rng.normal(size=60).round(3), "z": texts})
    frame.to_csv(tmp_path / "t.csv", index=False)
    model = VAE(**quick).fit(frame)
    np.testing.assert_array_equal(
        model.transform(frame), model.transform(tmp_path / "t.csv")
    )
    with pytest.raises(ValueError, match="no file or folder"):
        model.transform("nowhere.csv")


def test_warm_start_keeps_names_and_range(quick, table):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table, columns=list("abcde"))
    for model in (VAE(warm_start=True, **quick), NVAE(warm_start=True, **quick)):
        y = [np.arange(60) % 2] if isinstance(model, NVAE) else []
        model.fit(frame, *y)
        with pytest.raises(ValueError, match="columns e, d, c, b, a in place of a"):
            model.fit(frame[list("edcba")], *y)
        model.fit(frame, *y)
    grey = np.random.default_rng(0).integers(0, 17, (60, 6, 6)).astype(float)
    model = VAE(warm_start=True, **quick).fit(grey)
    with pytest.raises(ValueError, match="another range"):
        model.fit(grey + 1)


def test_images_of_another_range_are_told(quick):
    """As they would be by the command line; codes of them would mean nothing."""
    rng = np.random.default_rng(0)
    bytes_ = rng.integers(0, 256, (60, 6, 6)).astype(np.uint8)
    fractions = VAE(**quick).fit(bytes_ / 255.0)
    for x in (bytes_, bytes_ * 1.0, bytes_ / -255.0):
        with pytest.raises(ValueError, match="training had 0 to 1"):
            fractions.transform(x)
    of_bytes = VAE(**quick).fit(bytes_)
    for x in (bytes_.astype(np.uint16) * 256, -bytes_.astype(int)):
        with pytest.raises(ValueError, match="training had 0 to 255"):
            of_bytes.score_samples(x)
    white = bytes_ > 127
    codes = of_bytes.transform(white * np.uint8(255))
    np.testing.assert_allclose(of_bytes.transform(white), codes, rtol=1e-5, atol=1e-6)
    grey = VAE(**quick).fit((bytes_ // 16).astype(float))
    with pytest.warns(UserWarning, match="far outside"):
        grey.transform(bytes_)


def test_warm_start_keeps_the_look_at_a_table(quick, table):
    """Columns of arrays are told by their places, so those of the first fit stay."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(table[:, :2], columns=list("ab")).assign(c=["x", "y"] * 30)
    swapped, more = frame[["b", "a", "c"]], frame.assign(extra=1.0)
    model = VAE(warm_start=True, **quick | {"epochs": 1}).fit(frame).fit(swapped)
    codes = model.fit(more).transform(swapped)
    array = frame.to_numpy(object)
    np.testing.assert_array_equal(model.transform(array), codes)
    assert list(model.feature_names_in_) == list("abc")
    assert model.n_features_in_ == 3
    for name, value in (
        ("columns", {"a": "ignore"}),
        ("missing", "impute"),
        ("scaling", "none"),
    ):
        other = clone(model).fit(frame).set_params(**{name: value})
        with pytest.raises(ValueError, match=f"warm_start with {name}="):
            other.fit(frame)


def test_a_fit_of_one_seed_has_no_members(quick, table):
    model = VAE(n_seeds=2, **quick | {"epochs": 1}).fit(table)
    assert not hasattr(model.set_params(n_seeds=1).fit(table), "members_")


@pytest.mark.parametrize(("rows", "fraction"), [(2, 0.1), (10, 0.99)])
def test_a_single_row_to_train_on_is_refused(quick, table, rows, fraction):
    early = {"early_stopping": True, "validation_fraction": fraction}
    with pytest.raises(ValueError, match=f"leaves one of {rows} rows"):
        VAE(**quick, **early).fit(table[:rows])
