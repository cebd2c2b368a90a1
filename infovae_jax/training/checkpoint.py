"""Checkpoints: Orbax folders, each with a SHA-256 manifest of its files.

Orbax loads flipped bits without a word, so every file is hashed after the save and
checked before the restore. A folder without manifest is a save that was cut off
before it was complete: it is passed over, and the step is saved again. Everything is on
the disk before the manifest is, and the manifest before an older checkpoint goes, so
that a power cut leaves a complete one too.
"""

import contextlib
import errno
import functools
import hashlib
import logging
import os
import pathlib
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from infovae_jax.config import sealed
from infovae_jax.errors import CheckpointError, StorageError, from_write_error
from infovae_jax.training import files, processes

MANIFEST = "manifest.json"
QUARANTINE = "quarantine"
REMEMBERED = "remembered"
FORMAT_VERSION = 1
_STEP = re.compile(r"0|[1-9][0-9]*")
# Of deleting a folder that is still written into.
_TRIES, _PAUSE_SECONDS = 10, 0.1
_CUT = re.compile(r"[0-9]+\.orbax-checkpoint-tmp.*")  # as Orbax names its own


class DamagedCheckpoint(CheckpointError):
    """A checkpoint whose files are not those that were written."""


class Checkpoints:
    """The checkpoints of one run, in `<folder>/<step>/`.

    Args:
      folder: usually `<workdir>/checkpoints`.
      keep: how many of the newest are kept.
      about: what else every manifest holds: `identity`, see there; `population`, how
        its members are mapped.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        keep: int = 2,
        about: dict[str, Any] | None = None,
    ):
        self.folder = pathlib.Path(folder).resolve()
        self.keep = keep
        self._about = about or {}

    def steps(self) -> list[int]:
        """Steps of the complete checkpoints, ascending."""
        return sorted(
            int(path.parent.name)
            for path in self.folder.glob(f"*/{MANIFEST}")
            if _STEP.fullmatch(path.parent.name) and not path.parent.is_symlink()
        )

    def latest(self) -> int | None:
        """The newest complete step, or None."""
        return max(self.steps(), default=None)

    def save(
        self,
        step: int,
        state: Any,
        lost_members: Sequence[int] = (),
        remembered: dict[str, Any] | None = None,
    ) -> None:
        """Saves a pytree; returns when it is on disk, hashed and complete.

        Of several processes only the first calls it.

        Args:
          step: its step.
          state: the pytree.
          lost_members: of a population, those that are not finite, for the manifest.
          remembered: of the evaluators, for the manifest.

        Raises:
          StorageError: it cannot be written; older checkpoints stay as they are.
        """
        path = self.folder / str(step)
        try:
            found = {"lost_members": list(lost_members), REMEMBERED: remembered}
            self._write(path, step, state, {k: v for k, v in found.items() if v})
        except Exception as error:
            for left in (path, *self.folder.glob(f"{step}.orbax-checkpoint-tmp*")):
                shutil.rmtree(left, ignore_errors=True)
            found = from_write_error(error, str(path))
            if found is None:
                raise
            raise found from None
        for old in self.steps()[: -self.keep]:
            _remove(self.folder / str(old))

    def _write(self, path: pathlib.Path, step: int, state: Any, more: dict) -> None:
        if not self.folder.parent.is_dir():  # its config and rows went with it
            what = "the folder of the run is gone"
            raise StorageError(what, str(self.folder.parent), "train the run anew")
        self.folder.mkdir(exist_ok=True)
        if os.path.lexists(path):
            _remove(path)
        with _quiet(), _checkpointer() as checkpointer:
            checkpointer.save(path, jax.device_get(_to_plain(state)))
        hashes = {
            str(file.relative_to(path)): _sha256(file)
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
        manifest = {"format_version": FORMAT_VERSION, "step": step, "sha256": hashes}
        manifest |= self._about | more
        for file in [*path.rglob("*"), path, self.folder]:
            files.sync(file)
        files.write_record(path / MANIFEST, manifest)

    def restore(
        self,
        target: Any,
        step: int | None = None,
        pass_over: Callable[[int, DamagedCheckpoint], None] | None = None,
    ) -> Any:
        """Reads a checkpoint into the structure, shapes and types of `target`.

        Args:
          target: the pytree to fill, of arrays or of `jax.ShapeDtypeStruct`.
          step: which one; None for the newest.
          pass_over: told of every damaged checkpoint that is newer than the first good
            one, which is then read; None: a damaged one is refused.

        Raises:
          CheckpointError: none there, made by a newer version, damaged, or of
            another model (the first differing paths are named).
        """
        abstract = jax.eval_shape(_to_plain, target)
        plain = processes.from_first(
            lambda: self._read(abstract, step, pass_over), abstract
        )
        return _from_plain(plain, target)

    def _read(self, abstract: Any, step: int | None, pass_over) -> Any:
        damaged = {}
        while True:
            there = [s for s in self.steps() if s not in damaged]
            chosen = max(there, default=None) if step is None else step
            if chosen is None and damaged:
                raise next(iter(damaged.values()))
            if chosen not in there:
                break
            try:
                tree = self._read_step(abstract, chosen)
            except CheckpointError as error:
                if chosen not in self.steps():
                    continue  # a trainer took it away meanwhile: a newer one is there
                if not isinstance(error, DamagedCheckpoint) or pass_over is None:
                    raise
                damaged[chosen] = error
                continue
            for number, error in damaged.items():
                pass_over(number, error)
            return tree
        which = "" if step is None else f" of step {step}"
        only = f" (there are {self.steps()})" if which and self.steps() else ""
        raise CheckpointError(
            f"no complete checkpoint{which}{only}",
            str(self.folder),
            "name another step" if only else "train first (--mode=train)",
        )

    def _read_step(self, abstract: Any, step: int) -> Any:
        path = self.folder / str(step)
        self.verify(step)
        with _checkpointer() as checkpointer:
            try:
                _check_structure(checkpointer, path, abstract)
                # Into host arrays: where they go on the devices is the caller's.
                return checkpointer.restore(
                    path,
                    jax.tree.map(
                        lambda leaf: np.empty(leaf.shape, leaf.dtype), abstract
                    ),
                )
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise CheckpointError(
                    f"cannot be read ({type(error).__name__})",
                    str(path),
                    "use the code and config that wrote it, or delete it",
                ) from error

    def manifest(self, step: int) -> dict[str, Any]:
        """The manifest of a checkpoint, its files not looked at.

        Raises:
          DamagedCheckpoint: it is not what was written.
          CheckpointError: of a newer version.
        """
        path = self.folder / str(step)
        try:
            manifest = sealed.read(path / MANIFEST)
            version = int(manifest["format_version"])
            _require_form(manifest)
        except (ValueError, KeyError, TypeError, OverflowError):
            raise self._damaged(step, "unreadable manifest") from None
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint format {version} is newer than this program's",
                str(path),
                "install a newer infovae_jax",
            )
        return manifest

    def verify(self, step: int) -> None:
        """Compares every file of a checkpoint with the manifest.

        Raises:
          DamagedCheckpoint: one is missing or another; names it.
          CheckpointError: of a newer version.
        """
        for name, expected in self.manifest(step)["sha256"].items():
            file = self.folder / str(step) / name
            try:
                found = _sha256(file) if file.is_file() else None
            except OSError as error:
                raise self._damaged(step, f"{name}: {error.strerror}") from None
            if found is None:
                raise self._damaged(step, f"{name} is missing")
            if found != expected:
                raise self._damaged(step, f"{name} differs from its SHA-256")

    def _damaged(self, step: int, what: str) -> DamagedCheckpoint:
        others = [other for other in self.steps() if other != step]
        older = f"to go on from step {max(others)}" if others else "to start anew"
        path = self.folder / str(step)
        return DamagedCheckpoint(
            f"damaged checkpoint: {what}", str(path), f"delete {path} {older}"
        )

    def set_aside(self, step: int) -> pathlib.Path:
        """Moves a checkpoint to `quarantine/` beside the folder; returns where."""
        place = files.outlet(self.folder.parent / QUARANTINE)
        place.mkdir(exist_ok=True)
        target = files.free_name(place / str(step))
        (self.folder / str(step)).rename(target)
        files.sync(place)
        files.sync(self.folder)
        return target

    def sweep(self) -> None:
        """Deletes what saves that were cut off left; the folder must be locked.

        A folder that only lacks its manifest is kept in `quarantine/` where no
        checkpoint is complete: somebody may know what it is.
        """
        complete = set(self.steps())
        for path in self.folder.glob("*"):
            if path.is_symlink() or not path.is_dir():
                continue
            if _CUT.fullmatch(path.name):
                _remove_tree(path)
            elif _STEP.fullmatch(path.name) and int(path.name) not in complete:
                if complete:
                    _remove_tree(path)
                else:
                    self.set_aside(int(path.name))


def _remove_tree(path: pathlib.Path) -> None:
    """Deletes a folder, into which a save that failed may still be writing."""
    for left in reversed(range(_TRIES)):
        try:
            shutil.rmtree(path)
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or not left:
                raise
            time.sleep(_PAUSE_SECONDS)


def _require_form(manifest: dict[str, Any]) -> None:
    """Raises KeyError or TypeError where what it holds has other types."""
    groups = [manifest["sha256"], manifest.get(REMEMBERED, {})]
    groups.append(manifest.get("population", {}))
    if "identity" in manifest:
        groups += [manifest["identity"]["config"], manifest["identity"]["data"]]
    if not all(isinstance(group, dict) for group in groups):
        raise TypeError("of another form")


def _remove(path: pathlib.Path) -> None:
    """Deletes a checkpoint; nobody takes what is left of it for a whole one.

    A file or a link in its place is deleted, and not what a link leads to.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    (path / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Orbax from logging, in pages, the error that it also raises."""
    logger, others = logging.getLogger("absl"), sys.unraisablehook
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    # Writes under way report to an event loop that is gone, also after a failed save:
    # the hook then stays.
    sys.unraisablehook = functools.partial(_drop_late, others)
    try:
        yield
        sys.unraisablehook = others
    finally:
        logger.setLevel(before)


def _drop_late(others: Callable, unraisable: Any) -> None:
    if "Event loop is closed" not in str(unraisable.exc_value):
        others(unraisable)


def _checkpointer():
    """Orbax's checkpointer for one process, whether it has company or not."""
    import orbax.checkpoint as ocp  # a second of imports that the first step can spare

    if not processes.several():
        return ocp.StandardCheckpointer()
    return ocp.StandardCheckpointer(
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
        )
    )


