"""MI-VAE: the bound against closed forms, and its identities."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import distributions, objectives
from infovae_jax.distributions import Gaussian
from infovae_jax.errors import ConfigError
from infovae_jax.objectives import mi_vae

KEY = jax.random.key(0)


@pytest.fixture
def x():
    return jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))


def build(make_config, spec, **model):
    objective = objectives.make(make_config("mi_vae", **model), spec)
    return objective, objective.init(KEY)


@pytest.mark.parametrize("change", [{"weight": 0.0}, {"informative_dims": 0}])
def test_without_the_term_it_is_the_vae(make_config, spec, x, change):
    weight = change.pop("weight", 1.0)
    objective, params = build(make_config, spec, **change)
    config = make_config("vae")
    config.network.activation = "softplus"
    vae = objectives.make(config, spec)
    weights = {**objective.hparams, "information": weight}
    ours = jax.value_and_grad(lambda p: objective.loss(p, x, KEY, weights)[0])(params)
    plain = jax.value_and_grad(lambda p: vae.loss(p, x, KEY, vae.hparams)[0])(params)
    chex.assert_trees_all_close(ours, plain, atol=1e-5, rtol=1e-7)


@pytest.mark.parametrize("sigma", [0.3, 1.5])
def test_bound_is_the_information_of_a_gaussian_channel(sigma):
    """x' = w z + noise with the exact posterior: I = log(1 + w^2 / sigma^2) / 2."""
    w = jnp.array([2.0, 0.5, 0.0])
    key_z, key_x = jax.random.split(KEY)
    z = jax.random.normal(key_z, (100_000, 3))
    x = w[None] * z + sigma * jax.random.normal(key_x, z.shape)
    precision = 1 + w**2 / sigma**2
    mean = x * (w / sigma**2 / precision)[None]
    q = Gaussian(mean, jnp.broadcast_to(-jnp.log(precision), mean.shape))
    exact = 0.5 * np.log(np.asarray(precision))
    bound = mi_vae.information_per_dim(q, z)
    np.testing.assert_allclose(bound, exact, atol=0.012)
    worse = mi_vae.information_per_dim(q._replace(log_var=q.log_var + 0.5), z)
    assert (np.asarray(worse) < exact).all()


def test_bound_of_an_uninformed_posterior_is_at_most_zero():
    z = jax.random.normal(KEY, (50_000, 2))
    at_prior = mi_vae.information_per_dim(Gaussian(0 * z, 0 * z), z)
    np.testing.assert_allclose(at_prior, 0, atol=0.02)
    off = mi_vae.information_per_dim(Gaussian(0 * z + 0.5, 0 * z - 1), z)
    assert (np.asarray(off) < -0.05).all()


def test_logged_bounds_are_the_parts_of_the_whole(make_config, spec, x):
    half, params = build(make_config, spec)
    whole, _ = build(make_config, spec, informative_dims=20)
    _, ours = half.loss(params, x, KEY, half.hparams)
    _, all_dims = whole.loss(params, x, KEY, whole.hparams)
    np.testing.assert_allclose(
        ours["info/mi_enforced"] + ours["info/mi_free"],
        all_dims["info/mi_enforced"],
        rtol=1e-5,
    )
    np.testing.assert_allclose(ours["term/information"], -ours["info/mi_enforced"])
    assert float(all_dims["info/mi_free"]) == 0


def test_bound_is_the_reconstruction_of_the_dual_vae():
    """z as the data, x' as the code: p(x | z) encodes, q(z | x) decodes."""
    z = jax.random.normal(KEY, (500, 3))
    q = Gaussian(0.7 * z, jnp.full_like(z, -1.0))
    dual_reconstruction = -distributions.gaussian_log_prob(q, z).mean()
    entropy = distributions.gaussian_entropy(Gaussian(jnp.zeros(3), jnp.zeros(3)))
    np.testing.assert_allclose(
        mi_vae.information_per_dim(q, z).sum(),
        entropy - dual_reconstruction,
        rtol=1e-5,
    )


@pytest.mark.parametrize("generated", mi_vae.GENERATED)
def test_free_dims_are_touched_through_the_decoder_alone(
    make_config, spec, x, generated
):
    """The bound's gradient leaves the posterior of free dims alone (MI-6)."""
    objective, params = build(make_config, spec, generated=generated)
    weights = {"reconstruction": 0.0, "kl_z": 0.0, "information": 1.0}
    gradient = jax.grad(lambda p: objective.loss(p, x, KEY, weights)[0])(params)
    head = np.asarray(gradient["posterior"]["features"]["kernel"])
    free = np.r_[0:10, 20:30]
    np.testing.assert_array_equal(head[:, free], 0.0)
    assert (np.abs(np.delete(head, free, 1)).max(0) > 0).all()
    decoder = np.asarray(gradient["decoder"]["dense_0"]["kernel"])
    assert np.abs(decoder[:10]).max() > 0


@pytest.mark.long
def test_relaxed_images_near_the_samples_at_low_temperature(make_config, spec, x):
    relaxed, params = build(make_config, spec, generated="relaxed", temperature=1e-4)
    sampled, _ = build(make_config, spec, generated="sample")
    keys = jax.random.split(KEY, 200)
    bounds = [
        jax.vmap(lambda k, o=o: o.loss(params, x, k, o.hparams)[1]["info/mi_enforced"])(
            keys
        )
        for o in (relaxed, sampled)
    ]
    error = float(jnp.hypot(bounds[0].std(), bounds[1].std())) / np.sqrt(200)
    assert abs(float(bounds[0].mean() - bounds[1].mean())) < 4 * error


def test_sampled_images_pass_the_gradient_on(make_config, spec, x):
    objective, params = build(make_config, spec, generated="sample")
    weights = {"reconstruction": 0.0, "kl_z": 0.0, "information": 1.0}
    gradient = jax.grad(lambda p: objective.loss(p, x, KEY, weights)[0])(params)
    assert float(jnp.abs(gradient["decoder"]["outputs"]["kernel"]).max()) > 0
    mean, _ = build(make_config, spec)
    a, b = (o.loss(params, x, KEY, weights)[0] for o in (objective, mean))
    assert float(a) != float(b)


@pytest.mark.parametrize(
    ("key", "value"), [("informative_dims", 21), ("generated", "means")]
)
def test_bad_options(make_config, key, value):
    with pytest.raises(ConfigError, match=f"{value}"):
        objectives.check(make_config("mi_vae", **{key: value}))
