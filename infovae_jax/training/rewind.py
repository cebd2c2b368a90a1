"""Going on from an earlier checkpoint, as after a divergence, with another config.

    --resume_from=STEP --config.optimizer.learning_rate=1e-4

What came after the step is moved to `quarantine/`; the same command again goes on with
the new branch.
"""

import pathlib
import shutil
from collections.abc import Callable

from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.training import checkpoint, files, identity, metrics, origin

# Keys that may change; all others are part of the state, or make another model of it.
# Where the data lie may change, what they are is compared apart.
CHANGEABLE = ("optimizer.", "train.", "evaluation.")
_OF_DATA = ("data.source", "data.data_dir", "data.cache_dir", "data.stream")


def rewind(
    workdir: pathlib.Path, step: int, config: ConfigDict, try_restore: Callable
) -> None:
    """Makes `step` the newest checkpoint of a run, and `config` the run's config.

    Does nothing where that was done before. The folder must be locked.

    Args:
      workdir: of the run.
      step: of a checkpoint.
      config: resolved.
      try_restore: reads that checkpoint for a run of `config`, and raises where it
        does not fit.

    Raises:
      CheckpointError: no such checkpoint, a damaged one, or one that does not fit.
      ConfigError: no run there, or another value of a key that cannot change.
    """
    if not (workdir / "config.json").is_file():
        raise ConfigError("no run to resume", str(workdir), "leave out --resume_from")
    saved = checkpoint.Checkpoints(workdir / "checkpoints")
    if _done(workdir, step, config):
        return
    if step not in saved.steps():
        raise CheckpointError(
            f"no checkpoint of step {step} (there are {saved.steps()})",
            "--resume_from",
            "name one of them; config.train.keep_checkpoints says how many are kept",
        )
    change = _change(saved, step, config)
    try_restore()
    for later in saved.steps():
        if later > step:
            saved.set_aside(later)
    _keep_rows(workdir)
    files.write_atomically(workdir / "config.json", config_lib.to_json(config))
    identity.note(workdir, change)
    origin.mark(workdir, config)


def _done(workdir: pathlib.Path, step: int, config: ConfigDict) -> bool:
    """Whether the last change that was asked for is this one."""
    changes = identity.accepted(workdir)
    own = identity.make(config, {}).config
    return bool(changes) and (changes[-1]["step"], changes[-1]["new"]) == (step, own)


def _change(saved: checkpoint.Checkpoints, step: int, config: ConfigDict) -> dict:
    manifest = saved.manifest(step)
    if "identity" not in manifest:
        raise CheckpointError(
            "a checkpoint that does not tell its config",
            str(saved.folder / str(step)),
            "go on without --resume_from",
        )
    old = identity.Identity(**manifest["identity"])
    change = identity.config_change(step, old, config)
    fixed = [
        part
        for part in change["parts"]
        if not part.startswith(CHANGEABLE) and part.partition(":")[0] not in _OF_DATA
    ]
    if fixed:
        raise ConfigError(
            f"{fixed[0]} cannot change within a run",
            "--resume_from",
            "give another --workdir, or change only optimizer, train and evaluation",
        )
    return change


def _keep_rows(workdir: pathlib.Path) -> None:
    """A copy of all rows beside the checkpoints that were moved."""
    rows, place = workdir / metrics.FILE, workdir / checkpoint.QUARANTINE
    if rows.is_file():
        place.mkdir(exist_ok=True)
        shutil.copyfile(rows, files.free_name(place / metrics.FILE))
