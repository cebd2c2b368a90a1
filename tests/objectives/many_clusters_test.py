"""CatVAE and InfoCatVAE with many clusters: the topk reading, memory, evaluation."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import objectives
from infovae_jax.distributions import cluster_gaussians
from infovae_jax.errors import ConfigError
from infovae_jax.evaluation import assignments
from infovae_jax.objectives import _rao_blackwell, _readings, catvae, infocatvae

KEY = jax.random.key(0)
NUM_KEYS = 10_000


def _images(n):
    return jax.random.uniform(jax.random.key(7), (n, 4, 4, 1))


def _make(make_config, spec, name="catvae", hidden=16, **model):
    config = make_config(name, **model)
    config.network.encoder_hidden = config.network.decoder_hidden = (hidden,)
    return (infocatvae if name == "infocatvae" else catvae).make(config, spec)


@pytest.fixture
def unlike_clusters(make_config, spec):
    """`gradients(**model)`: of the reconstruction, over the keys, where c matters.

    The same parameters each time: four clusters of like probability whose
    reconstructions differ by nats.
    """

    def gradients(seed, num_keys, **model):
        objective = _make(
            make_config, spec, hidden=3, num_clusters=4, latent_dim=4, **model
        )
        params = objective.init(KEY)
        params = {
            **params,
            "posterior": jax.tree.map(lambda w: 2.0 * w, params["posterior"]),
            "decoder": jax.tree.map(lambda w: 2.0 * w, params["decoder"]),
        }
        weights = {**dict.fromkeys(objective.hparams, 0.0), "temperature": 1.0}
        weights["reconstruction"] = 1.0

        def loss(params, key):
            return objective.loss(params, _images(1), key, weights)[0]

        keys = jax.random.split(jax.random.key(seed), num_keys)
        found = jax.lax.map(
            lambda k: jax.value_and_grad(loss)(params, k), keys, batch_size=2500
        )
        rows = [
            np.asarray(leaf).reshape(num_keys, -1) for leaf in jax.tree.leaves(found)
        ]
        return np.concatenate(rows, axis=1).astype(np.float64)

    return gradients


def _z_scores(found, expected):
    """Difference of the means of two sets of draws, in its standard errors."""
    error = np.sqrt(sum(a.var(0) / len(a) for a in (found, expected)))
    # A weight behind a unit that is never active has no gradient at all.
    moving = error > 1e-9
    assert moving.mean() > 0.5
    return ((found.mean(0) - expected.mean(0))[moving] / error[moving]).round(2)


@pytest.mark.optimized
def test_every_gradient_of_topk_is_that_of_the_enumeration(
    unlike_clusters, monkeypatch
):
    exact = unlike_clusters(1, NUM_KEYS, reconstruction="exact")
    for m, samples in ((1, 1), (0, 2)):
        settings = {"top_clusters": m, "rest_samples": samples}
        found = unlike_clusters(2, NUM_KEYS, reconstruction="topk", **settings)
        assert np.abs(_z_scores(found, exact)).max() < 4.8, settings
    # The same test fails where the draw's probability carries no gradient.
    monkeypatch.setattr(
        _rao_blackwell,
        "importance_weights",
        lambda log_q, log_r: jax.lax.stop_gradient(jnp.exp(log_q - log_r)),
    )
    wrong = unlike_clusters(
        2, NUM_KEYS, reconstruction="topk", top_clusters=1, rest_samples=1
    )
    assert np.abs(_z_scores(wrong, exact)).max() > 10


@pytest.mark.long
def test_all_clusters_on_top_are_the_enumeration(unlike_clusters):
    exact = unlike_clusters(1, 3, reconstruction="exact")
    found = unlike_clusters(1, 3, reconstruction="topk", top_clusters=4, rest_samples=0)
    np.testing.assert_array_equal(found, exact)


def test_one_cluster_without_a_top_is_the_vaes_law(make_config, spec):
    """K = 1, m = 0: one draw, of the only cluster."""
    settings = {"num_clusters": 1, "latent_dim": 4, "separation": 0.0}
    exact = _make(make_config, spec, **settings)
    drawn = _make(make_config, spec, reconstruction="topk", top_clusters=0, **settings)
    params, x = exact.init(KEY), _images(1)
    keys = jax.random.split(KEY, 3000)
    losses = [
        jax.jit(jax.vmap(lambda k, o=o: o.loss(params, x, k, o.hparams)[0]))(keys)
        for o in (exact, drawn)
    ]
    error = np.hypot(*(np.std(value) for value in losses)) / np.sqrt(len(keys))
    assert abs(losses[0].mean() - losses[1].mean()) < 4 * error


@pytest.mark.parametrize("name", ["catvae", "infocatvae"])
@pytest.mark.parametrize("reading", ["topk", "soft"])
def test_no_array_of_batch_by_clusters_by_dims(make_config, spec, name, reading):
    batch, clusters = 12, 150
    model = {"num_clusters": clusters, "latent_dim": 2 * clusters}
    if name == "infocatvae":
        model |= {"clusters_per_step": 2, "draws_per_cluster": 1}
    objective = _make(make_config, spec, name, reconstruction=reading, **model)
    params = objective.init(KEY)
    program = jax.make_jaxpr(jax.grad(lambda p: objective.loss(
        p, _images(batch), KEY, objective.hparams
    )[0]))(params)  # fmt: skip
    shapes = re.findall(r"\w+\[([\d,]+)\]", str(program))
    sizes = [np.prod([int(n) for n in shape.split(",")]) for shape in shapes]
    # The largest: the table of shifts, [K, 2 d].
    assert max(sizes) <= clusters * 4 * clusters < batch * clusters * 2 * clusters


@pytest.mark.long
def test_importance_weights_of_many_clusters(make_config, spec, monkeypatch):
    """By products and cluster by cluster; and the bound is that of all clusters."""
    keys, x = jax.random.split(KEY, 1000), _images(1)[0]

    def measure(limit):
        monkeypatch.setattr(cluster_gaussians, "EXPANDED_CLUSTERS", limit)
        monkeypatch.setattr(_readings, "ENUMERATED_CLUSTERS", limit)
        objective = _make(make_config, spec, num_clusters=40, latent_dim=40)
        params = objective.init(KEY)

        @jax.jit
        def draws(keys):
            weights = jax.vmap(lambda k: objective.log_weight(params, x, k))(keys[:50])
            terms = jax.vmap(lambda k: objective.elbo(params, x, k))(keys)
            return weights, sum(terms.values())

        return *draws(keys), objective.bound_recipe

    found = [measure(limit) for limit in (32, 1000)]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    few, all_clusters = found[0][1], found[1][1]
    error = np.hypot(few.std(), all_clusters.std()) / np.sqrt(1000)
    assert abs(few.mean() - all_clusters.mean()) < 4 * error
    assert few.std() > all_clusters.std()
    assert "10 drawn from the others" in found[0][2]
    assert "each of 40 clusters" in found[1][2]


@pytest.mark.long
def test_drawing_from_some_clusters_a_step_is_unbiased(make_config, spec):
    """Re-classification of 2 of 5 clusters per step against all 5."""
    costs = []
    for number in (2, 5):
        objective = _make(
            make_config,
            spec,
            "infocatvae",
            num_clusters=5,
            latent_dim=10,
            draws_per_cluster=3,
            clusters_per_step=number,
            invariance=False,
        )
        params = objective.init(KEY)
        keys = jax.random.split(KEY, 2000)

        def cost(key, objective=objective, params=params):
            _, metrics = objective.loss(params, _images(2), key, objective.hparams)
            return metrics["term/reclassification"]

        terms = jax.jit(jax.vmap(cost))(keys)
        costs.append(np.asarray(terms, np.float64))
    error = np.hypot(costs[0].std(), costs[1].std()) / np.sqrt(2000)
    assert abs(costs[0].mean() - costs[1].mean()) < 4 * error
    assert costs[0].std() > costs[1].std()


def test_reclassification_in_parts_counts_every_sample(make_config, spec, monkeypatch):
    objective = _make(make_config, spec, num_clusters=10)
    params = objective.init(KEY)
    params["classifier"] = jax.tree.map(jnp.zeros_like, params["classifier"])
    params["classifier"]["logits"]["bias"] = 3.0 * jnp.eye(10)[4]
    monkeypatch.setattr(assignments, "MAX_SAMPLES", 7)  # 5 samples of each of 10
    found = assignments.reclassification(objective, params, KEY, 5)
    np.testing.assert_allclose(found["sample_accuracy"], 0.1)
    expected = np.log(10) + 0.3 - np.log(9 + np.exp(3))
    np.testing.assert_allclose(found["mi_bound"], expected, rtol=1e-5)


def test_bad_settings_are_named(make_config):
    for model, part in (
        ({"top_clusters": 11}, "top_clusters.*0 to 10"),
        ({"top_clusters": -1}, "top_clusters"),
        ({"top_clusters": 0, "rest_samples": 0}, "rest_samples.*at least 1"),
        ({"top_clusters": 9, "rest_samples": 0}, "1 clusters not summed.*rest_samples"),
        ({"rest_samples": -1}, "rest_samples"),
    ):
        with pytest.raises(ConfigError) as raised:
            objectives.check(make_config("catvae", reconstruction="topk", **model))
        assert re.search(part, raised.value.line()), raised.value.line()
        if min(model.values()) >= 0:  # how they fit together is not asked there
            objectives.check(make_config("catvae", reconstruction="exact", **model))
    settings = {"top_clusters": 10, "rest_samples": 0}
    objectives.check(make_config("catvae", reconstruction="topk", **settings))
    with pytest.raises(ConfigError, match="clusters_per_step"):
        objectives.check(make_config("infocatvae", clusters_per_step=0))
