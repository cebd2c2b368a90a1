"""Geometry of the cluster prior."""

import chex
import jax
import numpy as np
import pytest

from infovae_jax import priors


@pytest.mark.parametrize(("k", "delta", "separation"), [(10, 2, 4.0), (3, 5, 0.5)])
def test_cluster_means_are_orthogonal_and_equidistant(k, delta, separation):
    means = np.asarray(priors.cluster_means(k, delta, separation))
    chex.assert_shape(means, (k, k * delta))
    gram = means @ means.T
    np.testing.assert_allclose(gram, separation**2 * delta * np.eye(k), atol=1e-5)
    distances = np.linalg.norm(means[:, None] - means[None], axis=-1)
    off = distances[~np.eye(k, dtype=bool)]
    np.testing.assert_allclose(off, separation * np.sqrt(2 * delta), rtol=1e-6)


def test_block_of_a_cluster_is_its_own():
    means = priors.cluster_means(3, 2, 1.0)
    np.testing.assert_array_equal(means[1], [0, 0, 1, 1, 0, 0])


@pytest.mark.parametrize(
    ("delta", "separation", "accuracy"),
    [(2, 1.0, 0.478), (2, 2.0, 0.876), (5, 2.0, 0.994)],
)
def test_best_possible_accuracy_of_prior_samples(delta, separation, accuracy):
    """With the Bayes rule, which here is the largest block sum."""
    prior = priors.clusters(10, delta, separation)
    noise = jax.random.normal(jax.random.key(0), (4000, 10, 10 * delta))
    z = prior.mean[None] + noise
    sums = z.reshape(4000, 10, 10, delta).sum(-1)
    found = (np.asarray(sums.argmax(-1)) == np.arange(10)).mean()
    assert abs(found - accuracy) < 0.008  # 3 standard errors of 40,000 draws
