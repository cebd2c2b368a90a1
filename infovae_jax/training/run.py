"""A run opened for use: its config checked, its data read, its objective built."""

import contextlib
import errno
import fcntl
import os
import pathlib
import platform
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax import data as data_lib
from infovae_jax import objectives
from infovae_jax.config import schedules, sweeps
from infovae_jax.data import batches, digest, neighbours, raw_splits
from infovae_jax.data.labels import visible_labels
from infovae_jax.errors import ConfigError
from infovae_jax.training import (
    files,
    identity,
    optimizer,
    origin,
    programs,
    sharding,
)
from infovae_jax.types import Batch, Dataset, Objective

# Examples whose neighbours take longer to find than one waits without a word.
MANY = 10_000


class Run(NamedTuple):
    """A run opened for use: what every mode needs.

    Attributes:
      config: resolved and checked.
      dataset: both splits and their spec.
      objective: built for them.
      transform: the optax transformation.
      steps_per_epoch: full batches of the training split.
      labels: `[n]` int32 that training sees, -1 where unknown; None where the
        objective takes none.
      added: labelled examples added to each batch.
      neighbours: of every training example, int32 `[n, k]`, some of which come with
        each batch, or None.
      validation_x: `[v, H, W, C]` held out of the training split, or None.
      member: which member of a population this run is, or None.
      shares: whether its programs are kept for other runs of this process, see `kept`.
      digests: of the data as decoded; see `digest.of_dataset`.
      programs: what `kept` made for this run alone; None: nothing is kept.
    """

    config: ConfigDict
    dataset: Dataset
    objective: Objective
    transform: Any
    steps_per_epoch: int
    labels: np.ndarray | None = None
    added: int = 0
    neighbours: np.ndarray | None = None
    validation_x: np.ndarray | None = None
    member: int | None = None
    shares: bool = False
    digests: dict[str, str] | None = None
    programs: dict[tuple, Any] | None = None

    def kept(self, name: str, make: Callable[[], Any], *more: Any) -> Any:
        """What `make()` gives, or gave before: a program is traced and compiled once.

        To this run, in training, evaluation and report alike; and where it `shares`,
        to any other run of this process of the same networks and loss.

        Args:
          name: of what is made.
          make: makes it, of nothing that `programs.identity` leaves out.
          more: hashable, whatever else it is made of.
        """
        if self.shares:
            return programs.kept(self._shared_key(name, *more), make)
        if self.programs is None:
            return make()
        # A run whose objective was put in the place of another is another run.
        key = (name, id(self.objective), *more)
        if key not in self.programs:
            self.programs[key] = self.objective, make()
        return self.programs[key][1]

    def keeps(self, name: str, *more: Any) -> bool:
        """Whether another run of this process has made what `kept` is asked for."""
        return self.shares and programs.is_kept(self._shared_key(name, *more))

    def _shared_key(self, name: str, *more: Any) -> tuple:
        return name, programs.identity(self.config, self.dataset.spec), *more

    def identity(self) -> identity.Identity:
        """What the run is trained on."""
        return identity.make(self.config, self.digests or {})

    def make_mesh(self) -> Mesh:
        """The devices that share a batch."""
        train = self.config.train
        return sharding.make_mesh(train.num_devices, train.batch_size + self.added)

    def batch_indices(
        self, first: int, last: int, seed: int | None = None
    ) -> np.ndarray:
        """Training examples of steps first..last-1, `[last - first, B]` int32.

        See `with_neighbours` for what may follow behind them.
        """
        seed = self.config.seed if seed is None else seed
        rows = batches.training_indices(
            seed,
            first,
            last - first,
            self.dataset.spec.num_examples,
            self.config.train.batch_size,
            np.flatnonzero(self.labels >= 0) if self.added else None,
            self.added,
        )
        return self.with_neighbours(rows, first, seed)

    def with_neighbours(
        self, rows: np.ndarray, first: int, seed: int | None = None
    ) -> np.ndarray:
        """Examples `[S, B]` of steps from `first` on, and the neighbours behind them.

        `types.Neighbours` says which.
        """
        if self.neighbours is None:
            return rows
        seed = self.config.seed if seed is None else seed
        wanted = self.objective.neighbours
        behind = neighbours.behind(seed, first, rows, self.neighbours, wanted)
        return np.concatenate([rows, *behind], axis=1)

    def training_data(self) -> Batch | np.ndarray:
        """What a step takes its batch from: all images, with labels where used."""
        x = np.asarray(self.dataset.train_x)
        return x if self.labels is None else Batch(x, self.labels)


