"""InfoCatVAE: the re-classification and invariance terms."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import objectives, priors
from infovae_jax.errors import ConfigError
from infovae_jax.objectives import (
    _invariance,
    _virtual_adversarial,
    catvae,
    infocatvae,
)
from infovae_jax.objectives._terms import divergence_of_change

KEY = jax.random.key(0)
LABELS = jnp.repeat(jnp.arange(10), 3)


def _images(n=6):
    return jax.random.uniform(jax.random.key(7), (n, 4, 4, 1))


def _terms(objective, params, **changes):
    hparams = {**objective.hparams, **changes}
    return objective.loss(params, _images(), KEY, hparams)[1]


@pytest.mark.long
def test_zero_weights_give_the_catvae_with_the_same_key(make_config, spec):
    config = make_config("infocatvae")
    config.weights.reclassification = 0.0
    objective = infocatvae.make(config, spec)
    plain_config = make_config("catvae")
    plain_config.network = config.network
    for group in ("model", "weights"):
        for name in plain_config[group]:
            plain_config[group][name] = config[group][name]
    plain = catvae.make(plain_config, spec)
    params = objective.init(KEY)

    def loss(chosen):
        return lambda p: chosen.loss(p, _images(), KEY, chosen.hparams)[0]

    np.testing.assert_allclose(loss(objective)(params), loss(plain)(params), rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        jax.grad(loss(objective))(params),
        jax.grad(loss(plain))(params),
    )


def test_uniform_logits_cost_log_k_and_double_softmax_has_its_floor():
    flat = infocatvae.reclassification_loss(jnp.zeros((30, 10)), LABELS)
    np.testing.assert_allclose(flat, np.log(10), rtol=1e-6)
    right = 1e4 * jax.nn.one_hot(LABELS, 10)
    np.testing.assert_allclose(infocatvae.reclassification_loss(right, LABELS), 0.0)
    double = infocatvae.reclassification_loss(right, LABELS, double_softmax=True)
    np.testing.assert_allclose(double, 1.46115, atol=1e-5)


@pytest.mark.parametrize("separation", [1.0, 2.0])
def test_bayes_logits_reach_the_entropy_of_c_given_z(separation):
    """An encoder that sees z through an identity decoder; spec of the prior, K = 10."""
    prior = priors.clusters(10, 2, separation)
    labels = jnp.repeat(jnp.arange(10), 4000)
    z = prior.mean[labels] + jax.random.normal(KEY, (labels.size, 20))
    cost = infocatvae.reclassification_loss(z @ prior.mean.T, labels)
    expected = {1.0: 1.514, 2.0: 0.371}[separation]
    assert abs(cost - expected) < 0.015


def test_relabelling_clusters_leaves_the_cost_unchanged():
    logits = jax.random.normal(KEY, (30, 10))
    order = jax.random.permutation(jax.random.key(1), 10)
    inverse = jnp.argsort(order)
    first = infocatvae.reclassification_loss(logits, LABELS)
    second = infocatvae.reclassification_loss(logits[:, order], inverse[LABELS])
    np.testing.assert_allclose(first, second, rtol=1e-6)


@pytest.mark.long
def test_gradient_reaches_both_networks_unless_stopped(make_config, spec):
    for stop, silent in (
        ("none", None),
        ("decoder", "decoder"),
        ("encoder", "encoder"),
    ):
        options = {"stop_gradient": stop, "trunk": "shared", "logits_scale": 1.0}
        config = make_config("infocatvae", invariance=False, **options)
        objective = infocatvae.make(config, spec)
        params = objective.init(KEY)
        zero = dict.fromkeys(objective.hparams, 0.0)
        hparams = {**zero, "reclassification": 1.0, "temperature": 1.0}
        grads = jax.grad(
            lambda p, o=objective, h=hparams: o.loss(p, _images(), KEY, h)[0]
        )(params)
        for part in ("encoder", "decoder"):
            size = sum(float(jnp.abs(g).sum()) for g in jax.tree.leaves(grads[part]))
            assert (size == 0.0) == (part == silent), (stop, part, size)


def test_draws_are_stratified_and_bounded(make_config, spec):
    """The bound log K - CE never exceeds log K and matches the logged cost."""
    objective = infocatvae.make(make_config("infocatvae"), spec)
    params = objective.init(KEY)
    metrics = _terms(objective, params)
    np.testing.assert_allclose(
        metrics["info/mi_bound"],
        np.log(10) - metrics["term/reclassification"],
        rtol=1e-6,
        atol=1e-6,  # of the two numbers whose difference it is
    )
    assert metrics["info/mi_bound"] <= np.log(10)
    # 100 draws: the accuracy is a whole number of hundredths
    hundredths = 100 * float(metrics["info/sample_accuracy"])
    assert abs(hundredths - round(hundredths)) < 1e-3


def test_nearest_distances_against_scipy():
    from scipy.spatial import distance

    x = _images(9)
    table = distance.cdist(*(np.asarray(x).reshape(9, -1),) * 2)
    np.fill_diagonal(table, np.inf)
    found = _virtual_adversarial.nearest_distances(x)
    np.testing.assert_allclose(found, table.min(-1), rtol=1e-4)
    twins = _virtual_adversarial.nearest_distances(jnp.concatenate([x, x]))
    np.testing.assert_allclose(twins, 0.0, atol=2e-3)


@pytest.mark.long
def test_adversarial_changes_have_their_radii_and_beat_random_ones():
    weights = jax.random.normal(KEY, (16, 3))

    def classify(x):
        return x.reshape(len(x), -1) @ weights

    x, radii = _images(5), jnp.linspace(0.05, 0.2, 5)
    logits = classify(x)
    changes = _virtual_adversarial.adversarial_changes(
        classify, x, logits, KEY, radii, 1.0
    )
    lengths = jnp.linalg.norm(changes.reshape(5, -1), axis=-1)
    np.testing.assert_allclose(lengths, radii, rtol=1e-5)

    def divergences(changes):
        return divergence_of_change(logits, classify(x + changes))

    noise = jax.random.normal(jax.random.key(5), (200, 5, 16))
    noise *= radii[None, :, None] / jnp.linalg.norm(noise, axis=-1, keepdims=True)
    others = jax.vmap(divergences)(noise.reshape(200, *x.shape))
    assert (divergences(changes) > jnp.quantile(others, 0.95, axis=0)).all()


def test_adversarial_changes_of_a_constant_classifier_are_finite():
    changes = _virtual_adversarial.adversarial_changes(
        lambda x: jnp.zeros((2, 3)),
        _images(2),
        jnp.zeros((2, 3)),
        KEY,
        jnp.full(2, 0.1),
        10.0,
    )
    np.testing.assert_array_equal(changes, 0.0)


def test_invariance_is_zero_for_a_constant_classifier_and_positive_else(
    make_config, spec
):
    objective = infocatvae.make(make_config("infocatvae"), spec)
    params = objective.init(KEY)
    assert _terms(objective, params)["term/invariance"] > 0
    params["classifier"] = jax.tree.map(jnp.zeros_like, params["classifier"])
    np.testing.assert_allclose(
        _terms(objective, params)["term/invariance"], 0.0, atol=1e-6
    )


def test_noise_hides_a_category_as_it_hides_a_number():
    """Numbers by their spread; what is 0 or 1 alone by more; constants not at all."""
    rng = np.random.default_rng(0)
    columns = [7 * rng.normal(size=4000), rng.random(4000) < 0.2, np.zeros(4000)]
    batch = np.stack(columns, 1).astype(np.float32).reshape(4000, 1, 3, 1)
    options = types.SimpleNamespace(noise_scale=0.5)
    given = None, None, batch, None, jax.random.key(0), options
    added = np.asarray(_invariance.noisy(*given)) - batch
    np.testing.assert_allclose(added.std(0).ravel(), [3.5, 1.0, 0.0], rtol=0.05)


def test_config_checks(make_config):
    for model, part in (
        ({"draws_per_cluster": 0}, "draws_per_cluster"),
        ({"stop_gradient": "encoders"}, "did you mean 'encoder'"),
        ({"invariance_radius": 0.0}, "invariance_radius"),
        ({"num_clusters": 0}, "clusters"),
    ):
        with pytest.raises(ConfigError, match=part):
            objectives.check(make_config("infocatvae", **model))
