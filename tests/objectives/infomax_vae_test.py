"""InfomaxVAE: a free code beside a regularised one, and its fitted density."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats as scipy_stats

from infovae_jax import distributions, objectives
from infovae_jax.distributions import running_gaussian
from infovae_jax.errors import ConfigError
from infovae_jax.training import train_step
from infovae_jax.types import STATISTICS

KEY = jax.random.key(0)


@pytest.fixture
def x():
    return jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))


def build(make_config, spec, **model):
    objective = objectives.make(make_config("infomax_vae", **model), spec)
    return objective, objective.init(KEY)


def loss_of(objective, params, x, key=KEY):
    return objective.loss(params, x, key, objective.hparams)[0]


def test_an_empty_c_is_the_vae(make_config, spec, x):
    ours, params = build(make_config, spec, code_dim=0, latent_dim=20)
    vae = objectives.make(make_config("vae"), spec)
    pairs = [
        jax.value_and_grad(lambda p, o=o: loss_of(o, p, x))(params) for o in (ours, vae)
    ]
    chex.assert_trees_all_close(*pairs, rtol=1e-6)
    np.testing.assert_allclose(
        ours.log_weight(params, x[0], KEY), vae.log_weight(params, x[0], KEY), rtol=1e-6
    )
    assert ours.code_parts == ()
    assert ours.sample(KEY, params, 3).shape == (3, 4, 4, 1)


def test_c_is_trained_through_the_decoder_alone(make_config, spec, x):
    objective, params = build(make_config, spec, code_dim=2)
    kernel = params["decoder"]["dense_0"]["kernel"]
    gradient = jax.grad(lambda p: loss_of(objective, p, x))(params)["code"]
    assert float(jnp.abs(gradient["kernel"]).max()) > 0
    params["decoder"]["dense_0"]["kernel"] = kernel.at[-2:].set(0.0)
    gradient = jax.grad(lambda p: loss_of(objective, p, x))(params)["code"]
    assert float(jnp.abs(gradient["kernel"]).max()) == 0


def test_the_rate_does_not_depend_on_c(make_config, spec, x):
    objective, params = build(make_config, spec)
    _, before = objective.loss(params, x, KEY, objective.hparams)
    params["code"]["kernel"] = params["code"]["kernel"] * -3.0 + 1.0
    _, after = objective.loss(params, x, KEY, objective.hparams)
    assert float(before["term/kl_z"]) == float(after["term/kl_z"])
    assert float(before["term/reconstruction"]) != float(after["term/reconstruction"])


def test_the_scale_of_c_is_free(make_config, spec, x):
    objective, params = build(make_config, spec)
    before = loss_of(objective, params, x)
    params["code"]["kernel"] *= 7.0
    params["code"]["bias"] *= 7.0
    kernel = params["decoder"]["dense_0"]["kernel"]
    params["decoder"]["dense_0"]["kernel"] = kernel.at[-1].divide(7.0)
    np.testing.assert_allclose(loss_of(objective, params, x), before, rtol=1e-5)


def test_squared_error_is_the_gaussian_of_variance_one_half(make_config, spec, x):
    spec = spec._replace(likelihood="gaussian")
    objective, params = build(make_config, spec, scale=float(np.sqrt(0.5)))
    _, metrics = objective.loss(params, x, KEY, objective.hparams)
    q = objective.encode(params, x)
    z = distributions.gaussian_sample(
        jax.random.split(KEY, 6),
        distributions.Gaussian(q.mean[:, :-1], q.log_var[:, :-1]),
    )
    image = objective.decode(params, jnp.concatenate([z, q.mean[:, -1:]], -1))
    squared = ((image - x) ** 2).sum((1, 2, 3)).mean()
    np.testing.assert_allclose(
        metrics["term/reconstruction"], squared + 8 * np.log(np.pi), rtol=1e-5
    )


@pytest.mark.long
def test_one_dominant_factor_goes_to_c(make_config, spec):
    """x = w s + noise with a heavy rate: c follows s, and z is dead (IMX-6)."""
    config = make_config("infomax_vae", latent_dim=3, scale=0.3)
    config.weights.kl_z = 20.0
    spec = spec._replace(likelihood="gaussian")
    objective = objectives.make(config, spec)
    key_w, key_s, key_n = jax.random.split(KEY, 3)
    s = jax.random.normal(key_s, (256,))
    pattern = jax.random.normal(key_w, (4, 4, 1))
    noise = 0.1 * jax.random.normal(key_n, (256, 4, 4, 1))
    x = s[:, None, None, None] * pattern[None] + noise
    optimizer = optax.adam(3e-3)
    state = train_step.init_train_state(objective, optimizer, 0)
    run = jax.jit(
        train_step.make_multi_step(train_step.make_train_step(objective, optimizer, {}))
    )
    state, _ = run(state, x, jnp.tile(jnp.arange(256), (800, 1)))
    params = train_step.variables(state)
    codes = objective.encode(params, x).mean
    assert abs(np.corrcoef(codes[:, -1], s)[0, 1]) > 0.99
    assert int((np.var(codes[:, :-1], axis=0) > 0.01).sum()) == 0
    # The fitted density is that of the codes, and samples of c follow it.
    mean, factor = running_gaussian.mean_and_factor(params["code"][STATISTICS])
    np.testing.assert_allclose(mean[0], codes[:, -1].mean(), atol=0.1)
    np.testing.assert_allclose(factor[0, 0], codes[:, -1].std(), rtol=0.1)
    drawn = objective.sample_code(KEY, params, 20_000)
    np.testing.assert_allclose(drawn[:, -1].std(), factor[0, 0], rtol=0.03)
    # With c alone the images are there; with z alone they are not.
    average = codes.mean(0)
    only_c = jnp.tile(average[None], (256, 1)).at[:, -1].set(codes[:, -1])
    only_z = codes.at[:, -1].set(average[-1])
    errors = [
        float(((objective.decode(params, code) - x) ** 2).sum((1, 2, 3)).mean())
        for code in (codes, only_c, only_z)
    ]
    assert errors[0] <= errors[1] * 1.01 < 0.2 * errors[2]


def test_fitted_gaussian_against_numpy_and_scipy():
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(400, 64, 2)) @ [[2.0, 0.7], [0.0, 0.5]] + [3.0, -1.0]
    moments = running_gaussian.init(2)
    mean, factor = running_gaussian.mean_and_factor(moments)
    np.testing.assert_array_equal(mean, 0.0)
    np.testing.assert_array_equal(factor, np.eye(2))
    first = running_gaussian.update(moments, jnp.asarray(batches[0]))
    mean, _ = running_gaussian.mean_and_factor(first)
    np.testing.assert_allclose(mean, batches[0].mean(0), rtol=1e-4)  # no start at zero
    for batch in batches:
        moments = running_gaussian.update(moments, jnp.asarray(batch))
    mean, factor = running_gaussian.mean_and_factor(moments)
    covariance = np.cov(batches[-200:].reshape(-1, 2).T)
    np.testing.assert_allclose(mean, batches[-200:].mean((0, 1)), atol=0.05)
    np.testing.assert_allclose(factor @ factor.T, covariance, rtol=0.05, atol=0.02)
    exact = scipy_stats.multivariate_normal(mean, np.asarray(factor @ factor.T))
    points = jnp.asarray(batches[:3, :5])
    np.testing.assert_allclose(
        running_gaussian.log_prob(moments, points), exact.logpdf(points), rtol=1e-3
    )
    # KL against its Monte Carlo estimate.
    q_mean, deviation = jnp.array([2.0, -0.5]), jnp.array([0.3, 0.2])
    draws = q_mean[None] + deviation[None] * jax.random.normal(KEY, (200_000, 2))
    log_q = scipy_stats.norm.logpdf(draws, q_mean, deviation).sum(1)
    estimate = (log_q - exact.logpdf(np.asarray(draws))).mean()
    np.testing.assert_allclose(
        running_gaussian.kl(moments, q_mean, deviation), estimate, rtol=0.01
    )


@pytest.mark.parametrize(
    ("key", "value"), [("code_dim", -1), ("proposal_scale", 0.0), ("latent_dim", 0)]
)
def test_bad_options(make_config, key, value):
    config = make_config("infomax_vae", **{key: value})
    with pytest.raises(ConfigError, match=f"config.model.{key}"):
        objectives.check(config)
