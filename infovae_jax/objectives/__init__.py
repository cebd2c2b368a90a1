"""The systems, one module each, found by name."""

import importlib
import pkgutil
from types import ModuleType

from ml_collections import ConfigDict

from infovae_jax.config import knobs, sweeps
from infovae_jax.errors import unknown
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
