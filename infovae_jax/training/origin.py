"""Whether a run's folder was made by this user, who then named its files himself.

The config of a folder from someone else may name any file here as its data. A run that
is trained here gets a mark, which only who has the key of this user can make: a
message authentication code of the places that the config names. A copy of the folder
keeps it; without it, whoever reads the run names the places on the command line.
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import secrets
from collections.abc import Mapping

from ml_collections import ConfigDict

from infovae_jax.config import sealed
from infovae_jax.data import cache, sources
from infovae_jax.errors import ConfigError
from infovae_jax.training import files

MARK = "made_here.json"
_CODE = "code"
_KEY_BYTES = 32


def places(config: ConfigDict) -> dict[str, str]:
    """Keys of a config by which data are read from this machine, and their values."""
    found = {
        "data.source": sources.is_path(config.data.source) and config.data.source,
        "data.data_dir": config.data.data_dir,
        "data.cache_dir": config.data.cache_dir,
    }
    return {key: str(value) for key, value in found.items() if value}


def mark(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Notes in a run's folder that its places were named here.

    Does nothing where the user has no folder for a key.
    """
    record = {"places": places(config)}
    code = authentication(record)
    if code is not None and not _is_marked(workdir, config):
        files.write_record(workdir / MARK, record | {_CODE: code})


def require_named(
    workdir: pathlib.Path, config: ConfigDict, named: Mapping[str, object]
) -> None:
    """Whether the places of a saved run may be read.

    Args:
      workdir: the run's folder.
      config: its `config.json`.
      named: keys that the command line gives by itself.

    Raises:
      ConfigError: the run was not made here, and a place was not named; says which.
    """
    left = {key: at for key, at in places(config).items() if key not in named}
    if left and not _is_marked(workdir, config):
        key, at = next(iter(left.items()))
        raise ConfigError(
            f"a run that was not made here names {key}={at}",
            str(workdir),
            f"if that may be read, name it too: --config.{key}=...",
        )


def authentication(record: Mapping[str, object]) -> str | None:
    """A code of the record in hex that only this user can make, or None without key."""
    key = _key()
    text = json.dumps(record, sort_keys=True)
    return key and hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def is_authentic(record: Mapping[str, object], code: object) -> bool:
    """Whether the code is `authentication(record)`."""
    own = authentication(record)
    return own is not None and hmac.compare_digest(own, str(code))


def _is_marked(workdir: pathlib.Path, config: ConfigDict) -> bool:
    try:
        found = sealed.read(workdir / MARK)
    except sealed.Damaged:
        return False
    return is_authentic({"places": places(config)}, found.get(_CODE))


def _key() -> bytes | None:
    """This user's key, made when first asked for; None where it cannot be kept."""
    folder = cache.user_folder("XDG_STATE_HOME", "~/.local/state")
    if folder is None:
        return None
    path = folder / "key"
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_key(path)
        key = path.read_bytes()
        return key if len(key) == _KEY_BYTES else None
    return None


def _write_key(path: pathlib.Path) -> None:
    """As a whole, and once: of two processes the first one's stays."""
    temporary = path.with_name(f"key.{os.getpid()}{files.TEMPORARY}")
    temporary.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(temporary, flags, 0o600), "wb") as stream:
        stream.write(secrets.token_bytes(_KEY_BYTES))
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()
