"""NumPy alone gives what the model gives; hostile folders end in one line."""

import itertools
import json
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hostile_models import DAMAGES

from infovae_jax import VAE, objectives
from infovae_jax import config as config_lib
from infovae_jax.config import groups
from infovae_jax.distributions import likelihoods
from infovae_jax.export import files, functions, graphs, numpy_runtime
from infovae_jax.types import DataSpec

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def assert_equal_models(alone, model, x):
    codes = model.transform(x)
    np.testing.assert_allclose(alone.encode(x), codes, **TOLERANCE)
    np.testing.assert_allclose(
        alone.predict_proba(x), model.predict_proba(x), **TOLERANCE
    )
    np.testing.assert_array_equal(alone.predict(x), model.predict(x))
    decoded = alone.decode(codes)
    assert decoded.shape == x.shape
    np.testing.assert_allclose(decoded, model.inverse_transform(codes), **TOLERANCE)


def test_tables(tmp_path, model, table):
    model.save(tmp_path)
    assert_equal_models(numpy_runtime.load(tmp_path), model, table)


@pytest.mark.long
def test_convolutions_of_bytes(tmp_path, conv_model, images):
    conv_model.save(tmp_path)
    alone = numpy_runtime.load(tmp_path)
    assert_equal_models(alone, conv_model, images)
    assert alone.encode(images[:0]).shape == (0, 6)
    with pytest.raises(ValueError, match="give numbers"):
        alone.encode(images[..., 0])


NETWORKS = {
    "mlp": {"normalization": "layer", "activation": "gelu"},
    "conv": {"normalization": "layer", "activation": "softplus"},
}


LIKELIHOODS = ("bernoulli", "continuous_bernoulli")
# Beside every objective with the first of each: the other likelihood and network once.
CHOSEN = {
    ("vae", "continuous_bernoulli", "mlp"),
    ("vae", "bernoulli", "conv"),
    ("infocatvae", "continuous_bernoulli", "conv"),
}


def cases():
    for case in itertools.product(objectives.names(), LIKELIHOODS, NETWORKS):
        often = case[1:] == ("bernoulli", "mlp") or case in CHOSEN
        yield pytest.param(*case, marks=pytest.mark.long if often else pytest.mark.slow)


@pytest.mark.parametrize(("name", "likelihood", "kind"), [*cases()])
def test_every_objective(name, likelihood, kind):
    """Graphs of parameters at their start, beside the functions themselves."""
    config = groups.default_config()
    objectives.use(config, name, few_pixels=True)
    network = config.network
    network.kind, network.encoder_hidden, network.decoder_hidden = kind, (8,), (8,)
    network.conv_channels, network.conv_hidden = (3, 4), 8
    config.update_from_flattened_dict(
        {f"network.{key}": value for key, value in NETWORKS[kind].items()}
    )
    if name == "vae":
        network.normalization = "batch"
    spec = DataSpec((7, 5, 2), "float32", likelihood, 40, 3, False)
    made = functions.make(config_lib.from_json(config_lib.to_json(config)), spec)
    params = jax.jit(made.objective.init)(jax.random.key(0))
    flat = files.flatten(jax.tree.map(np.asarray, params), "params")
    x = np.random.default_rng(0).random((4, 7, 5, 2)).astype(np.float32)
    z = np.asarray(jax.jit(made.encode)(params, x)["mean"])
    for function, rows, argument in ((made.encode, x, "x"), (made.decode, z, "z")):

        def of_flat(flat, rows, function=function):
            return function(files.unflatten(flat, "params"), rows)

        shape = {argument: rows.shape[1:]}
        graph, constants = graphs.trace(of_flat, flat, shape, "g")
        graph = json.loads(json.dumps(graph))
        found = numpy_runtime.run(graph, flat | constants, {argument: rows})
        expected = jax.jit(function)(params, rows)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, **TOLERANCE)


