"""Networks and priors of the caller's own, in every system that takes them."""

import chex
import flax.linen as nn  # noqa: TID251
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from infovae_jax import networks, objectives, priors
from infovae_jax.distributions import Gaussian, gaussian_kl
from infovae_jax.errors import ConfigError
from infovae_jax.types import STATISTICS, Network

KEY = jax.random.key(0)
FIXED_PRIOR = ("mi_vae", "n_vae")


class Encoder(nn.Module):
    features: int = 7

    @nn.compact
    def __call__(self, x):
        h = nn.relu(nn.Conv(3, (3, 3))(x))
        return nn.relu(nn.Dense(self.features)(h.reshape(len(h), -1)))


class Decoder(nn.Module):
    shape: tuple[int, ...] = (4, 4, 1)

    @nn.compact
    def __call__(self, z):
        return nn.Dense(int(np.prod(self.shape)))(z).reshape(len(z), *self.shape)


class Normalized(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        h = nn.Dense(6)(x.reshape(len(x), -1))
        return nn.relu(nn.BatchNorm(not train)(h))


class Counting(nn.Module):
    @nn.compact
    def __call__(self, x):
        self.variable("batch_stats", "count", jnp.zeros, ())
        return nn.Dense(3)(x.reshape(len(x), -1))


class FromNnx(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Linear(16, 16, rngs=rngs) for _ in range(2)])

    def __call__(self, x):
        h = x.reshape(len(x), -1)
        for layer in self.layers:
            h = nnx.relu(layer(h))
        return h


def laplace(latent_dim, scale=0.8):
    return priors.factorised(
        lambda z: -jnp.abs(z) / scale - jnp.log(2.0 * scale),
        lambda key, shape: scale * jax.random.laplace(key, shape),
        latent_dim,
        variance=2.0 * scale**2,
    )


@pytest.mark.long
@pytest.mark.parametrize("name", objectives.names())
def test_every_system_takes_own_networks(name, make_config, spec):
    config = make_config(name)
    objective = objectives.make(config, spec, encoder=Encoder(), decoder=Decoder())
    params = objective.init(KEY)
    assert set(params["encoder"]) == {"Conv_0", "Dense_0"}
    assert set(params["decoder"]) == {"Dense_0"}
    x = jax.random.uniform(KEY, (6, 4, 4, 1))
    loss, metrics = objective.loss(params, x, KEY, objective.hparams)
    grads = jax.grad(lambda p: objective.loss(p, x, KEY, objective.hparams)[0])(params)
    chex.assert_tree_all_finite((loss, grads))
    moved = grads["encoder"]["Conv_0"]["kernel"], grads["decoder"]["Dense_0"]["kernel"]
    assert all(float(jnp.abs(g).max()) > 0 for g in moved)
    q, one = objective.encode(params, x), objective.encode(params, x[2])
    np.testing.assert_allclose(q.mean[2], one.mean, atol=1e-5)
    assert objective.sample(KEY, params, 3).shape == (3, 4, 4, 1)
    assert all(v.shape == () for v in objective.elbo(params, x[0], KEY).values())


def test_own_parts_that_equal_the_configs_give_the_same_bits(make_config, spec):
    """The config's networks, brought as one's own."""
    config = make_config("vae")
    encoder, _ = networks.make_encoder(config.network, spec.shape)
    decoder = networks.make_decoder(config.network, spec.shape, config.model.latent_dim)
    ours = objectives.make(config, spec)
    theirs = objectives.make(config, spec, encoder=encoder, decoder=decoder)
    x = jax.random.uniform(KEY, (6, 4, 4, 1))
    losses = [o.loss(o.init(KEY), x, KEY, o.hparams)[0] for o in (ours, theirs)]
    assert losses[0] == losses[1]


def test_nnx_modules_have_parameters_with_text_keys(spec):
    network, features = networks.own_encoder(FromNnx, spec.shape)
    assert features == 16
    params = network.init(KEY)
    assert set(params["layers"]) == {"0", "1"}
    other = network.init(jax.random.key(1))
    kernels = params["layers"]["0"]["kernel"], other["layers"]["0"]["kernel"]
    assert float(jnp.abs(kernels[0] - kernels[1]).max()) > 0  # the key draws them
    x = jax.random.normal(KEY, (2, 3, 4, 4, 1))
    h = jax.jit(network.apply)(params, x)
    chex.assert_shape(h, (2, 3, 16))
    w = params["layers"]
    expected = x.reshape(2, 3, 16)
    for layer in (w["0"], w["1"]):
        expected = jax.nn.relu(expected @ layer["kernel"])
    np.testing.assert_allclose(h, expected, atol=1e-5)


def test_running_statistics_are_kept_where_there_is_a_place(make_config, spec):
    objective = objectives.make(make_config("vae"), spec, encoder=Normalized())
    params = objective.init(KEY)
    x = jax.random.uniform(KEY, (32, 4, 4, 1))
    _, metrics = objective.loss(params, x, KEY, objective.hparams)
    new = metrics["model_state"]["encoder"][STATISTICS]
    old = params["encoder"][STATISTICS]
    assert jax.tree.structure(new) == jax.tree.structure(old)
    assert any(
        (a != b).any()
        for a, b in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
    )
    for name in ("iwae", "catvae", "n_vae"):
        with pytest.raises(ConfigError, match="more than one kind of batch"):
            objectives.make(make_config(name), spec, encoder=Normalized())


