"""The importance-weighted bound and bits per dim, where both are known exactly."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from scipy import stats as scipy_stats

from infovae_jax import objectives
from infovae_jax.errors import NonFiniteError
from infovae_jax.evaluation import annealing, density, encoding
from infovae_jax.evaluation.groups import likelihood as of_likelihood
from infovae_jax.training.run import open_run

KEY = jax.random.key(0)
SCALE = 0.5
LATENT_DIM = 3


def linear_config(make_config, **model):
    config = make_config("vae", latent_dim=LATENT_DIM, scale=SCALE, **model)
    config.network.encoder_hidden = config.network.decoder_hidden = ()
    config.data.likelihood = "gaussian"
    return config


def linear_params(objective, offset=0.1, stretch=0.3):
    """Parameters whose posterior is near the exact one, but not it.

    The exact one is of full covariance; q is diagonal, wider by `stretch` in log_var
    and off by `offset` in the mean.
    """
    params = objective.init(KEY)
    weights = np.asarray(params["decoder"]["outputs"]["kernel"], np.float64)
    covariance = np.linalg.inv(np.eye(len(weights)) + weights @ weights.T / SCALE**2)
    kernel = np.zeros((weights.shape[1], 2 * len(weights)))
    kernel[:, : len(weights)] = (covariance @ weights).T / SCALE**2
    log_var = np.log(np.diag(covariance)) + stretch
    bias = np.concatenate([np.full(len(weights), offset), log_var])
    features = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    params["posterior"] = {
        "features": jax.tree.map(lambda a: a.astype(jnp.float32), features)
    }
    evidence = scipy_stats.multivariate_normal(
        np.zeros(weights.shape[1]),
        weights.T @ weights + SCALE**2 * np.eye(weights.shape[1]),
    )
    return params, evidence


@pytest.fixture
def linear(make_config, spec):
    """p(x | z) = N(W z, s^2 I), 64 images of it and their exact log p(x)."""
    config = linear_config(make_config)
    objective = objectives.make(config, spec._replace(likelihood="gaussian"))
    params, evidence = linear_params(objective)
    z = objective.sample_code(KEY, params, 64)
    x = objective.draw(jax.random.key(1), params, z)
    return objective, params, x, evidence.logpdf(np.asarray(x).reshape(64, -1))


def test_the_bound_meets_the_evidence_of_a_linear_gaussian_model(linear):
    objective, params, x, exact = linear
    bound = density.make_importance_weighted_bound(objective, 5000)
    found = jax.tree.map(np.asarray, bound(params, x, jax.random.key(2)))
    difference = found.log_prob - exact
    assert abs(difference.mean()) < 0.01
    assert ((found.effective_samples > 500) & (found.effective_samples < 4500)).all()
    # The effective samples tell the error of each: sd of log mean w.
    error = np.sqrt(1.0 / found.effective_samples - 1.0 / 5000)
    assert (difference < 4 * error).all()
    assert 0.7 < (difference / error).std() < 1.3


def test_the_bound_rises_with_the_samples_and_tells_how_loose_it_is(linear):
    objective, params, x, exact = linear
    x, exact = jnp.tile(x, (20, 1, 1, 1)), np.tile(exact, 20)
    gaps = []
    for num in (1, 4, 32):
        bound = density.make_importance_weighted_bound(objective, num)
        found = bound(params, x, jax.random.key(3))
        gaps.append((exact - np.asarray(found.log_prob)).mean())
    assert gaps[0] > 1.5 * gaps[1] > 1.5 * 1.5 * gaps[2] > 0
    told = np.mean(1.0 / np.asarray(found.effective_samples) - 1.0 / 32) / 2
    assert told == pytest.approx(gaps[2], rel=0.4)


@pytest.mark.long
@pytest.mark.parametrize("name", ["vae", "catvae", "n_vae", "infomax_vae"])
def test_chunks_do_not_change_the_value(make_config, spec, name):
    objective = objectives.make(make_config(name), spec)
    params = objective.init(KEY)
    x = jax.random.uniform(KEY, (3, 4, 4, 1))

    def bound(num_samples, chunk=None, levels=None):
        make = density.make_importance_weighted_bound
        return make(objective, num_samples, chunk, levels)(params, x, KEY)

    # Sample s of an example has the key fold_in(its key, s), by itself or with others.
    numbers = jnp.arange(23)
    weigh = jax.vmap(
        lambda image, key, number: objective.log_weight(
            params, image, jax.random.fold_in(key, number)
        ),
        (None, None, 0),
    )
    keys = jax.random.split(KEY, 3)
    log_w = np.asarray(jax.jit(jax.vmap(weigh, (0, 0, None)))(x, keys, numbers))
    log_w = log_w.astype(np.float64)
    weights = np.exp(log_w - log_w.max(1, keepdims=True))
    exact = np.log(weights.mean(1)) + log_w.max(1)
    effective = weights.sum(1) ** 2 / (weights**2).sum(1)
    found = bound(23, 5)
    np.testing.assert_allclose(found.log_prob, exact, rtol=1e-5)
    np.testing.assert_allclose(found.effective_samples, effective, rtol=1e-3)
    noisy = bound(23, 5, levels=17).log_prob + 16 * math.log(17)
    difference = np.abs(np.asarray(noisy) - exact)
    assert ((difference > 1e-3) & (difference < 2.0)).all()


def test_memory_and_programs_do_not_grow_with_the_samples(linear):
    objective, params, x, _ = linear
    traces, encoded = [], []

    def log_weight(params, example, key, target=None):
        traces.append(1)
        jax.debug.callback(lambda total: encoded.append(1), example.sum())
        return objective.log_weight(params, example, key, target)

    counted = objective._replace(log_weight=log_weight)
    bound = density.make_importance_weighted_bound(counted, 1000, 250)
    bound(params, x[:6], KEY)
    before = len(traces)
    bound(params, x[6:12], jax.random.key(1))
    assert len(traces) == before
    jax.effects_barrier()
    assert len(encoded) == 2 * 6 * 4  # once a chunk, not once a sample
    sizes = []
    for num in (20_000, 200_000):
        bound = density.make_importance_weighted_bound(objective, num)
        program = bound.lower(params, x[:2], KEY).compile()
        sizes.append(program.memory_analysis().temp_size_in_bytes)
    assert sizes[1] < 1.2 * sizes[0]


def bits_of_a_linear_run(make_config, tmp_path, x, likelihood, num_samples, **data):
    path = tmp_path / "data.npz"
    np.savez(path, x_train=x, x_test=x)
    config = linear_config(make_config)
    config.data.source, config.data.likelihood = str(path), likelihood
    config.train.batch_size = 1
    config.evaluation.nll_samples, config.evaluation.nll_examples = num_samples, 0
    config.evaluation.batch_size = 3
    for key, value in data.items():
        config.data[key] = value
    run = open_run(config, say=lambda text: None)
    return run, linear_params(run.objective, stretch=0.5)


def test_a_run_reports_the_evidence(make_config, tmp_path):
    """What evaluates runs, end to end: 40 images of the model, k = 5,000."""
    x = np.random.default_rng(0).normal(0, 0.6, (40, 4, 4, 1)).astype(np.float32)
    run, (params, evidence) = bits_of_a_linear_run(
        make_config, tmp_path, x, "gaussian", 5000
    )
    rows = {row.name: row for row in density.density_rows(run, params)}
    exact = -evidence.logpdf(x.reshape(40, -1))
    assert rows["nll"].value == pytest.approx(exact.mean(), abs=0.01)
    error = exact.std(ddof=1) / math.sqrt(40)
    assert rows["nll/standard_error"].value == pytest.approx(error, rel=0.01)
    assert 500 < rows["nll/effective_samples"].value < 5000
    assert rows["bits_per_dim"].value is None
    assert "data.levels" in rows["bits_per_dim"].recipe


def test_bits_per_dim_are_those_of_a_gaussian_integrated_over_bins(
    make_config, tmp_path
):
    """Three levels of 4 pixels and one latent dim: the evidence by quadrature."""
    x = np.array([[0, 1, 2, 1], [2, 2, 0, 0], [1, 1, 1, 1]]).reshape(3, 2, 2, 1) / 2
    run, _ = bits_of_a_linear_run(
        lambda name, **model: make_config(name, **{**model, "latent_dim": 1}),
        tmp_path,
        x.astype(np.float32),
        "gaussian",
        40_000,
        levels=3,
    )
    params = run.objective.init(jax.random.key(4))
    weights = np.asarray(params["decoder"]["outputs"]["kernel"])[0]

    def integrand(z, low):
        high = (low + 1 / 3 - weights * z) / SCALE
        inside = scipy_stats.norm.cdf(high) - scipy_stats.norm.cdf(
            (low - weights * z) / SCALE
        )
        return inside.prod() * scipy_stats.norm.pdf(z)

    exact = [
        -math.log2(integrate.quad(integrand, -9, 9, args=(2 * image.ravel() / 3,))[0])
        for image in x
    ]
    row = density.density_rows(run, params)[-1]
    assert row.value == pytest.approx(np.mean(exact) / 4, abs=0.01)
    assert "dequantisation" in row.recipe
    assert "without noise" in row.recipe
    # Plain densities at the levels are something else.
    nll = density.density_rows(run, params)[0].value
    naive = nll / (4 * math.log(2)) + math.log2(3)
    assert abs(naive - row.value) > 0.03


def test_a_uniform_density_has_eight_bits(make_config, tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (4, 4, 4, 1)).astype(np.uint8)
    run, _ = bits_of_a_linear_run(
        make_config, tmp_path, x, "continuous_bernoulli", 3, levels=256
    )
    params = jax.tree.map(jnp.zeros_like, run.objective.init(KEY))
    rows = {row.name: row for row in density.density_rows(run, params)}
    assert rows["bits_per_dim"].value == pytest.approx(8.0, abs=1e-5)
    assert rows["nll"].value == pytest.approx(0.0, abs=1e-4)
    assert rows["nll/effective_samples"].value == pytest.approx(3.0, rel=1e-4)


@pytest.mark.parametrize(
    ("likelihood", "binarize", "num_bits"),
    [
        ("discretized_logistic", "none", True),
        ("bernoulli", "stochastic", True),
        ("bernoulli", "none", False),
        ("gaussian", "threshold", False),
    ],
)
def test_bits_of_the_other_likelihoods(
    make_config, tmp_path, likelihood, binarize, num_bits
):
    """One test image and one sample are enough for every row."""
    x = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 1)).astype(np.uint8)
    run, (params, _) = bits_of_a_linear_run(
        make_config, tmp_path, x, likelihood, 1, levels=256, binarize=binarize
    )
    params = {**run.objective.init(KEY), **params}
    rows = {row.name: row for row in density.density_rows(run, params)}
    assert rows["nll/standard_error"].value is None
    assert rows["nll/effective_samples"].value == pytest.approx(1.0, rel=1e-4)
    row = rows["bits_per_dim"]
    if num_bits:
        expected = rows["nll"].value / (16 * math.log(2))
        assert row.value == pytest.approx(expected, rel=1e-6)
    else:
        assert row.value is None
        assert row.recipe.startswith("not reported: ")


def test_non_finite_weights_are_refused_by_name(make_config, tmp_path, monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1)).astype(np.uint8)
    run, (params, _) = bits_of_a_linear_run(
        make_config, tmp_path, x, "gaussian", 3, levels=256
    )
    bias = params["decoder"]["outputs"]["bias"]
    params["decoder"]["outputs"]["bias"] = bias.at[2].set(jnp.nan)
    with pytest.raises(NonFiniteError, match="'nll' is nan for 5 of 5"):
        density.density_rows(run, params)
    with pytest.raises(NonFiniteError, match="'bits_per_dim' is nan"):
        density.bits_per_dim_row(run, params, np.zeros(5))
    values = np.array([1.0, np.inf, np.nan])
    with pytest.raises(NonFiniteError, match="inf for 2 of 3.*test example 1"):
        density.require_finite(values, "nll")
    lost = annealing.Annealed(jnp.ones(5).at[3].set(jnp.nan), 0.5)
    functions = (lambda *arguments: lost), None
    monkeypatch.setattr(annealing, "make_annealing", lambda *arguments: functions)
    monkeypatch.setattr(annealing, "bidirectional_gap", lambda *a: {"gap": 0.1})
    splits = encoding.Splits(None, encoding.Split(x, None, None), None)
    with pytest.raises(NonFiniteError, match="'ais/nll' is nan for 1 of 5"):
        of_likelihood.rows(run, params, splits)


def test_a_constant_code_has_the_likelihood_of_its_decoder(linear):
    """Where q(z | x) is the prior and the decoder looks away, one sample is exact."""
    objective, params, x, _ = linear
    params = jax.tree.map(jnp.zeros_like, params)
    for num in (1, 7):
        bound = density.make_importance_weighted_bound(objective, num)
        found = bound(params, x[:5], KEY)
        pixels = np.asarray(x[:5]).reshape(5, -1)
        exact = scipy_stats.norm(0, SCALE).logpdf(pixels).sum(-1)
        np.testing.assert_allclose(found.log_prob, exact, rtol=1e-5)
        np.testing.assert_allclose(found.effective_samples, num, rtol=1e-4)
