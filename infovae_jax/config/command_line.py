"""The command line's flags -> a config, with every fault named."""

import ast
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

import infovae_jax
from infovae_jax.config import (
    clusters,
    find_config_file,
    flatten,
    from_json,
    groups,
    knobs,
    load_config_file,
    packaged_configs,
    to_json,
)
from infovae_jax.errors import ConfigError, nearest

CONFIG_FLAG = "config"
_EVALUATION = "evaluation."
_DATA = "data."
# Of these a saved run may be told, as what lies there is compared with its own.
_PLACES = ("source", "data_dir", "cache_dir")
_GROUPS = (*groups.BY_NAME, "model", "weights", "sweep")
# What others call a key.
ALIASES = {
    **dict.fromkeys(("lr", "learning_rate", "eta"), "optimizer.learning_rate"),
    **dict.fromkeys(("epochs", "max_epochs", "n_epochs"), "train.num_epochs"),
    **dict.fromkeys(("batch", "bs", "batchsize", "batch_size"), "train.batch_size"),
    **dict.fromkeys(("k", "clusters", "n_clusters", "c_dim"), "model.num_clusters"),
    **dict.fromkeys(
        ("d", "z_dim", "latent", "latent_dims", "latent_size", "code_size"),
        "model.latent_dim",
    ),
    **dict.fromkeys(("beta", "kl", "kl_weight"), "weights.kl_z"),
    **dict.fromkeys(("dataset", "path", "file", "input"), "data.source"),
    **dict.fromkeys(("random_state", "random_seed"), "seed"),
    **dict.fromkeys(("seeds", "n_seeds"), "num_seeds"),
    **dict.fromkeys(("hidden", "layers", "hidden_dims"), "network.encoder_hidden"),
    **dict.fromkeys(("dtype", "fp16", "bf16"), "train.precision"),
}
_BUT = "but for config.evaluation in --mode=evaluate, and where its data lie"
# Modes that take images of one's own and show what the model makes of them.
OF_IMAGES = ("reconstruct", "interpolate", "traverse")
_OF_NEW_DATA = ("encode", "predict", "evaluate", *OF_IMAGES)
# Flags that only some modes look at.
_OF_MODES = {
    "input": _OF_NEW_DATA,
    "output": (*_OF_NEW_DATA, "export"),
    "num_samples": ("sample", *OF_IMAGES),
    "cluster": ("sample",),
    "metrics": ("evaluate",),
    "inception": ("evaluate",),
    "formats": ("export",),
}


def define_config_flag() -> config_flags.config_flags._ConfigFlag:
    """Defines `--config=FILE.py[:preset]` and `--config.key=value`."""
    return config_flags.DEFINE_config_file(
        CONFIG_FLAG, None, "a config file or the name of a packaged one, and :preset"
    )


