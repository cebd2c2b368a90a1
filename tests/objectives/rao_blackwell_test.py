"""Sums over few of many clusters: unbiased in value and gradient."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax.objectives import _rao_blackwell

KEY = jax.random.key(0)
LOGITS = jnp.array([0.3, 1.5, -1.0, 0.6, -0.2, 1.0])
VALUES = jnp.array([3.0, -1.0, 2.0, 7.0, 0.5, -4.0])
NUM_KEYS = 10_000


def _estimate(key, logits, values, num_top, num_draws):
    chosen = _rao_blackwell.choose(key, logits, num_top, num_draws)
    return _rao_blackwell.estimate(chosen, values[chosen.clusters])


def _exact(logits, values):
    return jax.nn.softmax(logits) @ values


def _z_scores(num_top, num_draws):
    """(mean - truth) / standard error of the value and of each gradient."""
    keys = jax.random.split(KEY, NUM_KEYS)
    found = jax.vmap(
        lambda k: jax.value_and_grad(_estimate, (1, 2))(
            k, LOGITS, VALUES, num_top, num_draws
        )
    )(keys)
    truth = jax.value_and_grad(_exact, (0, 1))(LOGITS, VALUES)

    def score(draws, expected):
        draws = np.asarray(draws, np.float64)
        error = draws.std(0) / np.sqrt(NUM_KEYS)
        return (draws.mean(0) - np.asarray(expected)) / np.maximum(error, 1e-6)

    scores = jax.tree.map(score, found, truth)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(scores)])


@pytest.mark.optimized
@pytest.mark.parametrize(("num_top", "num_draws"), [(0, 1), (0, 3), (2, 1), (5, 2)])
def test_value_and_gradients_are_unbiased(num_top, num_draws):
    assert np.abs(_z_scores(num_top, num_draws)).max() < 4.5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda log_q, log_r: jax.lax.stop_gradient(jnp.exp(log_q - log_r)),
        lambda log_q, log_r: jnp.ones_like(log_q),
        lambda log_q, log_r: jnp.exp(log_q),
    ],
    ids=["no score function", "no weight", "not divided by the proposal"],
)
def test_a_wrong_weight_is_caught(monkeypatch, wrong):
    monkeypatch.setattr(_rao_blackwell, "importance_weights", wrong)
    assert np.abs(_z_scores(2, 1)).max() > 20


def test_the_baseline_lowers_the_variance_of_the_gradient():
    """Against the same estimator without one, where f has a large common part."""
    keys = jax.random.split(KEY, 2000)
    values = VALUES + 100.0

    def bare(logits, key):
        chosen = _rao_blackwell.choose(key, logits, 2, 1)
        weights = jnp.concatenate([chosen.top_weights, chosen.drawn_weights])
        return weights @ values[chosen.clusters]

    with_baseline = jax.vmap(jax.grad(_estimate, 1), (0, None, None, None, None))(
        keys, LOGITS, values, 2, 1
    )
    without = jax.vmap(jax.grad(bare), (None, 0))(LOGITS, keys)
    assert with_baseline.var(0).sum() < 0.05 * without.var(0).sum()


def test_top_clusters_come_first_and_draws_follow_the_rest():
    keys = jax.random.split(KEY, NUM_KEYS)
    logits = jnp.broadcast_to(LOGITS, (NUM_KEYS, 6))
    chosen = _rao_blackwell.choose(keys, logits, 2, 1)
    np.testing.assert_array_equal(
        chosen.clusters[:, :2], np.broadcast_to([1, 5], (NUM_KEYS, 2))
    )
    q = np.asarray(jax.nn.softmax(LOGITS))
    np.testing.assert_allclose(chosen.top_weights[0], q[[1, 5]], rtol=1e-6)
    np.testing.assert_allclose(chosen.rest, q[[0, 2, 3, 4]].sum(), rtol=1e-5)
    np.testing.assert_allclose(chosen.drawn_weights[:, 0], chosen.rest, rtol=1e-5)
    shares = np.bincount(chosen.clusters[:, 2], minlength=6) / NUM_KEYS
    expected = np.where(np.isin(np.arange(6), [1, 5]), 0, q) / q[[0, 2, 3, 4]].sum()
    np.testing.assert_allclose(shares, expected, atol=0.02)
    # A batch holds the numbers of its examples drawn one by one.
    one = _rao_blackwell.choose(keys[3], LOGITS, 2, 1)
    np.testing.assert_array_equal(one.clusters, chosen.clusters[3])


def test_one_cluster_is_its_value():
    def value(logits):
        return _estimate(KEY, logits, VALUES[:1], 0, 1)

    found, grad = jax.value_and_grad(value)(jnp.array([0.7]))
    np.testing.assert_allclose(found, VALUES[0], rtol=1e-6)
    np.testing.assert_allclose(grad, 0.0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_certain_assignments_stay_finite(scale):
    """The others have probability 0 in float32, and still a well-defined draw."""
    logits = scale * LOGITS
    value, grads = jax.value_and_grad(_estimate, (1, 2))(KEY, logits, VALUES, 1, 2)
    np.testing.assert_allclose(value, VALUES[1], rtol=1e-5)
    chex.assert_tree_all_finite(grads)
    chosen = _rao_blackwell.choose(KEY, logits, 1, 2)
    np.testing.assert_array_equal(chosen.clusters, [1, 5, 5])
