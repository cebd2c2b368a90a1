"""Where the figures of training go: JSON lines first, TensorBoard if installed."""

import contextlib
import itertools
import json
import math
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.config import sealed
from infovae_jax.data.intake import LARGE, Intake
from infovae_jax.errors import CheckpointError, NonFiniteError
from infovae_jax.training import files

FILE = "metrics.jsonl"
# Key of a row under which a population has lists, one value per member (None where it
# is not finite).
MEMBERS = "members"
_SMALLER_STEPS = (
    "lower config.optimizer.learning_rate, from the last checkpoint by --resume_from, "
    "or set config.optimizer.clip_norm"
)
# Of a run that has no folder.
FROM_THE_START = (
    "lower config.optimizer.learning_rate, or set config.optimizer.clip_norm"
)


# Between two rows, even where a flipped bit took the end of the line away.
_BETWEEN_ROWS = re.compile(r"\n|(?<=\})[^\n](?=\{)")


class Lines(NamedTuple):
    """What a `metrics.jsonl` holds.

    Attributes:
      rows: those that can be trusted, without their check values.
      texts: their lines.
      damaged: how many others there are, a last one that was cut off not counted.
    """

    rows: list[dict]
    texts: list[str]
    damaged: int


class MetricsWriter:
    """Appends rows to `<workdir>/metrics.jsonl`, one a logged step.

    Each has a check value (see `config.sealed`). Damaged rows are left out and said,
    and the file that held them is kept as `metrics.jsonl.damaged`.

    Args:
      workdir: the run's folder.
      resume_step: rows after this step are dropped: they belong to a continuation
        that was killed after its last checkpoint, and will be written again.
      every: the most steps between two rows, to name holes; None where not known.
    """

    def __init__(
        self, workdir: pathlib.Path, resume_step: int, every: int | None = None
    ):
        self._path = workdir / FILE
        found = read_lines(self._path)
        if found.damaged:
            aside = files.free_name(self._path.with_name(f"{FILE}.damaged"))
            shutil.copyfile(self._path, aside)
            _note(f"{_count(found.damaged)} left out; {self._path}; kept in {aside}")
        kept = [
            (row["step"], text)
            for row, text in zip(found.rows, found.texts, strict=True)
            if row["step"] <= resume_step
        ]
        holes = missing_steps([step for step, _ in kept], resume_step, every)
        if holes:
            _note(
                f"no rows of steps {', '.join(holes)}; {self._path}; training goes on"
            )
        files.write_atomically(self._path, "".join(text + "\n" for _, text in kept))
        self._stream = self._path.open("a", encoding="utf-8")
        self._board = _tensorboard(workdir / "tensorboard")

    def write(self, row: dict[str, float]) -> None:
        """Writes one row; `step` and `epoch` are among its keys.

        Those of a population hold means over its members, and under MEMBERS the
        values of each.
        """
        try:
            self._stream.write(json.dumps(sealed.seal(row)) + "\n")
            self._stream.flush()
        except OSError as error:
            error.filename = str(self._path)
            raise
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
    """All rows of a run that can be trusted; damaged ones are said on stderr.

    A half-written last line is passed over. With `member`, the values of that member of
    a population instead of the means.

    Raises:
      CheckpointError: `metrics.jsonl` cannot be read.
    """
    path = pathlib.Path(workdir) / FILE
    found = read_lines(path)
    if found.damaged:
        _note(f"{_count(found.damaged)} left out; {path}; the others are shown")
    rows = found.rows
    return rows if member is None else [_of_member(row, member) for row in rows]


def read_lines(path: pathlib.Path) -> Lines:
    """The rows of a `metrics.jsonl`, none where there is no file.

    Rows of a time before check values stand before those with them; one without after
    one with has lost it, and is damaged.

    Raises:
      CheckpointError: it is no file, or cannot be read.
    """
    if not path.exists():
        return Lines([], [], 0)
    try:
        # One character a byte: a flipped bit must not hide the rows around it.
        text = path.read_bytes().decode("latin-1")
    except OSError as error:
        raise CheckpointError(
            f"the rows cannot be read ({error.strerror})",
            str(path),
            "move it away, or give another --workdir",
        ) from None
    *lines, last = _BETWEEN_ROWS.split(text)
    rows, texts, damaged, checked = [], [], 0, False
    for line in [*lines, last]:
        row = _trusted(line, checked)
        if row is not None:
            checked = checked or sealed.CHECK in row
            rows.append({n: v for n, v in row.items() if n != sealed.CHECK})
            texts.append(line)
        elif line is not last:
            damaged += 1
    return Lines(rows, texts, damaged)


