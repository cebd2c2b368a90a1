"""CatVAE: its terms against loops, scipy, sampling and the VAE."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from infovae_jax import distributions, information, objectives, priors
from infovae_jax.distributions import Gaussian
from infovae_jax.errors import ConfigError
from infovae_jax.objectives import catvae, vae

KEY = jax.random.key(0)


def _images(n=6):
    return jax.random.uniform(jax.random.key(7), (n, 4, 4, 1))


def _hparams(objective, **changes):
    return {**objective.hparams, **changes}


def test_kl_per_cluster_against_a_loop_and_scipy():
    keys = jax.random.split(KEY)
    q = Gaussian(*(jax.random.normal(k, (5, 10)) for k in keys))
    prior = priors.clusters(5, 2, 3.0)
    found = catvae.kl_per_cluster(q, prior)
    loop = [
        distributions.gaussian_kl(
            Gaussian(*(a[c] for a in q)), Gaussian(*(a[c] for a in prior))
        )
        for c in range(5)
    ]
    np.testing.assert_allclose(found, jnp.stack(loop), rtol=1e-6)
    # E_q[log q - log p] = cross-entropy of two normals - entropy, from scipy's moments
    sigma = np.exp(0.5 * np.asarray(q.log_var))
    entropy = stats.norm(q.mean, sigma).entropy()
    second = sigma**2 + (np.asarray(q.mean) - np.asarray(prior.mean)) ** 2
    cross = 0.5 * np.log(2 * np.pi) + 0.5 * second
    np.testing.assert_allclose(found, (cross - entropy).sum(-1), rtol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("reading", catvae.READINGS)
def test_one_cluster_at_the_origin_is_the_vae(make_config, spec, reading):
    config = make_config("catvae", num_clusters=1, latent_dim=6, separation=0.0)
    config.model.reconstruction = reading
    config.weights.balance = 0.0
    objective = catvae.make(config, spec)
    reference = vae.make(make_config("vae", latent_dim=6), spec)
    params = objective.init(KEY)
    # The same networks; what the one-hot adds is a constant, moved into the bias.
    plain = {name: params[name] for name in ("encoder", "decoder")}
    features = params["posterior"]["features"]
    table = params["posterior"]["cluster"]["kernel"]
    bias = features["bias"] + table[0]
    plain["posterior"] = {"features": {"kernel": features["kernel"], "bias": bias}}
    x = _images()

    def cat_loss(p):
        return objective.loss(p, x, KEY, _hparams(objective))[0]

    def vae_loss(p):
        return reference.loss(p, x, KEY, _hparams(reference))[0]

    if reading == "gumbel":  # draws c before z: equal in law, not in bits
        keys = jax.random.split(KEY, 3000)
        found = jax.lax.map(
            lambda k: objective.loss(params, x, k, objective.hparams)[0], keys
        )
        expected = jax.lax.map(
            lambda k: reference.loss(plain, x, k, reference.hparams)[0], keys
        )
        error = np.hypot(found.std(), expected.std()) / np.sqrt(len(keys))
        assert abs(found.mean() - expected.mean()) < 4 * error
        return
    np.testing.assert_allclose(cat_loss(params), vae_loss(plain), rtol=1e-6)
    cat_grads, vae_grads = jax.grad(cat_loss)(params), jax.grad(vae_loss)(plain)
    for part in ("encoder", "decoder"):
        chex.assert_trees_all_close(
            cat_grads[part], vae_grads[part], atol=1e-4, rtol=1e-7
        )


def test_enumeration_is_the_mean_over_sampled_clusters(make_config, spec):
    """sum_c q(c | x) f(c) against 40,000 draws of c, for the whole reconstruction."""
    config = make_config("catvae")
    objective = catvae.make(config, spec)
    params = objective.init(KEY)
    x = _images(1)[0]
    keys = jax.random.split(jax.random.key(3), 20000)
    exact = jax.lax.map(
        lambda k: objective.elbo(params, x, k)["reconstruction"], keys, batch_size=500
    )
    logits = objective.classify(params, x)

    def sampled(key):
        key_c, key_z = jax.random.split(key)
        c = jax.random.categorical(key_c, logits)
        q = _posterior_of(objective, config, params, x, c)
        z = distributions.gaussian_sample(key_z, q)
        mean = objective.decode(params, z)
        return -(x * jnp.log(mean) + (1 - x) * jnp.log1p(-mean)).sum()

    draws = jax.lax.map(sampled, keys, batch_size=500)
    error = np.hypot(draws.std(), exact.std()) / np.sqrt(len(keys))
    assert abs(draws.mean() - exact.mean()) < 4 * error
    assert exact.std() < draws.std()  # enumeration removes the variance of c


def _posterior_of(objective, config, params, x, c):
    """q(z | x, c) from the networks themselves, not through the loss."""
    from infovae_jax import networks

    encoder, features = networks.make_encoder(config.network, x.shape)
    head = networks.make_gaussian_head(
        features, config.model.latent_dim, config.model.num_clusters
    )
    h = encoder.apply(params["encoder"], x)
    one_hot = jax.nn.one_hot(c, config.model.num_clusters)
    return Gaussian(*head.apply(params["posterior"], h, one_hot))


def test_linear_heads_average_parameters_under_the_soft_reading(make_config, spec):
    config = make_config("catvae")
    objective = catvae.make(config, spec)
    params = objective.init(KEY)
    x = _images(1)[0]
    a = jax.nn.softmax(objective.classify(params, x))
    q = jax.vmap(lambda c: _posterior_of(objective, config, params, x, c))(
        jnp.arange(10)
    )
    from infovae_jax import networks

    encoder, features = networks.make_encoder(config.network, x.shape)
    head = networks.make_gaussian_head(features, 20, 10)
    mixed = head.apply(params["posterior"], encoder.apply(params["encoder"], x), a)
    np.testing.assert_allclose(mixed[0], a @ q.mean, atol=1e-5)
    np.testing.assert_allclose(mixed[1], a @ q.log_var, atol=1e-5)


@pytest.mark.parametrize("reading", catvae.READINGS)
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_gradients_are_finite_at_extreme_logits(make_config, spec, reading, scale):
    config = make_config("catvae", reconstruction=reading)
    config.weights.temperature = 0.1
    objective = catvae.make(config, spec)
    params = objective.init(KEY)
    params["classifier"] = jax.tree.map(
        lambda w: scale * (w + 0.1), params["classifier"]
    )
    logits = objective.classify(params, _images())
    assert float(jnp.abs(logits).max()) > 1e3
    grads, metrics = jax.grad(objective.loss, has_aux=True)(
        params, _images(), KEY, objective.hparams
    )
    for name, value in metrics.items():
        assert bool(jnp.isfinite(value)), name
    chex.assert_tree_all_finite(grads)


def test_straight_through_is_one_hot_forward_and_relaxed_backward():
    logits = jnp.array([0.3, -0.2, 1.0])
    hard = catvae.relaxed_one_hot(KEY, logits, 0.7, True)
    soft = catvae.relaxed_one_hot(KEY, logits, 0.7, False)
    np.testing.assert_allclose(hard, jax.nn.one_hot(soft.argmax(), 3), atol=1e-6)
    weights = jnp.array([1.0, 2.0, -1.0])
    grads = [
        jax.grad(lambda a, s=s: weights @ catvae.relaxed_one_hot(KEY, a, 0.7, s))(
            logits
        )
        for s in (True, False)
    ]
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-6)


def test_relaxed_one_hot_picks_clusters_with_their_probability():
    logits = jnp.log(jnp.array([0.2, 0.5, 0.3]))
    keys = jax.random.split(KEY, 4000)
    draws = jax.vmap(lambda k: catvae.relaxed_one_hot(k, logits, 0.5, True))(keys)
    np.testing.assert_allclose(draws.mean(0), jnp.exp(logits), atol=0.03)


def test_balance_ends_of_its_range():
    even = 1e3 * jnp.eye(4)
    np.testing.assert_allclose(information.balance(even), 0.0, atol=1e-6)
    np.testing.assert_allclose(
        information.balance(even[:1].repeat(4, 0)), np.log(4), rtol=1e-6
    )


@pytest.mark.long
def test_permuting_clusters_leaves_the_loss_unchanged(make_config, spec):
    """Heads, logits and prior blocks together; the noise follows its cluster."""
    objective = catvae.make(make_config("catvae", num_clusters=3, latent_dim=6), spec)
    params = objective.init(KEY)
    x = _images(1)[0]
    order = jnp.array([2, 0, 1])
    dims = (order[:, None] * 2 + jnp.arange(2)[None]).reshape(-1)

    def permute(path, leaf):
        name = jax.tree_util.keystr(path)
        if "classifier" in name:
            return leaf[..., order]
        if "posterior" in name:
            leaf = leaf[order] if "cluster" in name else leaf
            return leaf[..., jnp.concatenate([dims, dims + 6])]  # means, log-variances
        if "decoder" in name and leaf.ndim == 2 and leaf.shape[0] == 6:
            return leaf[dims]
        return leaf

    permuted = jax.tree_util.tree_map_with_path(permute, params)
    keys = jax.random.split(KEY, 4000)
    for name in ("kl_z", "kl_c"):
        first, second = (objective.elbo(p, x, KEY)[name] for p in (params, permuted))
        np.testing.assert_allclose(first, second, rtol=1e-5)
    values = [
        jax.vmap(lambda k, p=p: objective.elbo(p, x, k)["reconstruction"])(keys)
        for p in (params, permuted)
    ]
    error = np.hypot(values[0].std(), values[1].std()) / np.sqrt(len(keys))
    assert abs(values[0].mean() - values[1].mean()) < 4 * error


def test_elbo_below_importance_weighted_bounds(make_config, spec):
    objective = catvae.make(make_config("catvae"), spec)
    params = objective.init(KEY)
    x = _images(1)[0]
    keys = jax.random.split(KEY, 4096)
    elbo = -jax.vmap(lambda k: sum(objective.elbo(params, x, k).values()))(keys).mean()
    log_w = jax.vmap(lambda k: objective.log_weight(params, x, k))(keys)
    iwae_1 = log_w.mean()
    iwae_64 = (jax.nn.logsumexp(log_w.reshape(-1, 64), -1) - np.log(64)).mean()
    iwae_4096 = jax.nn.logsumexp(log_w) - np.log(4096)
    # log w has the density of the mixture, the ELBO that of the pair (c, z).
    assert elbo <= iwae_1 + 0.05
    assert iwae_1 < iwae_64 < iwae_4096 + 0.05


def test_config_checks(make_config):
    for model, part in (
        ({"num_clusters": 0}, "clusters"),
        ({"latent_dim": 21}, "20 or 30"),
        ({"reconstruction": "hard"}, "exact, topk, soft, gumbel"),
        ({"separation": float("inf")}, "separation"),
        ({"head": "x"}, "linear, mlp"),
        ({"scale": 0.0}, "scale"),
    ):
        with pytest.raises(ConfigError, match=part):
            objectives.check(make_config("catvae", **model))
