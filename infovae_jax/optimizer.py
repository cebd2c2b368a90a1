"""config.optimizer -> an optax gradient transformation."""

import optax
from ml_collections import ConfigDict

from infovae_jax import schedules


def make_optimizer(
    config: ConfigDict, steps_per_epoch: int
) -> optax.GradientTransformation:
    """The optimiser of `config.optimizer`.

    Args:
      config: the sub-config `config.optimizer`.
      steps_per_epoch: turns the schedule's epochs into steps.

    Raises:
      ConfigError: the learning rate is not a valid schedule.
    """
    rate = schedules.make_schedule(
        config.learning_rate, steps_per_epoch, "config.optimizer.learning_rate"
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
