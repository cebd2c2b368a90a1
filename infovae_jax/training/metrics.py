"""Where the figures of training go: JSON lines first, TensorBoard if installed."""

import json
import math
import os
import pathlib
from typing import Any

import jax
import numpy as np

from infovae_jax.errors import NonFiniteError
from infovae_jax.training.files import write_atomically

# Key of a row under which a population has lists, one value per member (None where it
# is not finite).
MEMBERS = "members"
_SMALLER_STEPS = (
    "lower config.optimizer.learning_rate or set config.optimizer.clip_norm"
)


class MetricsWriter:
    """Appends rows to `<workdir>/metrics.jsonl`, one a logged step.

    Args:
      workdir: the run's folder.
      resume_step: rows after this step are dropped: they belong to a continuation
        that was killed after its last checkpoint, and will be written again.
    """

    def __init__(self, workdir: pathlib.Path, resume_step: int):
        self._path = workdir / "metrics.jsonl"
        rows = [row for row in read_metrics(workdir) if row["step"] <= resume_step]
        lines = [json.dumps(row) + "\n" for row in rows]
        write_atomically(self._path, "".join(lines))
        self._stream = self._path.open("a", encoding="utf-8")
        self._board = _tensorboard(workdir / "tensorboard")

    def write(self, row: dict[str, float]) -> None:
        """Writes one row; `step` and `epoch` are among its keys.

        Those of a population hold means over its members, and under MEMBERS the
        values of each.
        """
        self._stream.write(json.dumps(row) + "\n")
        self._stream.flush()
        if self._board is not None:
            for name, value in row.items():
                if name not in ("step", MEMBERS):
                    self._board.add_scalar(name, value, int(row["step"]))

    def sync(self) -> None:
        """Returns when all rows are on the disk; before a save that they belong to."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Flushes and closes the files."""
        self._stream.close()
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: pathlib.Path):
    """A TensorBoard writer, or None where the package is absent."""
    try:
        from tensorboard.summary import Writer
    except ImportError:
        return None
    return Writer(str(folder))


def read_metrics(
    workdir: pathlib.Path, member: int | None = None
) -> list[dict[str, float]]:
    """All complete rows of a run; a half-written last line is passed over.

    With `member`, the values of that member of a population instead of the means.
    """
    path = pathlib.Path(workdir) / "metrics.jsonl"
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows if member is None else [_of_member(row, member) for row in rows]


def _of_member(row: dict, member: int) -> dict[str, float]:
    own = {name: values[member] for name, values in row.get(MEMBERS, {}).items()}
    kept = {name: value for name, value in (row | own).items() if name != MEMBERS}
    return {name: value for name, value in kept.items() if value is not None}


def joined(row: dict, other: dict) -> dict:
    """Both rows as one, the lists of members too."""
    members = row.get(MEMBERS, {}) | other.get(MEMBERS, {})
    return row | other | ({MEMBERS: members} if members else {})


def check_finite(row: dict[str, float], where: str) -> None:
    """Raises NonFiniteError naming the first terms that are NaN or infinite."""
    bad = [n for n, value in row.items() if n != MEMBERS and not math.isfinite(value)]
    if bad:
        raise NonFiniteError(
            f"{', '.join(bad[:3])} became non-finite by step {int(row['step'])}",
            where,
            _SMALLER_STEPS,
        )


def check_finite_state(state: Any, step: int, where: str) -> None:
    """Raises NonFiniteError naming the first leaf that holds NaN or infinity.

    The figures of a block are those before its last update: what that one broke is
    seen here, before it is saved.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        is_float = jax.dtypes.issubdtype(leaf.dtype, np.floating)
        if is_float and not np.isfinite(leaf).all():
            raise NonFiniteError(
                f"{jax.tree_util.keystr(path)} of the state became non-finite by step "
                f"{step}, which is not saved",
                where,
                _SMALLER_STEPS,
            )
