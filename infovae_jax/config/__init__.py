"""Command line and config files -> one checked ConfigDict; JSON out and in.

A saved run is read back from its resolved JSON; only `train` executes a config
file, the one named on the command line.
"""

import json
import pathlib
import sys
import traceback

from absl import flags
from ml_collections import ConfigDict, config_flags

from infovae_jax.config import schedules
from infovae_jax.errors import ConfigError, nearest
from infovae_jax.types import LIKELIHOODS

CONFIG_FLAG = "config"

# Every key of configs/base.py, by group; a config without one is of another version.
KEYS = {
    "": "num_seeds objective preset seed",
    "data": (
        "binarize cache_dir data_dir image_size labels_per_class levels likelihood "
        "num_train source split_seed stream test_fraction"
    ),
    "evaluation": (
        "batch_size inception inception_samples inception_sha256 nll_examples "
        "nll_samples plane samples_per_cluster seed"
    ),
    "network": (
        "activation conv_channels conv_form conv_hidden conv_kernel decoder_hidden "
        "encoder_hidden initializer kind normalization"
    ),
    "optimizer": "b1 b2 clip_norm learning_rate name weight_decay",
    "population": "chunk strategy validation",
    "train": (
        "batch_size checkpoint_every eval_every hang_seconds keep_checkpoints "
        "labelled_batch_size log_every num_devices num_epochs precision shard_params"
    ),
}


def define_config_flag() -> config_flags.config_flags._ConfigFlag:
    """Defines `--config=FILE.py[:preset]` and `--config.key=value`."""
    return config_flags.DEFINE_config_file(
        CONFIG_FLAG, None, "path to a config file, with an optional :preset"
    )


def parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line; for `absl.app.run(flags_parser=...)`.

    Raises:
      ConfigError: unknown flag or key (with the nearest name), a value of the
        wrong type, or a config file that is missing, fails, or refuses its preset.
    """
    _check_config_file(argv)
    argv, sweeps = _take_sweeps(argv)
    whole, sys.argv = sys.argv, argv  # which is what config_flags reads
    try:
        rest = flags.FLAGS(argv)
        config = flags.FLAGS[CONFIG_FLAG].value
        if config is not None and sweeps:
            with config.unlocked():
                config.sweep.update(sweeps)
        return rest
    except flags.Error as error:
        text = str(error).split("\n")[0]
        raise ConfigError(text, "command line", "see --help") from None
    except (AttributeError, KeyError) as error:
        raise _unknown_key(argv, error) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error), "command line", "check the values") from None
    finally:
        sys.argv = whole


def _take_sweeps(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """Sets `--config.sweep.<key>=<text>` apart: no config file lists these keys."""
    prefix, rest, sweeps = f"{CONFIG_FLAG}.sweep.", [], {}
    arguments = iter(argv)
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name.startswith(prefix):
            key = name.removeprefix(prefix)
            sweeps[key] = value if equals else next(arguments, "")
        else:
            rest.append(argument)
    return rest, sweeps


def _check_config_file(argv: list[str]) -> None:
    """Runs the config file once by itself, so that its faults are named."""
    for position, argument in enumerate(argv):
        name, _, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name != CONFIG_FLAG:
            continue
        if not value:
            value = argv[position + 1] if position + 1 < len(argv) else ""
        load_config_file(value)


def load_config_file(path_and_preset: str) -> ConfigDict:
    """The config that `FILE.py[:preset]` returns, before any override.

    Raises:
      ConfigError: the file is missing, has no `get_config`, fails (with the line),
        or refuses its preset.
    """
    name, _, preset = path_and_preset.partition(":")
    path = pathlib.Path(name)
    if not path.is_file():
        options = [str(p) for p in pathlib.Path("configs").glob("*.py")]
        hint = nearest(name, options)
        raise ConfigError(
            f"no config file{hint}", f"--config={name}", "name a file in configs/"
        )
    namespace = {"__name__": "config", "__file__": str(path)}
    folder = str(path.resolve().parent)
    # A config imports `base` from its own folder, as config_flags arranges too.
    sys.path.insert(0, folder)
    try:
        exec(compile(path.read_text(), str(path), "exec"), namespace)
        get_config = namespace.get("get_config")
        if get_config is None:
            raise ConfigError(
                "no function get_config()", str(path), "define it, as in configs/vae.py"
            )
        return get_config(preset) if preset else get_config()
    except ConfigError:
        raise
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        raise ConfigError(f"syntax error: {error.msg}", where, "mend it") from None
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}:{frame.lineno}"
        what = f"the config raised {type(error).__name__}: {error}"
        raise ConfigError(what, where, "mend the file or the preset") from None
    finally:
        sys.path.remove(folder)


def _unknown_key(argv: list[str], error: Exception) -> ConfigError:
    """Finds which override names a key that the config does not have."""
    config_argument = next(
        (a.partition("=")[2] for a in argv if a.lstrip("-").startswith("config=")), None
    )
    if config_argument:
        config = load_config_file(config_argument)
        known = sorted(flatten(config))
        groups = {key.rpartition(".")[0] for key in known}
        for argument in argv:
            key = argument.lstrip("-").partition("=")[0]
            if not key.startswith(CONFIG_FLAG + "."):
                continue
            key = key[len(CONFIG_FLAG) + 1 :]
            if key not in known and key not in groups:
                return ConfigError(
                    f"unknown config key '{key}'{_nearest_key(key, known)}",
                    f"--config.{key}",
                    "see configs/base.py for the keys",
                )
    return ConfigError(str(error), "command line", "check the keys of --config.*")


def _nearest_key(key: str, known: list[str]) -> str:
    """Nearest full key; a last part that matches exactly wins ('lr' excepted)."""
    last = key.rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    aliases = {"lr": "optimizer.learning_rate", "epochs": "train.num_epochs"}
    match = same[0] if same else aliases.get(last)
    return f" (did you mean '{match}'?)" if match else nearest(key, known)


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, object]:
    """Nested keys as one dict, 'data.source' and so on."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def check(config: ConfigDict) -> None:
    """Checks all that can be checked before the data are read.

    Raises:
      ConfigError: a value out of its range; names the key.
    """
    known = ("objective", "data", "network", "optimizer", "train", "evaluation")
    for group in (*known, "population", "sweep", "model", "weights", "seed"):
        if group not in config:
            raise ConfigError(f"no '{group}'", "config", "build it on configs/base.py")
    flat = flatten(config)
    for group, names in KEYS.items():
        for name in names.split():
            key = f"{group}.{name}".removeprefix(".")
            if key not in flat:
                raise ConfigError(
                    f"no '{key}'",
                    "config",
                    "build it on configs/base.py, or use the version that made it",
                )
    integers = {
        "train.batch_size": 1,
        "train.labelled_batch_size": 1,
        "data.levels": 2,
        "train.num_epochs": 1,
        "train.log_every": 0,
        "train.eval_every": 1,
        "train.checkpoint_every": 1,
        "train.keep_checkpoints": 1,
        "train.num_devices": 0,
        "train.hang_seconds": 0,
        "evaluation.batch_size": 1,
        "evaluation.inception_samples": 2,
        "evaluation.nll_samples": 1,
        "evaluation.nll_examples": 0,
        "evaluation.samples_per_cluster": 1,
        "population.chunk": 1,
        "num_seeds": 1,
        "seed": 0,
    }
    for key, minimum in integers.items():
        if flat[key] < minimum:
            raise ConfigError(
                f"{flat[key]} is too small", f"config.{key}", f"at least {minimum}"
            )
    for key, value in flatten(config.network).items():
        sizes = value if isinstance(value, tuple) else (value,)
        least = 0 if key == "conv_hidden" else 1
        if any(isinstance(size, int) and size < least for size in sizes):
            raise ConfigError(
                f"{value} holds a size below {least}",
                f"config.network.{key}",
                f"at least {least}",
            )
    _choice(config.optimizer, "name", ("adam", "adamw", "rmsprop", "sgd"), "optimizer")
    _choice(config.data, "likelihood", LIKELIHOODS, "data")
    per_class = config.data.labels_per_class
    if per_class is not None and per_class < 0:
        raise ConfigError(
            f"{per_class} labels a class",
            "config.data.labels_per_class",
            "at least 0, or None for all",
        )
    _choice(config.data, "binarize", ("none", "threshold", "stochastic"), "data")
    _choice(config.train, "precision", ("float32", "bfloat16"), "train")
    _check_learning_rate(config.optimizer)
    strategies = ("auto", "vmap", "scan", "chunks")
    _choice(config.population, "strategy", strategies, "population")
    if not 0 <= config.population.validation < 1:
        raise ConfigError(
            f"{config.population.validation} is no share",
            "config.population.validation",
            "at least 0 and below 1",
        )