@pytest.mark.parametrize("name", objectives.names())
def test_own_priors_are_in_the_loss_or_refused(name, make_config, spec):
    config = make_config(name)
    d = config.model.latent_dim
    if name in FIXED_PRIOR:
        with pytest.raises(ConfigError, match=f"'{name}' takes no prior"):
            objectives.make(config, spec, prior=laplace(d))
        return
    if "num_clusters" in config.model:
        means = jax.random.normal(KEY, (config.model.num_clusters, d))
        prior = Gaussian(means, jnp.full_like(means, -1.0))
    else:
        prior = laplace(d)
    objective = objectives.make(config, spec, prior=prior)
    params = objective.init(KEY)
    terms = objective.elbo(params, jnp.full((4, 4, 1), 0.3), KEY)
    plain = objectives.make(config, spec).elbo(params, jnp.full((4, 4, 1), 0.3), KEY)
    assert terms["kl_z"] != plain["kl_z"]
    codes = objective.sample_code(KEY, params, 4000, *([0] if means_of(prior) else []))
    own = codes[:, :d]
    deviation = np.exp(0.5 * np.broadcast_to(prior_of(prior).log_var, (d,)))
    np.testing.assert_allclose(own.std(0), deviation, rtol=0.15)


def means_of(prior):
    return isinstance(prior, Gaussian)


def prior_of(prior):
    if means_of(prior):
        return jax.tree.map(lambda a: a[0], prior)
    return prior.moments


def test_the_log_density_of_a_mixture_of_any_variances(make_config, spec):
    """Many clusters take the quick way for unit variances alone."""
    config = make_config("catvae", num_clusters=64, latent_dim=64)
    means = jax.random.normal(KEY, (64, 64))
    prior = Gaussian(means, jnp.full_like(means, -1.0))
    objective = objectives.make(config, spec, prior=prior)
    params = objective.init(KEY)
    z = jax.random.normal(KEY, (64,))
    log_p, _ = objective.log_densities(params, jnp.zeros((4, 4, 1)), z)
    variance = np.exp(-1.0)
    each = -0.5 * (
        (z[None] - means) ** 2 / variance + np.log(2 * np.pi * variance)
    ).sum(-1)
    expected = jax.nn.logsumexp(each) - np.log(64)
    np.testing.assert_allclose(log_p, expected, rtol=1e-5)


def test_the_kl_to_an_own_normal_prior_is_the_closed_one():
    def log_prob(z):
        return -0.5 * ((z - 1.0) ** 2 / 4.0 + jnp.log(8.0 * jnp.pi))

    def sample(key, shape):
        return 1.0 + 2.0 * jax.random.normal(key, shape)

    prior = priors.factorised(log_prob, sample, 3, variance=4.0, mean=1.0)
    q = Gaussian(jnp.array([[0.0, 1.0, 3.0]]), jnp.array([[0.0, -2.0, 1.0]]))
    p = Gaussian(jnp.ones((1, 3)), jnp.full((1, 3), jnp.log(4.0)))
    np.testing.assert_allclose(prior.kl(q), gaussian_kl(q, p), rtol=1e-5)
    np.testing.assert_allclose(prior.moments.mean, 1.0)


def broken(x):
    raise ValueError("no")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"encoder": 3}, "a int; encoder="),
        ({"encoder": Encoder}, "the class Encoder in place of"),
        ({"encoder": FromNnx(nnx.Rngs(0))}, "parameters of its own"),
        ({"encoder": nn.Conv(3, (3, 3))}, "it gives .4, 4, 3. for one image"),
        ({"decoder": Encoder()}, "it fails for inputs of shape"),
        ({"decoder": Decoder((4, 4, 3))}, "it gives .4, 4, 3. for one code"),
        (
            {"decoder": Network(lambda k: {}, lambda p, z: (z, z), None)},
            "a tuple in place of one array",
        ),
        (
            {"encoder": Network(lambda k: {}, lambda p, x: broken(x), None)},
            "it fails for one input",
        ),
        ({"encoder": Counting()}, "takes no argument `train`"),
        ({"prior": "normal"}, "a str in place of a priors.Prior"),
        ({"prior": laplace(3)}, "a prior over .3,., the code is .20,."),
    ],
)
def test_parts_that_do_not_fit_are_named(parts, message, make_config, spec):
    with pytest.raises(ConfigError, match=message) as found:
        objectives.make(make_config("vae"), spec, **parts)
    assert "\n" not in found.value.line()


def test_the_prior_of_clusters_has_their_shape(make_config, spec):
    prior = Gaussian(jnp.zeros((3, 20)), jnp.zeros((3, 20)))
    with pytest.raises(ConfigError, match=r"give a Gaussian \[10, 20\]"):
        objectives.make(make_config("catvae"), spec, prior=prior)