def test_kinds_of_steps():
    """Steps that only somebody's own modules have, one by one."""

    def function(params, x):
        y = jnp.pad(x, ((0, 0), (1, 2), (0, 0)))
        y = jax.lax.slice_in_dim(y, 0, 6, 2, 1)
        y = jnp.einsum("bij,bkj->bik", y, y) + jax.scipy.special.erf(y.sum()) * 0
        count = jnp.arange(4.0)[None] + jnp.zeros((x.shape[0], 1))
        return {
            "a": jnp.clip(jnp.expm1(-jnp.abs(y)), -0.5, 0.5).max((1, 2)),
            "b": jnp.where(count > 1, jnp.sign(count), jnp.square(count)),
            "c": x.argmin(-1) + jnp.floor(x[..., 0]).astype(jnp.int32),
            "d": jax.scipy.special.erf(x) + jnp.sin(x) * jnp.cos(x) + x**3,
            "e": jnp.flip(x, 1).min(-1),
        }

    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32)
    graph, constants = graphs.trace(function, {}, {"x": (4, 3)}, "g")
    found = numpy_runtime.run(graph, constants, {"x": x})
    for key, value in function({}, x).items():
        np.testing.assert_allclose(found[key], value, **TOLERANCE)


def test_what_a_graph_cannot_hold_is_said():
    with pytest.raises(graphs.Inexpressible, match="'sort'"):
        graphs.trace(lambda params, x: {"y": jnp.sort(x)}, {}, {"x": (3,)}, "g")
    with pytest.raises(graphs.Inexpressible, match="number of rows"):
        graphs.trace(lambda params, x: {"y": x * len(x)}, {}, {"x": (3,)}, "g")


def test_fractions_are_refused_by_a_model_of_bytes(tmp_path, conv_model, images):
    conv_model.save(tmp_path / "model")
    with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
        numpy_runtime.load(tmp_path / "model").encode(images / 255)


@pytest.mark.long
def test_what_the_estimator_refuses_is_refused(tmp_path, images):
    options = {"hidden": (4,), "epochs": 1, "verbose": 0, "random_state": 0}
    strange = images.astype(int) * 10, -images.astype(int)
    masked = np.ma.masked_less(images, 9)
    for name, x, wrong in (
        ("bytes", images, (*strange, masked)),
        ("fractions", images / 255.0, (*strange, images, masked / 255.0)),
    ):
        model = VAE(latent_dim=2, **options).fit(x)
        model.save(tmp_path / name)
        alone = numpy_runtime.load(tmp_path / name)
        np.testing.assert_allclose(alone.encode(x), model.transform(x), **TOLERANCE)
        for values in wrong:
            with pytest.raises(ValueError, match="training|NaN"):
                model.transform(values)
            with pytest.raises(ValueError, match="x holds"):
                alone.encode(values)


@pytest.mark.parametrize("name", likelihoods.LIKELIHOODS)
def test_likelihoods_of_the_unit_interval_are_known(name):
    spec = DataSpec((1, 1, 1), "float32", name, 256, 0, False)
    of_unit = likelihoods.make_likelihood(spec).support == (0.0, 1.0)
    assert of_unit == (name in numpy_runtime.OF_UNIT)


def test_a_process_without_jax(tmp_path, model, table):
    """The copy in the folder, by itself, where neither JAX nor the package is."""
    model.save(tmp_path / "model")
    np.save(tmp_path / "x.npy", table)
    (tmp_path / "blocked").mkdir()
    for name in ("jax", "jaxlib", "flax", "scipy", "sklearn", "infovae_jax"):
        text = "raise ImportError('not here')"
        (tmp_path / "blocked" / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "model/numpy_runtime.py", "model", "x.npy", "y.npz"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "blocked")},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(tmp_path / "y.npz") as found:
        np.testing.assert_allclose(found["mean"], model.transform(table), **TOLERANCE)
        np.testing.assert_array_equal(found["cluster"], model.predict(table))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model):
    place = tmp_path_factory.mktemp("whole")
    model.save(place)
    return place


@pytest.fixture
def folder(tmp_path, whole):
    shutil.copytree(whole, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("kind", DAMAGES)
def test_hostile_folders_end_in_one_line(folder, kind, capsys):
    DAMAGES[kind](folder)
    with pytest.raises(numpy_runtime.ModelError) as raised:
        numpy_runtime.load(folder)
    assert "\n" not in str(raised.value)
    assert numpy_runtime.main([str(folder), "x.npy", "y.npz"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_nothing_is_imported_but_numpy():
    source = pathlib.Path(numpy_runtime.__file__).read_text()
    found = [line.split()[1] for line in source.splitlines() if line[:7] == "import "]
    assert set(found) - set(sys.stdlib_module_names) == {"numpy"}
    assert "\nfrom " not in source
