"""The groups of figures that an evaluation finished, until all of it is there.

An evaluation that was stopped goes on with the next group. What was kept is believed
for the same parameters, config, data, options and code alone, and where this user kept
it: the record is authenticated, since a folder may be from someone else.
"""

import functools
import hashlib
import json
import os
import pathlib
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import infovae_jax
from infovae_jax.config import sealed
from infovae_jax.evaluation.table import Row
from infovae_jax.training import files, origin
from infovae_jax.training.run import Run

FILE = "evaluation.parts.json"
OF_MEMBERS = "population.parts.json"
_CODE = "code"


class Parts:
    """Finished groups of one evaluation in a run's folder.

    Args:
      folder: the workdir; None: nothing is kept.
      state: `state_of` the evaluation.
      name: of the file.
    """

    def __init__(self, folder: pathlib.Path | None, state: str, name: str = FILE):
        self._path = folder and folder / name
        self._state, self.seconds = state, 0.0
        self._groups = self._read()

    def figures(self, name: str, make: Callable[[], Any]) -> Any:
        """What was kept of a group, or what `make()` gives, which is then kept.

        It is such as JSON holds.
        """
        if name not in self._groups:
            began = time.perf_counter()
            figures = make()
            seconds = time.perf_counter() - began
            self._groups[name] = {"figures": figures, "seconds": seconds}
            self._write()
        found = self._groups[name]
        self.seconds += found["seconds"]
        return found["figures"]

    def rows(self, name: str, make: Callable[[], list[Row]]) -> list[Row]:
        """The rows of a group: kept ones, or those of `make()`, which are then kept."""
        return [Row(*row) for row in self.figures(name, make)]

    def kept(self) -> list[str]:
        """Names of the groups that are there."""
        return list(self._groups)

    def clear(self) -> None:
        """Forgets all: the evaluation is stored as a whole."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if self._path is None or self._path.is_symlink():
            return {}
        try:
            record = sealed.read(self._path)
        except sealed.Damaged:
            return {}
        code = record.pop(_CODE, None)
        ours = record.get("state") == self._state
        return record["groups"] if ours and origin.is_authentic(record, code) else {}

    def _write(self) -> None:
        record = {"state": self._state, "groups": self._groups}
        if self._path is None or (code := origin.authentication(record)) is None:
            return
        files.write_record(self._path, record | {_CODE: code})


def state_of(run: Run, params: Any, step: int, **more: Any) -> str:
    """SHA-256 in hex of all that an evaluation's figures follow from.

    `more`: whatever else they follow from, as JSON holds it.
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        array = np.asarray(leaf)
        about = f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype}\n"
        digest.update(about.encode())
        digest.update(np.ascontiguousarray(array))
    weights = run.config.evaluation.inception
    known = {
        "inception": weights and _file_digest(pathlib.Path(weights)),
        "params": digest.hexdigest(),
        "step": step,
        "member": run.member,
        **more,
        **run.identity()._asdict(),
        "code": _code_digest(),
        "jax": jax.__version__,
        "device": [platform.machine(), jax.default_backend(), jax.device_count()],
    }
    text = json.dumps(known, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: pathlib.Path) -> str | None:
    """SHA-256 in hex, or None where there is no such file: it is said elsewhere."""
    if not os.path.isfile(path):
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@functools.cache
def _code_digest() -> str:
    """Of the package's sources: who mends a metric wants its new figure."""
    digest = hashlib.sha256()
    root = pathlib.Path(infovae_jax.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()
