"""Checkpoints: Orbax folders, each with a SHA-256 manifest of its files.

Orbax loads flipped bits without a word, so every file is hashed after the save and
checked before the restore. A folder without manifest is a save that was cut off
before it was complete: it is passed over, and the step is saved again. Everything is on
the disk before the manifest is, and the manifest before an older checkpoint goes, so
that a power cut leaves a complete one too.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
from typing import Any

import jax
import numpy as np

from infovae_jax.errors import CheckpointError
from infovae_jax.training import processes

MANIFEST = "manifest.json"
FORMAT_VERSION = 1
_STEP = re.compile(r"0|[1-9][0-9]*")


class Checkpoints:
    """The checkpoints of one run, in `<folder>/<step>/`.

    Args:
      folder: usually `<workdir>/checkpoints`.
      keep: how many of the newest are kept.
    """

    def __init__(self, folder: pathlib.Path, keep: int = 2):
        self.folder = pathlib.Path(folder).resolve()
        self.keep = keep

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

    def save(self, step: int, state: Any) -> None:
        """Saves a pytree; returns when it is on disk, hashed and complete.

        Of several processes only the first calls it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / str(step)
        if path.exists():
            shutil.rmtree(path)
        with _checkpointer() as checkpointer:
            checkpointer.save(path, jax.device_get(_to_plain(state)))
        hashes = {
            str(file.relative_to(path)): _sha256(file)
            for file in sorted(path.rglob("*"))
            if file.is_file()
        }
        manifest = {"format_version": FORMAT_VERSION, "step": step, "sha256": hashes}
        for file in [*path.rglob("*"), path, self.folder]:
            sync(file)
        write_atomically(path / MANIFEST, json.dumps(manifest, indent=1))
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.folder / str(old))

    def restore(self, target: Any, step: int | None = None) -> Any:
        """Reads a checkpoint into the structure, shapes and types of `target`.

        Args:
          target: the pytree to fill, of arrays or of `jax.ShapeDtypeStruct`.
          step: which one; None for the newest.

        Raises:
          CheckpointError: none there, made by a newer version, damaged, or of
            another model (the first differing paths are named).
        """
        abstract = jax.eval_shape(_to_plain, target)
        plain = processes.from_first(lambda: self._read(abstract, step), abstract)
        return _from_plain(plain, target)

    def _read(self, abstract: Any, step: int | None) -> Any:
        if step is None:
            step = self.latest()
        if step is None or step not in self.steps():
            raise CheckpointError(
                "no complete checkpoint", str(self.folder), "train first (--mode=train)"
            )
        path = self.folder / str(step)
        self._verify(path)
        with _checkpointer() as checkpointer:
            _check_structure(checkpointer, path, abstract)
            try:
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

    def _verify(self, path: pathlib.Path) -> None:
        others = [step for step in self.steps() if str(step) != path.name]
        older = f"to go on from step {max(others)}" if others else "to start anew"
        fix = f"delete {path} {older}"
        try:
            manifest = json.loads((path / MANIFEST).read_text())
            hashes, version = dict(manifest["sha256"]), int(manifest["format_version"])
        except (ValueError, KeyError, TypeError, RecursionError, OSError):
            raise CheckpointError(
                "damaged checkpoint: unreadable manifest", str(path), fix
            ) from None
        if version > FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint format {version} is newer than this program's",
                str(path),
                "install a newer infovae_jax",
            )
        for name, expected in hashes.items():
            file = path / name
            if not file.is_file():
                what = f"damaged checkpoint: {name} is missing"
                raise CheckpointError(what, str(path), fix)
            if _sha256(file) != expected:
                what = f"damaged checkpoint: {name} differs from its SHA-256"
                raise CheckpointError(what, str(path), fix)


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


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Writes a text file: a kill or a power cut leaves the old or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    # Made here and nowhere else: a link of that name would lead the text elsewhere.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(temporary, flags, 0o666), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(path: pathlib.Path) -> None:
    """Returns when a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
