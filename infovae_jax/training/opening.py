"""How a run that is there already is opened: which checkpoint, and what is accepted."""

import functools
import pathlib
import sys
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import flags

from infovae_jax.data import leftovers
from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.training import checkpoint, files
from infovae_jax.training.run import locked

FLAGS = flags.FLAGS


class Opening(NamedTuple):
    """What the command line says of it.

    Attributes:
      step: of the checkpoint; None: the newest.
      strict: refuse a damaged checkpoint in place of going on with an older one.
      accept_changed_data: go on with other data than it was trained on.
      places: keys such as 'data.source' -> where that lies now, of a run that is not
        trained now; see `origin.places`.
    """

    step: int | None = None
    strict: bool = False
    accept_changed_data: bool = False
    places: Mapping[str, object] = types.MappingProxyType({})


DEFAULT = Opening()


def define_flags() -> None:
    """Defines the flags that `from_flags` reads."""
    flags.DEFINE_integer(
        "resume_from",
        None,
        "train: go on from this checkpoint, possibly with another config of optimizer, "
        "train and evaluation; later ones are moved to quarantine/",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "step", None, "other modes: of this checkpoint, not the newest", lower_bound=0
    )
    flags.DEFINE_bool(
        "accept_changed_data", False, "go on with other data than a run was trained on"
    )
    flags.DEFINE_bool(
        "strict_resume", False, "exit 4 where the newest checkpoint is damaged"
    )


def from_flags(places: Mapping[str, object]) -> Opening:
    """The opening that the flags name.

    Args:
      places: see `Opening`.

    Raises:
      ConfigError: a step of another mode.
    """
    names = ["step", "resume_from"]
    own = names.pop(FLAGS.mode == "train")
    (other,) = names
    if FLAGS[other].value is not None:
        what = f"--mode={FLAGS.mode} takes no --{other}"
        raise ConfigError(what, f"--{other}", f"use --{own}")
    strict, accept = FLAGS.strict_resume, FLAGS.accept_changed_data
    return Opening(FLAGS[own].value, strict, accept, places)


def set_aside(
    saved: checkpoint.Checkpoints, step: int, error: checkpoint.DamagedCheckpoint
) -> None:
    """Moves a damaged checkpoint to `quarantine/`, and says so.

    The folder must be locked by this process.
    """
    try:
        place = f"moved to {saved.set_aside(step)}"
    except OSError as failed:
        place = f"it stays where it is ({failed.strerror})"
    _say_passed_over(error, place)


def pass_over(
    saved: checkpoint.Checkpoints,
    step: int,
    error: checkpoint.DamagedCheckpoint,
    linked: bool = False,
) -> None:
    """`set_aside` for a reader, who leaves the folder alone beside a trainer."""
    if linked:
        return _say_passed_over(error, "it stays where it is")
    try:
        with locked(saved.folder.parent):
            set_aside(saved, step, error)
    except (ConfigError, OSError):
        _say_passed_over(error, "it stays where it is")


def _say_passed_over(error: checkpoint.DamagedCheckpoint, place: str) -> None:
    text = f"note: {error.what}; {error.where}; {place}, an older one is used"
    print(text, file=sys.stderr, flush=True)


def read_checkpoint(workdir: pathlib.Path, target: Any, opening: Opening) -> Any:
    """A checkpoint of a run that is not trained now; see `Checkpoints.restore`."""
    saved = checkpoint.Checkpoints(workdir / "checkpoints")
    strict = opening.strict or opening.step is not None
    # What a link leads to is another's, and stays as it is.
    linked = (workdir / "checkpoints").is_symlink()
    others = None if strict else functools.partial(pass_over, saved, linked=linked)
    return saved.restore(target, opening.step, others)


def sweep(workdir: pathlib.Path) -> None:
    """Deletes what killed processes left half written in a run's locked folder.

    Raises:
      CheckpointError: a file lies in place of the folder of checkpoints.
    """
    folder = workdir / "checkpoints"
    if folder.exists() and not folder.is_dir():
        what = "a file in place of the folder of checkpoints"
        raise CheckpointError(what, str(folder), "move it away")
    leftovers.sweep(workdir, f"*{files.TEMPORARY}")
    checkpoint.Checkpoints(folder).sweep()