def _trusted(line: str, checked: bool) -> dict | None:
    """The row of a line, or None; `checked`: it must have a check value."""
    try:
        row = sealed.parse(line)
    except sealed.Damaged:
        return None
    members = row.get(MEMBERS, {})
    numbers = [v for name, v in row.items() if name not in (MEMBERS, sealed.CHECK)]
    well_formed = (
        {"step", "epoch"} <= row.keys()
        and all(type(value) in (int, float) for value in numbers)
        and math.isfinite(row["step"])
        and isinstance(members, dict)
        and all(isinstance(values, list) for values in members.values())
    )
    return row if well_formed and (sealed.CHECK in row or not checked) else None


def missing_steps(steps: list[float], resume_step: int, every: int | None) -> list[str]:
    """The steps up to `resume_step` that no row covers, as texts such as '21 to 40'.

    Args:
      steps: of the rows, each of which covers those since the row before.
      resume_step: that a row should have reached.
      every: the most steps of a row; None: any number.
    """
    ends = [0, *steps]
    gaps = [
        (first + 1, last - (every or 0))
        for first, last in itertools.pairwise(ends)
        if every is not None and last - first > every
    ]
    if ends[-1] < resume_step:
        gaps.append((ends[-1] + 1, resume_step))
    return [f"{int(first)} to {int(last)}" for first, last in gaps]


def _count(damaged: int) -> str:
    return f"{damaged} damaged row{'s' if damaged > 1 else ''} of {FILE}"


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr, flush=True)


def _of_member(row: dict, member: int) -> dict[str, float]:
    lists = row.get(MEMBERS, {}).items()
    own = {name: values[member] for name, values in lists if member < len(values)}
    kept = {name: value for name, value in (row | own).items() if name != MEMBERS}
    return {name: value for name, value in kept.items() if value is not None}


def joined(row: dict, other: dict) -> dict:
    """Both rows as one, the lists of members too."""
    members = row.get(MEMBERS, {}) | other.get(MEMBERS, {})
    return row | other | ({MEMBERS: members} if members else {})


def diverged(what: str, where: str) -> NonFiniteError:
    """The error of a model that left the numbers."""
    return NonFiniteError(what, where, _SMALLER_STEPS)


@contextlib.contextmanager
def telling_scale(intake: Intake | None) -> Iterator[None]:
    """Tells a divergence of the range of the data where that may be the reason.

    `intake`: of the data.
    """
    try:
        yield
    except NonFiniteError as error:
        if intake is None or not LARGE < max(-intake.low, intake.high) < math.inf:
            raise
        fix = (
            f"scale the data, of {intake.low:.4g} to {intake.high:.4g}, to [0, 1] or "
            f"to standard deviation 1; or {error.fix}"
        )
        raise NonFiniteError(error.what, error.where, fix) from None


def check_finite(row: dict[str, float], where: str) -> None:
    """Raises NonFiniteError naming the first terms that are NaN or infinite."""
    bad = [n for n, value in row.items() if n != MEMBERS and not math.isfinite(value)]
    if bad:
        names = ", ".join(bad[:3])
        raise diverged(f"{names} became non-finite by step {int(row['step'])}", where)


def check_finite_state(
    state: Any, step: int, where: str, num_members: int = 1
) -> list[int]:
    """Members of a population whose state holds NaN or infinity, saved as such.

    The figures of a block are those before its last update: what that one broke is
    seen here, before it is saved.

    Raises:
      NonFiniteError: none is finite, or the only run is not; names the first leaf.
    """
    lost, first = np.zeros(num_members, bool), None
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if jax.dtypes.issubdtype(leaf.dtype, np.floating):
            bad = ~np.isfinite(np.reshape(leaf, (num_members, -1))).all(1)
            first = path if first is None and bad.any() else first
            lost |= bad
    if lost.all():
        raise diverged(
            f"{jax.tree_util.keystr(first)} of the state became non-finite by step "
            f"{step}, which is not saved",
            where,
        )
    return np.flatnonzero(lost).tolist()
