"""The systems, one module each, found by name."""

import importlib
import pkgutil
from types import ModuleType

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference

from infovae_jax.config import knobs, sweeps
from infovae_jax.errors import unknown
from infovae_jax.objectives import _recipes
from infovae_jax.types import DataSpec, Objective


def names() -> list[str]:
    """Names of all objectives: the modules of this folder, helpers apart."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )


def load(name: str) -> ModuleType:
    """The module of the objective called `name`.

    Raises:
      ConfigError: no such objective; names the nearest and lists all.
    """
    if name not in names():
        raise unknown("objective", name, names(), "config.objective")
    return importlib.import_module(f"{__name__}.{name}")


def default_model(name: str, **changes) -> ConfigDict:
    """The knobs of an objective's `Config`, with some values changed."""
    return knobs.defaults(load(name).Config, **changes)


def default_weights(name: str, **changes) -> ConfigDict:
    """The scalars of its loss, `HPARAMS`; each is a number or a schedule."""
    values = {key: weight.default for key, weight in load(name).HPARAMS.items()}
    return ConfigDict(
        {
            key: FieldReference(value, field_type=object)
            for key, value in (values | changes).items()
        }
    )


def use(config: ConfigDict, name: str, few_pixels: bool, **options) -> ConfigDict:
    """Makes `config`, of shared knobs, one of the objective `name` by its recipe.

    Args:
      config: from `groups.default_config`; changed in place.
      name: of the objective.
      few_pixels: whether a row of the data has few numbers; see `_recipes`.
      options: of the recipe, such as `images` of InfoCatVAE's.

    Returns:
      The config.
    """
    config.objective = name
    config.model, config.weights = default_model(name), default_weights(name)
    recipe = _recipes.BY_NAME.get(name)
    if recipe is not None:
        config.update_from_flattened_dict(recipe(few_pixels, **options))
    return config


def has_few_pixels(num_values: int) -> bool:
    """Whether so many numbers a row count as few."""
    return num_values <= _recipes.FEW_PIXELS


def check(config: ConfigDict) -> None:
    """Checks `config.objective`, `model`, `weights` and `sweep`.

    Raises:
      ConfigError: unknown objective, key, or a value out of range.
    """
    module = load(config.objective)
    knobs.check(config.model, module.Config, "config.model")
    for name, value in config.weights.items():
        if name not in module.HPARAMS:
            raise unknown("key", name, module.HPARAMS, f"config.weights.{name}")
        module.HPARAMS[name].check(value, f"config.weights.{name}")
    options = module.Config(**config.model)
    if hasattr(options, "check"):
        options.check()
    sweeps.check(config, module.HPARAMS)


def make(config: ConfigDict, spec: DataSpec) -> Objective:
    """Builds `config.objective` for data of the given spec."""
    return load(config.objective).make(config, spec)
