"""What a run was trained on, kept with each checkpoint and compared when it is read.

A checkpoint's manifest holds the resolved config and the digests of the decoded data.
Where the folder's `config.json` or the data are others today, a figure would be of
something that nobody trained: it is said, and nothing goes on. What was changed on
purpose is accepted once by name; `accepted.json` then tells of it.
"""

import json
import pathlib
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax.config import sealed
from infovae_jax.data import digest
from infovae_jax.errors import CheckpointError, DataError
from infovae_jax.training import checkpoint, files

ACCEPTED = "accepted.json"
_SHOWN = 3


class Identity(NamedTuple):
    """What decides a run's figures beside the code.

    Attributes:
      config: the resolved config as plain values.
      data: name of a part of the data -> SHA-256; see `digest.of_dataset`.
    """

    config: dict[str, Any]
    data: dict[str, str]

    def digests(self) -> dict[str, str]:
        """One SHA-256 of the data and one of the config, in hex."""
        text = config_lib.to_json(_as_config(self.config))
        return {"data": digest.combined(self.data), "config": digest.of_text(text)}

    def lines(self) -> str:
        """`digests` to print."""
        found = self.digests().items()
        return "\n".join(f"sha256 of the {name}: {value}" for name, value in found)


def make(config: ConfigDict, data: dict[str, str]) -> Identity:
    """The identity of a run with this config on data of these digests."""
    return Identity(json.loads(config_lib.to_json(config)), data)


def stored(workdir: pathlib.Path) -> tuple[int, Identity] | None:
    """Step and identity of the newest checkpoint that tells of one, or None.

    Damaged manifests, and those of a time before there were identities, are passed
    over: whoever reads the checkpoint itself says so.
    """
    saved = checkpoint.Checkpoints(workdir / "checkpoints")
    for step in reversed(saved.steps()):
        try:
            return step, Identity(**saved.manifest(step)["identity"])
        except (CheckpointError, KeyError, TypeError):
            continue
    return None


def check_config(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Compares the config in a run's folder with that of its newest checkpoint.

    Raises:
      CheckpointError: they differ, and nobody changed it by `--resume_from`; names the
        keys.
    """
    found = stored(workdir)
    if found is None:
        return
    step, old = found
    change = config_change(step, old, config)
    if change["parts"] and change not in accepted(workdir):
        raise CheckpointError(
            f"config.json is not that of the checkpoints: {_list(change['parts'])}",
            f"{workdir}, step {step}",
            f"restore config.json (checkpoints/{step}/{checkpoint.MANIFEST} holds "
            "its values)",
        )


def config_change(step: int, old: Identity, config: ConfigDict) -> dict[str, Any]:
    """What `accepted.json` tells of another config from `step` on."""
    new = json.loads(config_lib.to_json(config))
    parts = config_lib.difference(_as_config(old.config), config)
    return {"step": step, "parts": parts, "old": old.config, "new": new}


def check_missing(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Whether a folder without `config.json` may become that of a run with `config`.

    Raises:
      CheckpointError: it holds checkpoints of another config (the keys are named), or
        some that do not tell of theirs.
    """
    saved = checkpoint.Checkpoints(workdir / "checkpoints")
    if not saved.steps():
        return
    found = stored(workdir)
    what = "config.json is missing beside checkpoints"
    if found is None:
        raise CheckpointError(
            what, str(workdir), "restore it, or give another --workdir"
        )
    step, old = found
    changed = config_lib.difference(_as_config(old.config), config)
    if changed:
        raise CheckpointError(
            f"{what} of another config: {_list(changed)}",
            f"{workdir}, step {step}",
            "give the config that trained them, or another --workdir",
        )


def check_data(
    workdir: pathlib.Path, own: Identity, accept: bool = False, record: bool = True
) -> dict[str, Any] | None:
    """Compares the data read now with those of the newest checkpoint.

    Args:
      workdir: the run's folder.
      own: of the run as it was opened now.
      accept: go on with other data.
      record: note in `accepted.json` that they were accepted, so that the next run
        need not be told again.

    Returns:
      What was accepted, now or before: `step`, `parts`, `old` and `new`; else None.

    Raises:
      DataError: they differ; names the parts.
      CheckpointError: `accepted.json` is damaged.
    """
    found = stored(workdir)
    if found is None:
        return None
    step, old = found
    parts = sorted(
        name
        for name in old.data.keys() | own.data.keys()
        if old.data.get(name) != own.data.get(name)
    )
    if not parts:
        return None
    change = {"step": step, "parts": parts, "old": old.data, "new": own.data}
    if change in accepted(workdir):
        return change
    if not accept:
        raise DataError(
            f"the data are not those of step {step}: other {_list(parts)}",
            f"config.data.source={own.config['data']['source']}",
            "restore the data, or go on with these by --accept_changed_data",
        )
    if record:
        note(workdir, change)
    return change


def note(workdir: pathlib.Path, change: dict[str, Any]) -> None:
    """Notes in `accepted.json` a change that somebody asked for."""
    changes = [*accepted(workdir), change]
    files.write_record(workdir / ACCEPTED, {"changes": changes})


def accepted(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """All changes that were asked for, the oldest first.

    Raises:
      CheckpointError: `accepted.json` is damaged.
    """
    path = workdir / ACCEPTED
    if not path.exists():
        return []
    try:
        changes = sealed.read(path)["changes"]
    except (sealed.Damaged, KeyError) as error:
        raise CheckpointError(
            f"damaged: {error}", str(path), "delete it, and accept the change again"
        ) from None
    return changes if isinstance(changes, list) else []


def _as_config(values: dict[str, Any]) -> ConfigDict:
    return config_lib.from_json(json.dumps(values))


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