def open_run(
    config: ConfigDict,
    say=print,
    dataset: Dataset | None = None,
    fit_batch: bool = False,
    **own: Any,
) -> Run:
    """Checks a config, reads its data, prints the decision, builds the objective.

    Nothing is compiled yet when this returns or fails.

    Args:
      config: resolved.
      say: takes the decision.
      dataset: the data, where they are not to be read from `config.data.source`. Such
        runs share their programs, unless they have parts of the caller's.
      fit_batch: whether `config.train.batch_size` shrinks to the data, as it was not
        asked for; else a larger one is refused.
      own: `encoder`, `decoder` or `prior` in place of the config's, see `types.Own`. No
        folder could tell of them: such a run trains by `in_memory.fit`.

    Raises:
      ConfigError, DataError: see docs of the parts.
    """
    config_lib.check(config)
    objectives.check(config)
    _check_schedules(config)
    given = dataset is not None
    dataset = dataset if given else data_lib.load(config.data)
    digests = None if given else digest.of_dataset(dataset)
    validation_x = None
    if config.population.validation:
        dataset, validation_x = raw_splits.hold_out(
            dataset, config.population.validation, config.data.split_seed
        )
    say(dataset.decision)
    count = dataset.spec.num_examples
    if fit_batch and config.train.batch_size > count:
        config.train.batch_size = batches.fitting(config.train.batch_size, count)
        size = config.train.batch_size
        say(f"batch size {size}: there are {count} training examples")
    steps_per_epoch = batches.steps_per_epoch(count, config.train.batch_size)
    _check_clusters(config.model.get("num_clusters"), count, 1 if given else 2)
    run = Run(
        config,
        dataset,
        None,
        None,
        steps_per_epoch,
        validation_x=validation_x,
        shares=given and not own,
        digests=digests,
        programs={},
    )
    if dataset.spec.blocks:
        _check_of_table(config)
    objective = run.kept(
        "objective", lambda: objectives.make(config, dataset.spec, **own)
    )
    transform = run.kept(
        "transform",
        lambda: optimizer.make_optimizer(
            config.optimizer,
            steps_per_epoch,
            config.train.num_epochs,
            sweeps.LEARNING_RATE in config.sweep,
        ),
        steps_per_epoch,
    )
    run = run._replace(objective=objective, transform=transform)
    if any(objective.neighbours):
        run = _with_neighbours(run, say)
    return _with_labels(run) if objective.uses_labels else run


def _check_schedules(config: ConfigDict) -> None:
    """Raises ConfigError where the parts of a schedule are in no order."""
    scalars = {f"config.weights.{k}": v for k, v in config.weights.items()}
    scalars["config.optimizer.learning_rate"] = config.optimizer.learning_rate
    for where, value in scalars.items():
        if schedules.depends_on_length(value):
            schedules.durations(value, config.train.num_epochs, where)


def empty_run(config: ConfigDict, dataset: Dataset) -> Run:
    """A run of a dataset without examples: for codes, bounds and samples.

    Its programs are shared; see `Run.kept`.

    Raises:
      ConfigError: the config does not fit the objective.
    """
    objectives.check(config)
    # Training's: no other run has fewer, and the optimiser's state is as it was.
    steps = batches.steps_per_epoch(dataset.spec.num_examples, config.train.batch_size)
    run = Run(config, dataset, None, None, steps, shares=True)
    objective = run.kept("objective", lambda: objectives.make(config, dataset.spec))
    transform = optimizer.make_optimizer(
        config.optimizer,
        steps,
        config.train.num_epochs,
        sweeps.LEARNING_RATE in config.sweep,
    )
    return run._replace(objective=objective, transform=transform)


def _check_of_table(config: ConfigDict) -> None:
    """Columns have no neighbours: what is of pictures alone is refused."""
    if config.model.get("affine", False):
        raise ConfigError(
            "affine maps are of pictures, and the data are a table",
            "config.model.affine",
            f"use --config={config.objective}:table, or set it to False",
        )
    if config.network.kind == "conv":
        raise ConfigError(
            "convolutions are of pictures, and the data are a table",
            "config.network.kind",
            "take mlp",
        )


def _with_neighbours(run: Run, say) -> Run:
    x = run.dataset.train_x
    # Of a single example nothing is near but itself.
    count = min(max(run.objective.neighbours), len(x) - 1)
    if not count:
        return run._replace(neighbours=np.zeros((1, 1), np.int32))
    if len(x) > MANY:
        say(f"looking for the {count} nearest neighbours of {len(x)} examples")
    found = neighbours.cached_nearest(np.asarray(x), count, run.config.data.cache_dir)
    return run._replace(neighbours=found)


