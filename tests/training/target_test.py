"""A term held at a target by a multiplier of the state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infovae_jax import objectives
from infovae_jax.config import schedules
from infovae_jax.errors import ConfigError
from infovae_jax.training import train_step

KEY = jax.random.key(0)


def test_multiplier_moves_with_the_sign_of_the_excess():
    targets = {"kl_z": schedules.Target(8.0, 0.1)}
    hparams = {"kl_z": jnp.float32(2.0), "reconstruction": jnp.float32(1.0)}
    for term, change in ((8.0, 1.0), (12.0, np.exp(0.05)), (800.0, np.exp(0.1))):
        metrics = {"term/kl_z": jnp.float32(term)}
        after = train_step.multipliers_after(hparams, targets, metrics)
        np.testing.assert_allclose(after["kl_z"], 2.0 * change, rtol=1e-6)
        assert after["reconstruction"] == 1.0
    below = train_step.multipliers_after(
        hparams, targets, {"term/kl_z": jnp.float32(0.0)}
    )
    assert 0 < float(below["kl_z"]) < 2.0


@pytest.mark.long
@pytest.mark.parametrize("target", [0.5, 3.0])
def test_training_holds_the_rate(make_config, spec, target):
    config = make_config("vae", latent_dim=4)
    config.weights.kl_z = f"target({target})"
    objectives.check(config)
    objective = objectives.make(config, spec)
    assert objective.hparams["kl_z"] == 1.0
    optimizer = optax.adam(3e-3)
    state = train_step.init_train_state(objective, optimizer, 0)
    assert train_step.make_schedules(config.weights, 10, 1) == {}
    step = train_step.make_train_step(
        objective, optimizer, {}, targets=train_step.make_targets(config.weights)
    )
    # Images of four levels of light: more to say than the target allows.
    light = jax.random.randint(KEY, (64, 2), 0, 4) / 3.0
    x = jnp.repeat(jnp.repeat(light, 2, 1)[:, :, None, None], 4, 2)
    run = jax.jit(train_step.make_multi_step(step))
    indices = jnp.tile(jnp.arange(64), (3000, 1))
    state, _ = run(state, x, indices)
    state, means = run(state, x, indices[:300])
    np.testing.assert_allclose(means["term/kl_z"], target, rtol=0.05)
    assert float(state.hparams["kl_z"]) != 1.0


@pytest.mark.parametrize("text", ["target()", "target(0)", "target(8, 0)", "target(x)"])
def test_bad_targets(make_config, text):
    config = make_config("vae")
    config.weights.kl_z = text
    with pytest.raises(ConfigError, match=r"config\.weights\.kl_z"):
        objectives.check(config)


def test_only_terms_have_targets(make_config):
    config = make_config("catvae")
    config.weights.temperature = "target(1)"
    with pytest.raises(ConfigError, match="temperature"):
        objectives.check(config)
    with pytest.raises(ConfigError, match="term of the loss"):
        schedules.check("target(1)", "config.optimizer.learning_rate")
