"""The systems, one module each, found by name; one's own by path or entry point."""

import dataclasses
import importlib
import importlib.metadata
import inspect
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference

from infovae_jax.config import knobs, sweeps, user_code
from infovae_jax.errors import ConfigError, unknown
from infovae_jax.objectives import _recipes
from infovae_jax.types import DataSpec, Objective, Own

# Group of entry points under which a package offers objectives: name -> module.
ENTRY_POINTS = "infovae_jax.objectives"
_KEY = "config.objective"
_CONTRACT = "an objective has HPARAMS, Config and make: docs/howto/own_objective.md"


def names() -> list[str]:
    """Names of all objectives: the modules of this folder, helpers apart."""
    return sorted(
        module.name
        for module in pkgutil.iter_modules(__path__)
        if not module.name.startswith("_")
    )


def load(name: str) -> ModuleType:
    """The module of the objective called `name`.

    Args:
      name: of a module of this folder; of an entry point of the group
        'infovae_jax.objectives'; or a dotted path, `my_package.my_objective`.

    Raises:
      ConfigError: no such objective (names the nearest and lists all); its module
        cannot be imported, or lacks a part of the contract.
    """
    if name in names():
        return importlib.import_module(f"{__name__}.{name}")
    offered = importlib.metadata.entry_points(group=ENTRY_POINTS)
    path = next((found.value for found in offered if found.name == name), name)
    if "." not in path and path == name:
        raise unknown("objective", name, [*names(), *offered.names], _KEY)
    module = _import(path)
    _check_contract(module, path)
    return module


def _import(path: str) -> ModuleType:
    if not all(part.isidentifier() for part in path.split(".")):
        what = f"'{path[:80]}' is no path of a module"
        raise ConfigError(what, _KEY, "give it as my_package.my_objective")
    try:
        with user_code(f"the objective {path}", "mend the module"):
            return importlib.import_module(path)
    except ModuleNotFoundError as error:
        what = f"no module '{error.name}'"
        if not f"{path}.".startswith(f"{error.name}."):
            what += f", which {path} imports"
        fix = "install it, or name its folder in PYTHONPATH"
        raise ConfigError(what, f"{_KEY}={path}", fix) from None


def _check_contract(module: ModuleType, path: str) -> None:
    """Raises ConfigError unless the module has all that an objective is read for."""
    weights, group = getattr(module, "HPARAMS", None), getattr(module, "Config", None)
    faults = {
        "no HPARAMS, a dict of name -> Weight": not isinstance(weights, dict)
        or not all(isinstance(w, knobs.Weight) for w in weights.values()),
        "no Config, a dataclass of knobs": not dataclasses.is_dataclass(group)
        or not all(map(knobs.is_knob, dataclasses.fields(group))),
        "no function make(config, spec)": not callable(getattr(module, "make", None)),
    }
    for what, is_fault in faults.items():
        if is_fault:
            raise ConfigError(what, f"{_KEY}={path}", _CONTRACT)


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


def recast(config: ConfigDict, name: str, texts: Mapping[str, object]) -> None:
    """Makes `config` one of another objective, with the defaults of its module.

    Args:
      config: changed in place.
      name: of the objective.
      texts: values in place of defaults, by 'model.<key>' and 'weights.<key>'.

    Raises:
      ConfigError: no such objective or key, or a value that it does not take.
    """
    module = load(name)
    config.objective = name
    config.model, config.weights = default_model(name), default_weights(name)
    known = {"model": knobs.declared(module.Config), "weights": module.HPARAMS}
    for full, value in texts.items():
        group, _, key = full.partition(".")
        if key not in known[group]:
            raise unknown("key", key, known[group], f"config.{full}")
        if group == "model":
            knobs.check({key: value}, module.Config, "config.model")
        config[group][key] = value


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


def make(
    config: ConfigDict,
    spec: DataSpec,
    encoder: Any = None,
    decoder: Any = None,
    prior: Any = None,
) -> Objective:
    """Builds `config.objective` for data of the given spec.

    Args:
      config: resolved.
      spec: of the data.
      encoder: in place of the config's, see `types.Own`.
      decoder: likewise.
      prior: likewise.

    Raises:
      ConfigError: one of the caller's parts does not fit the system or the data.
    """
    own, module = Own(encoder, decoder, prior), load(config.objective)
    if own == Own():
        return module.make(config, spec)
    if len(inspect.signature(module.make).parameters) < 3:
        what = f"'{config.objective}' takes no parts of one's own"
        fix = "give its make a third argument, types.Own"
        raise ConfigError(what, "encoder=, decoder=, prior=", fix)
    return module.make(config, spec, own)
