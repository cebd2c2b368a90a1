"""config.optimizer -> an optax gradient transformation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from infovae_jax.config import schedules


class TracedRate(NamedTuple):
    """The learning rate as part of the optimiser's state, where it is swept."""

    learning_rate: jax.Array


def make_optimizer(
    config: ConfigDict,
    steps_per_epoch: int,
    num_epochs: int,
    traced_rate: bool = False,
) -> optax.GradientTransformation:
    """The optimiser of `config.optimizer`.

    Args:
      config: the sub-config `config.optimizer`.
      steps_per_epoch: turns the schedule's epochs into steps.
      num_epochs: of the training, which a schedule may give shares of.
      traced_rate: whether the learning rate is the state's last part, a `TracedRate`,
        so that members of a population differ in it.

    Raises:
      ConfigError: the learning rate is not a valid schedule.
    """
    if traced_rate:
        # Every optimiser here ends in a product with its rate.
        unit = ConfigDict({**config.to_dict(), "learning_rate": 1.0})
        inner = make_optimizer(unit, steps_per_epoch, num_epochs)
        return optax.chain(inner, _scale_by_traced_rate(config.learning_rate))
    rate = schedules.make_schedule(
        config.learning_rate,
        steps_per_epoch,
        "config.optimizer.learning_rate",
        num_epochs,
    )
    makers = {
        "adam": lambda: optax.adam(rate, config.b1, config.b2),
        "adamw": lambda: optax.adamw(
            rate, config.b1, config.b2, weight_decay=config.weight_decay
        ),
        "rmsprop": lambda: optax.rmsprop(rate),
        "sgd": lambda: optax.sgd(rate),
    }
    transform = makers[config.name]()
    if config.clip_norm is None:
        return transform
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), transform)


def _scale_by_traced_rate(default: float) -> optax.GradientTransformation:
    def init(params):
        del params
        return TracedRate(jnp.float32(default))

    def update(updates, state, params=None):
        del params
        scaled = jax.tree.map(lambda u: state.learning_rate * u, updates)
        return scaled, state

    return optax.GradientTransformation(init, update)