def _check_clusters(num_clusters: int | None, count: int, at_least: int) -> None:
    if num_clusters is None:
        return
    where = "config.model.num_clusters"
    if num_clusters < at_least:
        # One cluster is a VAE, and more likely a slip; in Python it may be meant.
        what = f"{num_clusters} is too small"
        raise ConfigError(what, where, f"give an integer of at least {at_least}")
    if num_clusters > count:
        what = f"{num_clusters} clusters for {count} training examples"
        raise ConfigError(what, where, f"give at most {count}")


def _with_labels(run: Run) -> Run:
    """The run with the labels that training may see."""
    data, spec = run.config.data, run.dataset.spec
    labels = visible_labels(
        run.dataset.train_y,
        spec.num_examples,
        spec.num_labels,
        data.labels_per_class,
        data.split_seed,
    )
    known = int((labels >= 0).sum())
    added = 0
    if 0 < known < spec.num_examples:
        added = min(run.config.train.labelled_batch_size, known)
    return run._replace(labels=labels, added=added)


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
    """Keeps a second trainer out of the run's folder, as long as this process lives.

    Sure on one host, and as good as the file system's locks over a network. A process
    that was killed holds nothing.

    Raises:
      ConfigError: another one works there; says which.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    try:
        handle = os.open(workdir / ".lock", flags, 0o644)
    except FileNotFoundError:
        raise ConfigError("no run here", str(workdir), "name a run's folder") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 300).decode(errors="replace") or "another process"
            raise ConfigError(
                f"a trainer is at work there ({holder})",
                str(workdir),
                "wait until it ends, or give another --workdir",
            ) from None
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        os.ftruncate(handle, 0)
        text = f"host {platform.node()}, process {os.getpid()}, since {since}"
        os.write(handle, text.encode())
        yield
    finally:
        os.close(handle)


def claim_workdir(config: ConfigDict, workdir: pathlib.Path) -> str | None:
    """Makes the run's folder and its `config.json`, or checks that it is this run's.

    Whoever calls it has named the places in the config: the folder is marked as made
    here, see `origin`.

    A run that differs in nothing but more epochs is the same run, longer.

    Returns:
      A line to say where the run became longer, else None.

    Raises:
      ConfigError: the path is a file, not writable, or holds another run (the
        differing keys are named).
      CheckpointError: `config.json` is not that of the checkpoints, or it is missing
        beside those of another config.
    """
    saved = workdir / "config.json"
    try:
        str(workdir.absolute()).encode()
    except UnicodeEncodeError:
        what = "a path that is not UTF-8, in which no checkpoint can be written"
        raise ConfigError(what, str(workdir), "give another --workdir") from None
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if saved.exists():
            old = config_lib.from_json(saved.read_text())
            identity.check_config(workdir, old)
            changed = config_lib.difference(old, config)
            if changed and _only_longer(old, config):
                return _lengthen(workdir, old, config)
            if changed:
                raise ConfigError(
                    f"the workdir holds another config: {', '.join(changed)}",
                    str(workdir),
                    "give another --workdir, or the same config to go on (only "
                    "train.num_epochs may grow)",
                )
            origin.mark(workdir, config)
            return None
        identity.check_missing(workdir, config)
        files.write_atomically(saved, config_lib.to_json(config))
        origin.mark(workdir, config)
        return None
    except ValueError as error:
        raise ConfigError(
            f"config.json is damaged ({error})", str(saved), "give another --workdir"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise
        raise ConfigError(
            f"cannot be used as a folder ({error.strerror})",
            str(workdir),
            "give another --workdir",
        ) from None


def _only_longer(old: ConfigDict, new: ConfigDict) -> bool:
    key = "train.num_epochs"
    before, after = config_lib.flatten(old), config_lib.flatten(new)
    # A damaged file may hold anything there, or nothing.
    had, has = before.pop(key, None), after.pop(key)
    return isinstance(had, int) and had < has and before == after


def _lengthen(workdir: pathlib.Path, old: ConfigDict, new: ConfigDict) -> str:
    """Makes `new` the config of a run, and notes where from."""
    found = identity.stored(workdir)
    if found is not None:
        identity.note(workdir, identity.config_change(*found, new))
    files.write_atomically(workdir / "config.json", config_lib.to_json(new))
    scalars = [*new.weights.values(), new.optimizer.learning_rate]
    stretched = "; its schedules in per cent are from here on of all these epochs"
    return (
        f"note: the run goes on to {new.train.num_epochs} epochs in place of "
        f"{old.train.num_epochs}"
        + stretched
        * any(map(schedules.depends_on_length, scalars))
    )
