"""Config files and saved configs -> one checked ConfigDict; JSON out and in.

A saved run is read back from its resolved JSON; only `train` executes a config
file, the one named on the command line.
"""

import contextlib
import json
import os
import pathlib
import sys
import traceback
import types
from collections.abc import Iterator

from ml_collections import ConfigDict, FrozenConfigDict

from infovae_jax.config import groups, knobs
from infovae_jax.errors import ConfigError, nearest, unknown


def packaged_configs() -> pathlib.Path:
    """The folder of the package's own configs: in a wheel inside it, else beside it."""
    package = pathlib.Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def find_config_file(name: str) -> pathlib.Path:
    """The config file of that name: from here, or else one of the package's own.

    Those may be called `configs/vae.py`, `vae.py` or `vae`.

    Raises:
      ConfigError: there is none; says where was looked.
    """
    own, plain = packaged_configs(), pathlib.Path(name)
    short = plain.name if plain.parent.name in ("", "configs") else name
    found = [plain, own / short, own / f"{short}.py"]
    if len(plain.parts) > 2:
        found = [plain]
    for path in found:
        if os.path.isfile(path):  # of a name that is too long it says no
            return path
    options = [p.stem for p in own.glob("*.py") if p.stem != "base"]
    near = nearest(plain.stem or name, options)
    raise ConfigError(
        f"no config file{near}",
        f"--config={name}, in {pathlib.Path.cwd()} and {own}",
        f"name a file, or one of {', '.join(sorted(options))}",
    )


def load_config_file(path_and_preset: str) -> ConfigDict:
    """The config that `FILE.py[:preset]` returns, before any override.

    Raises:
      ConfigError: the file is missing, has no `get_config`, fails (with the line),
        refuses its preset, or returns something else.
    """
    name, _, preset = path_and_preset.partition(":")
    path = find_config_file(name)
    namespace = {"__name__": "config", "__file__": str(path)}
    folder = str(path.resolve().parent)
    # A config imports `base` from its own folder, as config_flags arranges too.
    sys.path.insert(0, folder)
    try:
        code = _compiled(path)
        with user_code("the config", "mend the file or the preset", missing_too=True):
            exec(code, namespace)
            get_config = namespace.get("get_config")
            if get_config is None:
                raise ConfigError(
                    "no function get_config()",
                    str(path),
                    "define it, as in configs/vae.py",
                )
            config = get_config(preset) if preset else get_config()
    finally:
        sys.path.remove(folder)
    _require_config(config, str(path))
    return config


def _compiled(path: pathlib.Path) -> types.CodeType:
    """The program in a file.

    Raises:
      ConfigError: it is none; names the line where Python tells it.
    """
    try:
        return compile(path.read_bytes(), str(path), "exec")
    except SyntaxError as error:
        where = f"{path}:{error.lineno}" if error.lineno else str(path)
        raise ConfigError(f"syntax error: {error.msg}", where, "mend it") from None
    except (ValueError, OSError, RecursionError, MemoryError) as error:
        raise ConfigError(f"no Python ({error})", str(path), "mend it") from None


@contextlib.contextmanager
def user_code(whose: str, fix: str, missing_too: bool = False) -> Iterator[None]:
    """Around what runs a user's own file: its faults as errors in one line.

    Args:
      whose: 'the config', say.
      fix: what to do.
      missing_too: whether a module that cannot be found is such a fault.

    Raises:
      ConfigError: it failed, with file and line; ModuleNotFoundError else.
    """
    try:
        yield
    except ConfigError:
        raise
    except SyntaxError as error:
        where = f"{error.filename}:{error.lineno}"
        raise ConfigError(f"syntax error: {error.msg}", where, "mend it") from None
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and not missing_too:
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}:{frame.lineno}"
        what = f"{whose} raised {type(error).__name__}: {error}"
        raise ConfigError(what, where, fix) from None


def _require_config(config: object, where: str) -> None:
    # A frozen one takes no override.
    if not isinstance(config, ConfigDict) or isinstance(config, FrozenConfigDict):
        raise ConfigError(
            f"the config is a {type(config).__name__}",
            where,
            "return a ConfigDict built on configs/base.py",
        )


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
      ConfigError: a key that is missing or unknown, or a value of another type or out
        of its range; names the key.
    """
    _require_config(config, "config")
    there = config.to_dict()
    for name in (*groups.BY_NAME, "sweep", "model", "weights"):
        if not isinstance(there.get(name), dict):
            raise ConfigError(
                f"no group '{name}'", "config", "build it on configs/base.py"
            )
    known = {*knobs.declared(groups.Run), *groups.BY_NAME, "sweep", "model", "weights"}
    for name in config:
        if name not in known:
            raise unknown("key", name, known, f"config.{name}")
    shared = {"": groups.Run, **groups.BY_NAME}
    for name, group in shared.items():
        where = f"config.{name}" if name else "config"
        values = config[name] if name else config
        for key in knobs.declared(group):
            if key not in values:
                raise ConfigError(
                    f"no '{key}'",
                    where,
                    "build it on configs/base.py, or use the version that made it",
                )
        own = {key: values[key] for key in values if name or key in groups.RUN_KEYS}
        knobs.check(own, group, where)
    if config.seed + config.num_seeds - 1 > groups.MAX_SEED:
        raise ConfigError(
            f"seeds {config.seed} to {config.seed + config.num_seeds - 1}",
            "config.seed",
            f"give at most {groups.MAX_SEED} with config.num_seeds",
        )


def to_json(config: ConfigDict) -> str:
    """The resolved config as JSON text (tuples become lists).

    Raises:
      ConfigError: a value that JSON does not hold.
    """

    def refuse(value):
        flat = flatten(config)
        key = next((k for k, v in flat.items() if v is value), "")
        raise ConfigError(
            f"a value of type {type(value).__name__}",
            f"config.{key}",
            "use numbers, texts, True, False, None and tuples of them",
        )

    try:
        text = json.dumps(config.to_dict(), indent=2, sort_keys=True, default=refuse)
    except (TypeError, ValueError, RecursionError) as error:  # a key, or a circle
        what = f"a config that cannot be stored ({error})"
        raise ConfigError(what, "config", "use names and plain values") from None
    return text + "\n"


def from_json(text: str) -> ConfigDict:
    """A ConfigDict from `to_json`; lists become tuples again.

    Raises:
      ValueError: the text is no JSON of a config.
    """

    def restore(value):
        if isinstance(value, dict):
            return {key: restore(item) for key, item in value.items()}
        return (
            tuple(restore(item) for item in value) if isinstance(value, list) else value
        )

    try:
        values = restore(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError(f"a {type(values).__name__} in place of groups of keys")
    # Types are loose from here on: a weight may be a number or a text.
    return ConfigDict(values, type_safe=False)


def difference(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Lines `key: old -> new` for every key that differs."""
    old_flat, new_flat = flatten(old), flatten(new)
    return [
        f"{key}: {old_flat.get(key, 'absent')} -> {new_flat.get(key, 'absent')}"
        for key in sorted(old_flat.keys() | new_flat.keys())
        if key not in old_flat or key not in new_flat or old_flat[key] != new_flat[key]
    ]
