"""Parameters of an estimator -> the resolved config of a run."""

import numbers
import re
import sys
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from sklearn.utils import check_random_state

from infovae_jax import config as config_lib
from infovae_jax import networks, objectives
from infovae_jax.config import clusters, groups, sweeps
from infovae_jax.data import batches
from infovae_jax.errors import ConfigError, nearest
from infovae_jax.training.run import Run
from infovae_jax.types import Dataset, DataSpec

# Keys that a parameter of the estimators stands for.
PARAMETERS = {
    "seed": "random_state",
    "data.source": "X",
    "data.likelihood": "likelihood",
    "data.scaling": "scaling",
    "data.columns": "columns",
    "data.missing": "missing",
    "model.latent_dim": "latent_dim",
    "model.num_clusters": "n_clusters",
    "model.class_dim": "class_dim",
    "network.kind": "network",
    "network.encoder_hidden": "hidden",
    "network.decoder_hidden": "hidden",
    "optimizer.learning_rate": "learning_rate",
    "train.batch_size": "batch_size",
    "train.num_epochs": "epochs",
}
# Groups and keys of a run that its estimator has besides; the others are of its data,
# of its folder or of its evaluation.
_GROUPS = ("model", "network", "optimizer", "weights")
_KEYS = (
    *("data.levels", "data.binarize", "data.image_size"),
    *("train.precision", "train.labelled_batch_size"),
)
# Optimiser steps that the default number of epochs amounts to, and its limits.
STEPS, MIN_EPOCHS, MAX_EPOCHS = 2000, 20, 500
_SMALL_HIDDEN = (256, 256)
# Numbers in an example above which a step costs so much that there are fewer of them,
# of smaller batches; and rows below which its networks are small.
LARGE, _LARGE_BATCH, _FEW_ROWS = 1024, 128, 5000
_LARGEST_BATCH = 1024
# Keys that mean nothing, or something else, where X is given: what to use instead.
_OF_PARAMETERS = {
    "objective": "choose the class",
    "data.source": "give X",
    "data.columns": "give columns",
    "data.missing": "give missing",
    "data.label_column": "give X without it",
    "data.test_fraction": "give early_stopping and validation_fraction",
    "data.num_train": "give fewer rows",
    "data.labels_per_class": "give y with -1 for unknown",
}


