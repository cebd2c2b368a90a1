"""Information figures on codes whose value is known."""

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.evaluation import assignments
from infovae_jax.objectives import catvae


def test_cluster_information_of_certain_uncertain_and_constant_assignments():
    certain = 1e3 * jnp.tile(jnp.eye(4), (5, 1))
    found = assignments.cluster_information(certain)
    np.testing.assert_allclose(found["mutual_information"], np.log(4), rtol=1e-5)
    for logits in (jnp.zeros((20, 4)), 1e3 * jnp.eye(4)[:1].repeat(20, 0)):
        found = assignments.cluster_information(logits)
        np.testing.assert_allclose(found["mutual_information"], 0.0, atol=1e-5)
    half = jnp.array([[50.0, 50.0, 0, 0], [0, 0, 50.0, 50.0]])
    found = assignments.cluster_information(half)
    np.testing.assert_allclose(found["mutual_information"], np.log(2), rtol=1e-5)


def test_reclassification_of_an_untrained_and_a_constant_classifier(make_config, spec):
    objective = catvae.make(make_config("catvae"), spec)
    params = objective.init(jax.random.key(0))
    params["classifier"] = jax.tree.map(jnp.zeros_like, params["classifier"])
    found = assignments.reclassification(objective, params, jax.random.key(1), 20)
    np.testing.assert_allclose(found["mi_bound"], 0.0, atol=1e-5)
    np.testing.assert_allclose(found["sample_accuracy"], 0.1)
