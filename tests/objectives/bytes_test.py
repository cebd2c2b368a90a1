"""Bytes, as data are stored, mean what training sees of them."""

import chex
import jax
import numpy as np
import pytest

from infovae_jax import objectives
from infovae_jax.types import Batch


@pytest.mark.parametrize("name", ["vae", "catvae", "n_vae"])
def test_functions_of_an_objective_take_bytes(make_config, spec, name):
    objective = objectives.make(make_config(name), spec)
    params = objective.init(jax.random.key(0))
    stored = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1)).astype(np.uint8)
    values, key = stored.astype(np.float32) / 255, jax.random.key(1)

    def batch(x):
        return Batch(x, np.arange(6)) if objective.uses_labels else x

    functions = {
        "encode": lambda x: objective.encode(params, x),
        "elbo": lambda x: objective.elbo(params, x[0], key),
        "log_weight": lambda x: objective.log_weight(params, x[0], key),
        "loss": lambda x: objective.loss(params, batch(x), key, objective.hparams)[0],
    }
    if objective.classify is not None:
        functions["classify"] = lambda x: objective.classify(params, x)
    for function in functions.values():
        chex.assert_trees_all_close(
            function(stored), function(values), rtol=1e-4, atol=1e-6
        )