def _check_learning_rate(optimizer: ConfigDict) -> None:
    where = "config.optimizer.learning_rate"
    schedules.check(optimizer.learning_rate, where, minimum=0.0)
    if optimizer.learning_rate == 0:
        raise ConfigError("0 is no learning rate", where, "give one above 0")
    clip = optimizer.clip_norm
    if clip is not None and not (schedules.is_constant(clip) and clip > 0):
        raise ConfigError(
            f"{clip} is no norm",
            "config.optimizer.clip_norm",
            "a number above 0, or None",
        )


def _choice(group: ConfigDict, key: str, options: tuple[str, ...], name: str) -> None:
    if group[key] not in options:
        raise ConfigError(
            f"unknown value '{group[key]}'{nearest(str(group[key]), options)}",
            f"config.{name}.{key}",
            f"use one of {', '.join(options)}",
        )


def to_json(config: ConfigDict) -> str:
    """The resolved config as JSON text (tuples become lists)."""
    return json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> ConfigDict:
    """A ConfigDict from `to_json`; lists become tuples again."""

    def restore(value):
        if isinstance(value, dict):
            return {key: restore(item) for key, item in value.items()}
        return (
            tuple(restore(item) for item in value) if isinstance(value, list) else value
        )

    # Types are loose from here on: a weight may be a number or a text.
    return ConfigDict(restore(json.loads(text)), type_safe=False)


def difference(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Lines `key: old -> new` for every key that differs."""
    old_flat, new_flat = flatten(old), flatten(new)
    return [
        f"{key}: {old_flat.get(key, 'absent')} -> {new_flat.get(key, 'absent')}"
        for key in sorted(old_flat.keys() | new_flat.keys())
        if key not in old_flat or key not in new_flat or old_flat[key] != new_flat[key]
    ]
