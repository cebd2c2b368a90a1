"""A run read back from its folder: its resolved config, and its newest parameters."""

import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax.config import sealed, sweeps
from infovae_jax.data import intake
from infovae_jax.errors import CheckpointError, ConfigError, NonFiniteError
from infovae_jax.training import (
    files,
    identity,
    loop,
    origin,
    population,
    processes,
)
from infovae_jax.training.opening import DEFAULT, Opening
from infovae_jax.training.run import Run, empty_run, open_run
from infovae_jax.types import Dataset


class Saved(NamedTuple):
    """A trained run.

    Attributes:
      run: opened with its resolved config.
      params: of a population, those of all members on a leading axis.
      step: of the checkpoint.
      folder: the workdir.
      accepted: other data than it was trained on that were accepted, or None; see
        `identity.check_data`.
    """

    run: Run
    params: Any
    step: int
    folder: pathlib.Path
    accepted: dict[str, Any] | None = None

    def is_population(self) -> bool:
        """Whether `params` are those of several members."""
        return self.run.member is None and sweeps.is_population(self.run.config)

    def of_member(self, member: int) -> "Saved":
        """The single run that a member of the population is.

        Raises:
          NonFiniteError: that member left the numbers.
        """
        params = population.member_params(self.params, member)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
            raise NonFiniteError(
                f"member {member} is not finite at step {self.step}",
                str(self.folder),
                "name another --member, or leave it out: population.json tells of all",
            )
        run = population.member_run(self.run, member)
        return self._replace(run=run, params=params)

    def chosen(self, member: int | None = None) -> "Saved":
        """The run itself, or of a population `member`, by default the chosen one.

        Raises:
          ConfigError: no member was chosen yet.
        """
        if not self.is_population():
            return self
        if member is None:
            member = population.read(self.folder).get("chosen")
        if member is None:
            raise ConfigError(
                "no member chosen yet",
                str(self.folder),
                "run --mode=evaluate, or give --member",
            )
        return self.of_member(member)


def open_saved(
    workdir: str | None,
    member: int | None = None,
    opening: Opening = DEFAULT,
    say: Callable[[str], None] = print,
) -> Saved:
    """Reads `config.json` and a checkpoint; executes no config file.

    Args:
      workdir: the run's folder.
      member: a member that is wanted later; checked before the data are read.
      opening: which checkpoint, and what is accepted.
      say: takes what its data are; a mode about other data leaves it out.

    Raises:
      ConfigError: no run there, one whose `config.json` is damaged, one that was not
        made here and names files that the command line does not, or no such member.
      DataError, CheckpointError: its data or its checkpoint cannot be read, or data or
        `config.json` are not those that it was trained with.
    """
    config, folder = _read_config(workdir, member)
    origin.require_named(folder, config, opening.places)
    for key, value in opening.places.items():
        group, _, name = key.partition(".")
        config[group][name] = value
    config_lib.check(config)
    loop.enable_compilation_cache()
    processes.require_devices()
    run = open_run(config, say)
    accepted = identity.check_data(
        folder, run.identity(), opening.accept_changed_data, record=False
    )
    return Saved(run, *_restored(run, folder, opening), folder, accepted)


def open_model(
    workdir: str | None,
    member: int | None = None,
    opening: Opening = DEFAULT,
) -> Saved:
    """The run of a folder without its data, which need not be there any more.

    What its data were is read from `intake.json`; a folder of a time before there was
    one is opened with its data.

    Args:
      workdir: the run's folder.
      member: a member that is wanted later.
      opening: which checkpoint.

    Raises:
      ConfigError, CheckpointError: as `open_saved`; or `intake.json` is damaged.
    """
    config, folder = _read_config(workdir, member)
    path = folder / intake.FILE
    if not path.exists():
        return open_saved(workdir, member, opening, lambda text: None)
    loop.enable_compilation_cache()
    processes.require_devices()
    try:
        dataset = intake.from_json(sealed.read(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"damaged ({error})", str(path), "train again with the same command"
        ) from None
    run = empty_run(config, dataset)
    return Saved(run, *_restored(run, folder, opening), folder)


def keep_intake(folder: pathlib.Path, dataset: Dataset) -> None:
    """Writes what new data need of a run's own into its folder."""
    files.write_record(folder / intake.FILE, intake.to_json(dataset))


def _restored(run: Run, folder: pathlib.Path, opening: Opening) -> tuple[Any, int]:
    many = sweeps.is_population(run.config)
    restore = population.restore if many else loop.restore_params
    return restore(run, folder, opening)


def _read_config(
    workdir: str | None, member: int | None
) -> tuple[ConfigDict, pathlib.Path]:
    """The checked config of a run's folder; see `open_saved`."""
    if not workdir:
        raise ConfigError("no --workdir", "command line", "name the folder of a run")
    folder = pathlib.Path(workdir)
    path = folder / "config.json"
    if not os.path.isfile(path):  # of a name that is too long it says no
        if os.path.isdir(folder / "checkpoints"):
            raise CheckpointError(
                "config.json is missing beside checkpoints",
                workdir,
                "restore it, or give the command that trained them",
            )
        raise ConfigError(
            "no run here (no config.json)", workdir, "name a run's folder"
        )
    try:
        config = config_lib.from_json(path.read_text())
    except ValueError as error:
        raise ConfigError(f"damaged: {error}", str(path), "restore the file") from None
    identity.check_config(folder, config)
    config_lib.check(config)
    many = sweeps.is_population(config)
    count = len(sweeps.members_of(config)) if many else 0
    if member is not None and member not in range(count):
        there = (
            f"members 0 to {count - 1}" if many else "no members: it is a single run"
        )
        raise ConfigError(f"no member {member}", "--member", f"this run has {there}")
    return config, folder
