"""IWAE: the VAE at k = 1, and a bound that tightens."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import distributions, objectives
from infovae_jax.errors import ConfigError
from infovae_jax.objectives import iwae

KEY = jax.random.key(0)


@pytest.fixture
def x():
    return jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))


def build(make_config, spec, num_samples):
    return objectives.make(make_config("iwae", num_samples=num_samples), spec)


def test_one_sample_is_the_vae(make_config, spec, x):
    ours, vae = build(make_config, spec, 1), objectives.make(make_config("vae"), spec)
    params = ours.init(KEY)
    pairs = [
        jax.value_and_grad(lambda p, o=o: o.loss(p, x, KEY, o.hparams)[0])(params)
        for o in (ours, vae)
    ]
    # Gradients are sums of terms of order 1, which the two programs may add in another
    # order: one rounding of such a term stays where they cancel.
    chex.assert_trees_all_close(*pairs, rtol=1e-6, atol=np.finfo(np.float32).eps)


def test_tightening_by_hand_and_its_sign():
    log_w = jnp.log(jnp.array([[1.0, 3.0], [2.0, 2.0]]))
    by_hand = [0.5 * np.log(3.0) - np.log(2.0), 0.0]
    np.testing.assert_allclose(iwae.tightening(log_w), by_hand, atol=1e-6)
    wild = 50 * jax.random.normal(KEY, (100, 7))
    assert float(iwae.tightening(wild).max()) <= 1e-5
    np.testing.assert_array_equal(iwae.tightening(wild[:, :1]), 0.0)


@pytest.mark.long
def test_bound_rises_with_the_number_of_samples(make_config, spec, x):
    """Same parameters, means over 400 keys; the gaps exceed the noise."""
    params = build(make_config, spec, 1).init(KEY)
    # A posterior that is off by far, so that samples pay.
    bias = params["posterior"]["features"]["bias"]
    params["posterior"]["features"]["bias"] = bias.at[:20].add(0.7)
    keys = jax.random.split(KEY, 400)
    losses = []
    for k in (1, 2, 8, 32):
        objective = build(make_config, spec, k)
        losses.append(
            jax.vmap(lambda key, o=objective: o.loss(params, x, key, o.hparams)[0])(
                keys
            )
        )
    means = np.array([float(loss.mean()) for loss in losses])
    errors = np.array([float(loss.std()) for loss in losses]) / np.sqrt(len(keys))
    assert (np.diff(means) < -3 * np.hypot(errors[1:], errors[:-1])).all()


@pytest.mark.long
def test_loss_is_the_importance_weighted_bound_of_its_own_samples(make_config, spec, x):
    """loss + log mean w is the closed-form KL minus its estimate, of mean zero."""
    k = 4
    objective = build(make_config, spec, k)
    params = objective.init(KEY)
    q = objective.encode(params, x)
    standard = distributions.Gaussian(jnp.zeros(1), jnp.zeros(1))

    def difference(key):
        _, metrics = objective.loss(params, x, key, objective.hparams)
        keys = jax.random.split(key, len(x))
        noise = [jax.vmap(lambda a: jax.random.normal(a, (20,)))(keys)]
        for s in range(1, k):
            later = jax.vmap(jax.random.fold_in, (0, None))(keys, s)
            noise.append(jax.vmap(lambda a: jax.random.normal(a, (20,)))(later))
        each = jax.tree.map(lambda a: jnp.stack([a] * k), q)
        z = each.mean + jnp.exp(0.5 * each.log_var) * jnp.stack(noise)
        log_q = distributions.gaussian_log_prob(each, z)
        ratio = (log_q - distributions.gaussian_log_prob(standard, z)).mean()
        # sum of the terms with the estimate in place of the closed form
        estimate = metrics["loss"] - metrics["term/kl_z"] + ratio
        return estimate, metrics["term/kl_z"] - ratio

    bound, gap = jax.vmap(difference)(jax.random.split(KEY, 300))
    chex.assert_tree_all_finite(bound)
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / np.sqrt(300)
    log_w = jax.vmap(lambda key: objective.log_weight(params, x[0], key))(
        jax.random.split(KEY, 4000)
    )
    evidence = jax.nn.logsumexp(log_w) - np.log(4000)
    one = jax.vmap(
        lambda key: objective.loss(params, x[:1], key, objective.hparams)[0]
    )(jax.random.split(KEY, 300))
    assert -float(one.mean()) < float(evidence) + 4 * float(one.std()) / np.sqrt(300)


def test_no_samples_are_refused(make_config):
    config = make_config("iwae", num_samples=0)
    with pytest.raises(ConfigError, match="num_samples"):
        objectives.check(config)
