"""A run read back from its folder: its resolved config, and its newest parameters."""

import pathlib
from typing import Any, NamedTuple

from infovae_jax import config as config_lib
from infovae_jax.config import sweeps
from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.training import identity, loop, origin, population
from infovae_jax.training.opening import DEFAULT, Opening
from infovae_jax.training.run import Run, open_run


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
        """The single run that a member of the population is."""
        return self._replace(
            run=population.member_run(self.run, member),
            params=population.member_params(self.params, member),
        )

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
) -> Saved:
    """Reads `config.json` and a checkpoint; executes no config file.

    Args:
      workdir: the run's folder.
      member: a member that is wanted later; checked before the data are read.
      opening: which checkpoint, and what is accepted.

    Raises:
      ConfigError: no run there, one whose `config.json` is damaged, one that was not
        made here and names files that the command line does not, or no such member.
      DataError, CheckpointError: its data or its checkpoint cannot be read, or data or
        `config.json` are not those that it was trained with.
    """
    if not workdir:
        raise ConfigError("no --workdir", "command line", "name the folder of a run")
    folder = pathlib.Path(workdir)
    path = folder / "config.json"
    if not path.is_file():
        if (folder / "checkpoints").is_dir():
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
    origin.require_named(folder, config, opening.places)
    for key, value in opening.places.items():
        group, _, name = key.partition(".")
        config[group][name] = value
    config_lib.check(config)
    loop.enable_compilation_cache()
    many = sweeps.is_population(config)
    count = len(sweeps.members_of(config)) if many else 0
    if member is not None and member >= count:
        there = (
            f"members 0 to {count - 1}" if many else "no members: it is a single run"
        )
        raise ConfigError(f"no member {member}", "--member", f"this run has {there}")
    run = open_run(config)
    accepted = identity.check_data(
        folder, run.identity(), opening.accept_changed_data, record=False
    )
    restore = population.restore if many else loop.restore_params
    return Saved(run, *restore(run, folder, opening), folder, accepted)
