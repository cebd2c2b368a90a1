"""The command line's flags -> a config, with every fault named."""

import ast
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from infovae_jax.config import (
    find_config_file,
    flatten,
    groups,
    knobs,
    load_config_file,
)
from infovae_jax.errors import ConfigError, nearest

CONFIG_FLAG = "config"
_EVALUATION = "evaluation."
_DATA = "data."
# Of these a saved run may be told, as what lies there is compared with its own.
_PLACES = ("source", "data_dir", "cache_dir")


def define_config_flag() -> config_flags.config_flags._ConfigFlag:
    """Defines `--config=FILE.py[:preset]` and `--config.key=value`."""
    return config_flags.DEFINE_config_file(
        CONFIG_FLAG, None, "path to a config file, with an optional :preset"
    )


def define_mode_flags(modes: Sequence[str]) -> None:
    """Defines `--mode`, which is one of `modes`, and what the modes take."""
    flags.DEFINE_enum("mode", "train", modes, "what to do with the run")
    flags.DEFINE_string("workdir", None, "the run's folder (default: runs/...)")
    flags.DEFINE_integer(
        "num_samples", 64, "--mode=sample: how many images", lower_bound=1
    )
    flags.DEFINE_string(
        "metrics", "core", "--mode=evaluate: core, all, or groups with commas between"
    )
    flags.DEFINE_string(
        "inception", None, "--mode=evaluate: evaluation.inception of this evaluation"
    )
    flags.DEFINE_integer(
        "cluster", None, "--mode=sample: draw from this one only", lower_bound=0
    )
    flags.DEFINE_integer(
        "member", None, "other modes: this member of a population", lower_bound=0
    )


def parse_flags(
    argv: list[str],
) -> tuple[list[str], dict[str, object], dict[str, object]]:
    """Parses the command line.

    Returns:
      The arguments that are no flags; and where another mode than training is asked
      for, the values that `--config.evaluation.<key>` gives a saved run, and where its
      data lie: 'data.source', 'data.data_dir' and 'data.cache_dir' as given.

    Raises:
      ConfigError: unknown flag or key (with the nearest name), a value of the
        wrong type, or a config file that is missing, fails, or refuses its preset.
    """
    argv, config = _with_config_file(argv)
    evaluation, places = {}, {}
    mode = _mode(argv)
    if mode != "train":
        argv, texts = _take(argv, _EVALUATION)
        evaluation = _evaluation_values(texts)
        argv, texts = _take(argv, _DATA, _PLACES)
        places = {_DATA + key: text for key, text in texts.items()}
    if evaluation and mode != "evaluate":
        raise ConfigError(
            "only --mode=evaluate can change keys of a saved run",
            f"config.{_EVALUATION}{next(iter(evaluation))}",
            "leave it out",
        )
    argv, sweeps = _take(argv, "sweep.")
    argv, nones = _take_nones(argv, config)
    whole, sys.argv = sys.argv, argv  # which is what config_flags reads
    try:
        rest = flags.FLAGS(argv)
        config = flags.FLAGS[CONFIG_FLAG].value
        if config is not None:
            with config.unlocked():
                config.sweep.update(sweeps)
                config.update_from_flattened_dict(dict.fromkeys(nones))
        return rest, evaluation, places
    except flags.Error as error:
        text = str(error).split("\n")[0]
        raise ConfigError(text, "command line", "see --help") from None
    except (AttributeError, KeyError) as error:
        raise _unknown_key(argv, error) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error), "command line", "check the values") from None
    finally:
        sys.argv = whole


def _with_config_file(argv: list[str]) -> tuple[list[str], ConfigDict | None]:
    """Runs the config file once by itself, so that its faults are named.

    Returns:
      The arguments, with the file's path as it was found, and the config.
    """
    argv = list(argv)
    for position, argument in enumerate(argv):
        name, equals, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or name != CONFIG_FLAG:
            continue
        if not equals:
            value = argv.pop(position + 1) if position + 1 < len(argv) else ""
        path, colon, preset = value.partition(":")
        found = find_config_file(path)
        argv[position] = f"--{CONFIG_FLAG}={found}{colon}{preset}"
        return argv, load_config_file(f"{found}{colon}{preset}")
    return argv, None


def _mode(argv: list[str]) -> str:
    for argument, following in zip(argv, [*argv[1:], ""], strict=True):
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("-") and name == "mode":
            return value if equals else following
    return "train"


def _take(
    argv: list[str], group: str, keys: Sequence[str] | None = None
) -> tuple[list[str], dict[str, str]]:
    """Sets `--config.<group><key>=<text>` apart, of `keys` or of any."""
    prefix, rest, texts = f"{CONFIG_FLAG}.{group}", [], {}
    arguments = iter(argv)
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        key = name.removeprefix(prefix)
        ours = name.startswith(prefix) and (keys is None or key in keys)
        if argument.startswith("-") and ours:
            texts[key] = value if equals else next(arguments, "")
        else:
            rest.append(argument)
    return rest, texts


def _take_nones(argv: list[str], config) -> tuple[list[str], list[str]]:
    """Sets `--config.<key>=None` apart, of keys that may be None."""
    optional = {
        f"--{CONFIG_FLAG}.{name}.{key}=None": f"{name}.{key}"
        for name, group in groups.BY_NAME.items()
        for key in knobs.optional(group)
    }
    taken = [optional[a] for a in argv if config is not None and a in optional]
    return [a for a in argv if config is None or a not in optional], taken


def _evaluation_values(texts: dict[str, str]) -> dict[str, object]:
    """Values of `config.evaluation` from their texts, checked."""
    values = {}
    for key, text in texts.items():
        try:
            values[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            values[key] = text
    knobs.check(values, groups.Evaluation, "config.evaluation")
    return values


def _unknown_key(argv: list[str], error: Exception) -> ConfigError:
    """Finds which override names a key that the config does not have."""
    _, config = _with_config_file(argv)
    if config is not None:
        known = sorted(flatten(config))
        parents = {key.rpartition(".")[0] for key in known}
        for argument in argv:
            key = argument.lstrip("-").partition("=")[0]
            if not key.startswith(CONFIG_FLAG + "."):
                continue
            key = key[len(CONFIG_FLAG) + 1 :]
            if key not in known and key not in parents:
                return ConfigError(
                    f"unknown config.'{key}'{_nearest_key(key, known)}",
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