def _to_plain(state: Any) -> Any:
    """Typed PRNG keys as their uint32 data: storable by every Orbax version."""

    def convert(leaf):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    return jax.tree.map(convert, state)


def _from_plain(plain: Any, target: Any) -> Any:
    def convert(leaf, like):
        is_key = jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key)
        return jax.random.wrap_key_data(leaf) if is_key else leaf

    return jax.tree.map(convert, plain, target)


def _check_structure(checkpointer, path: pathlib.Path, abstract: Any) -> None:
    """Compares stored paths and shapes with the target's, naming differences."""
    metadata = checkpointer.metadata(path)
    stored = getattr(metadata, "item_metadata", metadata)
    stored = getattr(stored, "tree", stored)

    def shapes(tree):
        leaves = jax.tree_util.tree_leaves_with_path(
            tree, is_leaf=lambda leaf: hasattr(leaf, "shape")
        )
        return {
            ".".join(
                str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k))))
                for k in p
            ): tuple(leaf.shape)
            for p, leaf in leaves
            if hasattr(leaf, "shape")
        }

    found, wanted = shapes(stored), shapes(abstract)
    different = [
        f"{name} is {found.get(name, 'absent')}, wanted {wanted.get(name, 'absent')}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if different:
        raise CheckpointError(
            f"made by another model: {'; '.join(different[:3])}",
            str(path),
            "use the config that wrote it",
        )


def _sha256(file: pathlib.Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