def seed_of(random_state: Any) -> int:
    """The seed of a run: an integer itself, else a draw.

    Raises:
      ValueError: no random state.
    """
    if isinstance(random_state, int | np.integer):
        if not 0 <= random_state <= groups.MAX_SEED:
            raise ConfigError(
                f"{random_state} is no seed",
                "random_state",
                f"give an integer from 0 to {groups.MAX_SEED}",
            )
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def table_batch_size(default: int, num_examples: int) -> int:
    """Of tables of mixed columns: of many rows a hundredth, a power of two of them."""
    return max(
        default, min(_LARGEST_BATCH, 1 << (num_examples // 100).bit_length() - 1)
    )


def batch_size_of(asked: int | None, default: int, num_examples: int) -> int:
    """What was asked for, else the recipe's; of few rows the power of two below."""
    return batches.fitting(default, num_examples) if asked is None else asked


def epochs_of(asked: int | None, steps_per_epoch: int, num_values: int) -> int:
    """What was asked for, else about STEPS steps; of large x as many fewer."""
    if asked is not None:
        return asked
    steps = STEPS * min(1.0, LARGE / num_values)
    return min(max(round(steps / steps_per_epoch), MIN_EPOCHS), MAX_EPOCHS)


def hidden_of(
    default: tuple[int, ...], num_values: int, num_examples: int
) -> tuple[int, ...]:
    """The recipe's dense layers; small ones of small x, and of few rows of large x."""
    if num_values > LARGE:
        return _SMALL_HIDDEN if num_examples < _FEW_ROWS else default
    return _SMALL_HIDDEN if objectives.has_few_pixels(num_values) else default


def _recipe_options(
    name: str, shape: tuple[int, int, int], columns: bool
) -> tuple[bool, dict[str, Any]]:
    """What the recipe of an objective wants to know: whether x is small, and more."""
    few = objectives.has_few_pixels(int(np.prod(shape)))
    if name != "infocatvae":
        return few, {}
    return few, {"images": min(shape[:2]) > 1, "columns": columns}


def in_python(text: str) -> str:
    """A message of the command line with the estimators' parameters for its keys."""
    text = re.sub(r"\buse --\S+, or ", "", text)
    kinds = r"\b(?:config\.)?data\.columns='([^'=]*)=(\w+)'"
    text = re.sub(kinds, r"columns={'\1': '\2'}", text)
    keys = "|".join(map(re.escape, PARAMETERS))
    text = re.sub(
        rf"(?<![\w.'])(config\.)?({keys})\b(?![.\w])",
        lambda found: (
            found[0] if found[2] == "seed" and not found[1] else PARAMETERS[found[2]]
        ),
        text,
    )
    text = re.sub(r"\bconfig\.weights\.(\w+)", r"weights={'\1': ...}", text)
    # Without 'config.' it may be the name of a file.
    key = rf"(?:{'|'.join(groups.BY_NAME)})\.\w+"
    return re.sub(
        rf"\b(?:config\.(\w+\.\w+)|(?<=set )({key})|({key})(?=='))(?:=('\w*'))?",
        lambda found: (
            f"config={{'{found[1] or found[2] or found[3]}': {found[4] or '...'}}}"
        ),
        text,
    )


def whole(value: Any, name: str, at_least: int, at_most: int | None = None) -> int:
    """An argument of a method that is to be an integer.

    Raises:
      ValueError: it is none, or out of range.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < at_least or (at_most is not None and value > at_most):
        to = f"of at least {at_least}"
        if at_most is not None:
            to = f"from {at_least} to {at_most}"
        raise ValueError(f"{name}={value!r}: give an integer {to}")
    return int(value)


def kind_of(encoder: Any, decoder: Any, base: str) -> str:
    """`config.network.kind`, in this process, of an estimator's networks."""
    if (encoder is None and decoder is None) or base not in list(networks.KINDS):
        return base
    return networks.kind_of(encoder, decoder, base)


def resolve(
    estimator: Any,
    shape: tuple[int, int, int],
    num_examples: int,
    seed: int,
    is_table: bool = False,
    columns: bool = False,
) -> ConfigDict:
    """The config of the run that an estimator's parameters ask for.

    Args:
      estimator: with the parameters of `estimator.BaseVAE`.
      shape: `(H, W, C)` of an example.
      num_examples: in training.
      seed: of the run.
      is_table: whether the rows are those of a table of mixed columns.
      columns: whether the numbers of a row have scales of their own.

    Raises:
      ConfigError: an unknown key of `config` or `weights`, or a value of another type.
    """
    name, num_values = estimator.objective, int(np.prod(shape))
    config = groups.default_config("estimator")
    few, options = _recipe_options(name, shape, columns)
    objectives.use(config, name, few, **options)
    default = config.train.batch_size
    if num_values > LARGE:
        default = min(default, _LARGE_BATCH)
    if is_table and num_examples >= 100:
        default = table_batch_size(default, num_examples)
        # Rows are small, and the work of starting a program is not.
        _at_least(config.evaluation, "batch_size", 2 * default)
    batch_size = plain(batch_size_of(estimator.batch_size, default, num_examples))
    sized = type(batch_size) is int and batch_size > 0
    steps_per_epoch = max(1, num_examples // batch_size) if sized else 1
    epochs = epochs_of(estimator.epochs, steps_per_epoch, num_values)
    _at_most(config.model, "neighbours_count", num_examples - 1)
    before = clusters.sizes(config.model)
    hidden = plain(estimator.hidden)
    if hidden is None:
        hidden = hidden_of(config.network.encoder_hidden, num_values, num_examples)
    changes = {
        "seed": seed,
        "data.source": "arrays",
        "data.likelihood": estimator.likelihood,
        "data.scaling": estimator.scaling,
        "network.kind": kind_of(
            estimator.encoder, estimator.decoder, estimator.network
        ),
        "network.encoder_hidden": hidden,
        "network.decoder_hidden": hidden[::-1] if type(hidden) is tuple else hidden,
        "optimizer.learning_rate": (
            config.optimizer.learning_rate
            if estimator.learning_rate is None
            else estimator.learning_rate
        ),
        "train.batch_size": batch_size,
        "train.num_epochs": epochs,
        "train.hang_seconds": 0,
        **{key: v for key, v in estimator.own_keys().items() if v is not None},
        **{f"weights.{key}": v for key, v in (estimator.weights or {}).items()},
        **(estimator.config or {}),
    }
    for key, instead in _OF_PARAMETERS.items():
        if key in (estimator.config or {}):
            what, where = "an estimator does not look at it", f"config={{'{key}': ...}}"
            raise ConfigError(what, where, instead)
    _apply(config, changes, type(estimator).__name__)
    clusters.fit(config.model, before, changes)
    if sweeps.is_population(config):
        raise ConfigError(
            "an estimator is one run",
            "config of num_seeds or sweep",
            "give n_seeds, or search with GridSearchCV",
        )
    # Through JSON and back, as the command line does: equal runs see equal values.
    return config_lib.from_json(config_lib.to_json(config))


def parameters_of(
    system: type, config: ConfigDict, shape: tuple[int, int, int], columns: bool
) -> dict[str, Any]:
    """Parameters by which `resolve` gives what a run was trained by: its inverse.

    Such that `model`, `network`, `optimizer` and `weights` are the run's, its length
    and batches, and of `data` what is no matter of where they came from. What the
    recipe gives is left to it. How X is looked at (`columns`, `missing`, `scaling`) is
    told by the run's scheme and scaling, not by its config.

    Args:
      system: the class of the estimator.
      config: resolved, of a single run.
      shape: `(H, W, C)` of an example.
      columns: whether the numbers of a row have scales of their own.
    """
    flat, own = config_lib.flatten(config), system().get_params(deep=False)
    found = {"random_state": config.seed, "hidden": config.network.encoder_hidden}
    for key, name in PARAMETERS.items():
        if key in flat and name in own and not key.startswith("data."):
            found.setdefault(name, flat[key])
    found["likelihood"] = config.data.likelihood
    if "n_clusters" in own:
        found.pop("latent_dim")  # follows their number, where nothing else is asked for
    given = shape, sys.maxsize, config.seed, False, columns
    recipe = config_lib.flatten(resolve(system(**found), *given))
    other = {
        key: value
        for key, value in flat.items()
        if (key.partition(".")[0] in _GROUPS or key in _KEYS)
        and recipe.get(key) != value
    }
    if "model.latent_dim" in other:
        found["latent_dim"] = other.pop("model.latent_dim")
    weights = {key: other.pop(key) for key in [*other] if key.startswith("weights.")}
    weights = {key.removeprefix("weights."): value for key, value in weights.items()}
    return found | {"weights": weights or None, "config": other or None}


def _apply(config: ConfigDict, changes: dict[str, Any], whose: str) -> None:
    """Sets keys; raises what `resolve` says of those that cannot be."""
    known = config_lib.flatten(config)
    for key, value in changes.items():
        if key not in known:
            raise ConfigError(
                f"unknown key '{key}'{nearest(str(key), known)}",
                f"config or weights of {whose}",
                "see docs/reference.md for all keys",
            )
        try:
            config.update_from_flattened_dict({key: plain(value)})
        except (TypeError, ValueError) as error:
            _check_value(config, key, plain(value))
            raise ConfigError(str(error), key, "give a value of that type") from None


def _check_value(config: ConfigDict, key: str, value: Any) -> None:
    """Raises what the checks of a run say of a value that is of another type."""
    loose = ConfigDict(config.to_dict(), type_safe=False)
    loose.update_from_flattened_dict({key: value})
    config_lib.check(loose)
    objectives.check(loose)


def _at_most(model: ConfigDict, key: str, limit: int) -> None:
    """A default that is meant for more rows, as far as there are some."""
    if key in model and limit > 0:
        model[key] = min(model[key], limit)


def _at_least(group: ConfigDict, key: str, limit: int) -> None:
    """Raises a number that is below."""
    group[key] = max(group[key], limit)


def plain(value: Any) -> Any:
    """NumPy's numbers and lists, which a grid search gives, as Python's and tuples."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(plain(item) for item in value)
    return value


def make_run(
    config_json: str, spec: DataSpec, networks: tuple[Any, Any, str] = (None, None, "")
) -> Run:
    """A run without data, whose objective and programs are shared.

    Args:
      config_json: resolved.
      spec: of the data.
      networks: encoder and decoder of one's own, or None, and the kind of the rest;
        the first two have another name in each process.
    """
    config = config_lib.from_json(config_json)
    if networks[:2] != (None, None):
        config.network.kind = kind_of(*networks)
    empty = np.zeros((0, *spec.shape), spec.dtype)
    dataset = Dataset(empty, None, empty, None, spec, (), "")
    run = Run(config, dataset, None, None, 0, shares=True)
    objective = run.kept("objective", lambda: objectives.make(config, spec))
    return run._replace(objective=objective)