def define_mode_flags(modes: Sequence[str]) -> None:
    """Defines `--mode`, which is one of `modes`, and what the modes take."""
    flags.DEFINE_enum("mode", "train", modes, "what to do with the run")
    flags.DEFINE_string("workdir", None, "the run's folder (default: runs/...)")
    flags.DEFINE_string(
        "input", None, f"{', '.join(_OF_NEW_DATA)}: new data, a file or a folder"
    )
    flags.DEFINE_integer(
        "num_samples",
        64,
        f"sample: how many images; {', '.join(OF_IMAGES)}: at most, of the input",
        lower_bound=1,
        upper_bound=10**6,
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
    flags.DEFINE_string(
        "output",
        None,
        "encode, predict, evaluate: .csv, .parquet or .npz of rows; "
        f"{', '.join(OF_IMAGES)}: .png or .npz; export: a folder",
    )
    flags.DEFINE_list(
        "formats", [], "--mode=export: stablehlo, onnx, beside what NumPy runs"
    )
    flags.DEFINE_integer(
        "member", None, "other modes: this member of a population", lower_bound=0
    )


def answer(argv: list[str], usage: str) -> bool:
    """Prints what `--help`, `-h`, `--helpfull` or `--version` ask for.

    `usage`: what the command does, in words.

    Returns:
      Whether one of them was there.
    """
    asked = {a.lstrip("-") for a in argv[1:] if a.startswith("-")}
    if "version" in asked:
        print(f"infovae_jax {infovae_jax.__version__}")
        return True
    if not asked & {"help", "h", "helpfull", "helpshort"}:
        return False
    print(f"{usage.strip()}\n\nFlags:")
    for module, found in sorted(flags.FLAGS.flags_by_module_dict().items()):
        if module.startswith("absl"):
            continue
        for flag in found:
            default = "" if flag.default is None else f" (default: {flag.default})"
            print(f"  --{flag.name}: {flag.help}{default}")
    if "helpfull" in asked:
        print("\nKeys of --config.KEY=VALUE that all runs share:")
        for name, group in {"": groups.Run, **groups.BY_NAME}.items():
            values = knobs.defaults(group)
            for key, declared in knobs.declared(group).items():
                full = f"{name}.{key}" if name else key
                print(f"  {full}: {declared.meaning} (default: {values[key]!r})")
        print("\nThose of an objective, and its weights: docs/reference.md")
    else:
        print("\n--helpfull lists the keys of --config.KEY=VALUE, too.")
    return True


def unexpected(argument: str) -> ConfigError:
    """The error of an argument that is no flag."""
    fix = "flags start with --"
    if argument.partition(":")[0].endswith(".py"):
        fix = f"write --config={argument}"
    elif argument.startswith(tuple(f"{name}." for name in _GROUPS)):
        fix = f"write --{CONFIG_FLAG}.{argument}"
    elif "=" in argument:
        fix = f"write --{argument}"
    return ConfigError(f"unexpected argument '{argument}'", "command line", fix)


def parse_flags(
    argv: list[str], recast: Callable[[ConfigDict, str, dict[str, object]], None]
) -> tuple[list[str], dict[str, object], dict[str, object]]:
    """Parses the command line.

    Args:
      argv: as of the process.
      recast: `objectives.recast`, where another objective than the file's is named.

    Returns:
      The arguments that are no flags; and where another mode than training is asked
      for, the values that `--config.evaluation.<key>` gives a saved run, and where its
      data lie: 'data.source', 'data.data_dir' and 'data.cache_dir' as given.

    Raises:
      ConfigError: unknown flag or key (with the nearest name), a value of the
        wrong type, or a config file that is missing, fails, or refuses its preset.
    """
    argv, config = _with_config_file(argv)
    before = None if config is None else clusters.sizes(config.get("model", {}))
    evaluation, places = {}, {}
    mode = _mode(argv)
    if mode != "train":
        argv, texts = _take(argv, _EVALUATION)
        evaluation = _evaluation_values(texts)
        argv, texts = _take(argv, _DATA, _PLACES)
        places = {_DATA + key: text for key, text in texts.items()}
    named = [] if mode == "train" else _named_keys(argv)
    _check_modes(argv, mode)
    if evaluation and mode != "evaluate":
        raise ConfigError(
            "only --mode=evaluate can change keys of a saved run",
            f"config.{_EVALUATION}{next(iter(evaluation))}",
            "leave it out",
        )
    argv, sweeps = _take(argv, "sweep.")
    argv, objective, own = _take_objective(argv, config)
    argv, nones = _take_nones(argv, config)
    whole, sys.argv = sys.argv, argv  # which is what config_flags reads
    try:
        rest = flags.FLAGS(argv)
        _fill_in_home()
        config = flags.FLAGS[CONFIG_FLAG].value
        if config is not None:
            with config.unlocked():
                config.sweep.update(sweeps)
                config.update_from_flattened_dict(dict.fromkeys(nones))
                if objective is not None:
                    recast(config, objective, own)
                elif told := clusters.fit(config.model, before, _named_keys(argv)):
                    print(told)
        if mode == "evaluate" and flags.FLAGS.inception is not None:
            evaluation["inception"] = flags.FLAGS.inception
        if config is not None:
            _require_same(config, named)
        return rest, evaluation, places
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(error, config, mode) from None
    except flags.Error as error:
        text = str(error).split("\n")[0]
        # Python's words for a text that is no number.
        text = re.sub(r"invalid literal for int\(\).*", "not an integer", text)
        text = re.sub(r"could not convert string to float.*", "not a number", text)
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
        if not colon and _of_table(argv) and _is_packaged(found):
            preset = "table"
        chosen = f"{found}:{preset}" if preset else str(found)
        argv[position] = f"--{CONFIG_FLAG}={chosen}"
        return argv, load_config_file(chosen)
    return argv, None


def _named_keys(argv: list[str]) -> list[str]:
    """The keys that `--config.<key>=<text>` name."""
    names = (a.lstrip("-").partition("=")[0] for a in argv if a.startswith("-"))
    prefix = f"{CONFIG_FLAG}."
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def may_fit_batch() -> bool:
    """Whether the command leaves it to the data how large a batch is at most."""
    return "train.batch_size" not in _named_keys(sys.argv)


def _require_same(config: ConfigDict, named: list[str]) -> None:
    """Raises ConfigError where a key that is named has another value in a saved run."""
    path = pathlib.Path(flags.FLAGS.workdir or "") / "config.json"
    try:
        saved = flatten(from_json(path.read_text()))
    except (OSError, ValueError):
        return  # said where the run is opened
    given = flatten(from_json(to_json(config)))
    for key in named:
        if key in saved and saved[key] != given.get(key, saved[key]):
            raise ConfigError(
                f"the run has {saved[key]!r}, not {given[key]!r}",
                f"--{CONFIG_FLAG}.{key}",
                f"leave it out: a saved run keeps its values, {_BUT}",
            )


def _is_packaged(path: pathlib.Path) -> bool:
    """Whether a config file is one that knows the preset 'table'."""
    return path.resolve().parent == packaged_configs().resolve()


def _check_modes(argv: list[str], mode: str) -> None:
    """Refuses a flag that the mode does not look at."""
    given = {a.lstrip("-").partition("=")[0] for a in argv[1:] if a.startswith("-")}
    for name, modes in _OF_MODES.items():
        if name in given and mode not in modes:
            raise ConfigError(
                f"--mode={mode} takes no --{name}",
                "command line",
                f"leave it out, or use --mode={', '.join(modes)}",
            )
    if mode == "evaluate" and "output" in given and "input" not in given:
        raise ConfigError(
            "--output of an evaluation is of new data",
            "command line",
            "name them by --input, or leave it out",
        )


def _fill_in_home() -> None:
    """`~` in the flags that name files: after an = no shell does it."""
    for name in ("workdir", "input", "output"):
        value = flags.FLAGS[name].value
        if value is not None:
            flags.FLAGS[name].value = os.path.expanduser(value)


def _of_table(argv: list[str]) -> bool:
    """Whether the data are named on the command line, and are a table."""
    prefix = f"{CONFIG_FLAG}.data.source="
    named = [a.lstrip("-") for a in argv if a.lstrip("-").startswith(prefix)]
    return bool(named) and named[-1].lower().endswith(groups.TABLES)


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


def _take_objective(
    argv: list[str], config: ConfigDict | None
) -> tuple[list[str], str | None, dict[str, object]]:
    """Sets the name of another objective than the file's apart, and its own keys."""
    rest, texts = _take(argv, "objective")
    name = texts.get("")
    if config is None or name in (None, config.objective):
        return argv, None, {}
    values = {}
    for group in ("model.", "weights."):
        rest, texts = _take(rest, group)
        values |= {group + key: _value(text) for key, text in texts.items()}
    return rest, name, values


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
    values = {key: _value(text) for key, text in texts.items()}
    knobs.check(values, groups.Evaluation, "config.evaluation")
    return values


def _value(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _unknown_flag(error: flags.UnrecognizedFlagError, config, mode: str) -> ConfigError:
    """A flag that there is not, with the key or the flag that may be meant."""
    if config is None and error.flagname.startswith(f"{CONFIG_FLAG}."):
        if mode == "train":
            fix = "e.g. --config=infocatvae"
            return ConfigError("no --config", f"--{error.flagname}", fix)
        fix = f"leave it out: a saved run keeps its values, {_BUT}"
        what = f"a key with --mode={mode}"
        return ConfigError(what, f"--{error.flagname}", fix)
    name, what = error.flagname, f"unknown flag '--{error.flagname}'"
    known = sorted(flatten(config)) if config is not None else []
    key = _meant(name, known)
    if key:
        return ConfigError(what, "command line", f"write --{CONFIG_FLAG}.{key}=...")
    own = [flag for flag in flags.FLAGS if not flag.startswith(f"{CONFIG_FLAG}.")]
    meant = nearest(f"--{name}", [f"--{flag}" for flag in own])
    return ConfigError(f"{what}{meant}", "command line", "see --help")


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
                    f"unknown key '{key}'{_nearest_key(key, known)}",
                    f"--config.{key}",
                    "--helpfull and docs/reference.md list the keys",
                )
    return ConfigError(str(error), "command line", "check the keys of --config.*")


def _nearest_key(key: str, known: list[str]) -> str:
    """Nearest full key; a last part that matches exactly wins ('lr' excepted)."""
    match = _meant(key, known)
    return f" (did you mean '{match}'?)" if match else nearest(key, known)


def _meant(key: str, known: list[str]) -> str | None:
    """The key of that last part, or of what the field calls so; else None."""
    last = key.rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    match = ALIASES.get(last.lower())
    return match if match in known else next(iter(same), None)
