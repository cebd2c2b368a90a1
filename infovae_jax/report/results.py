"""`evaluation.json` as the report shows it, whatever version wrote it."""

import os
import pathlib
from types import NoneType
from typing import Any, NamedTuple

from infovae_jax import config as config_lib
from infovae_jax.config import sealed
from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.evaluation import verdicts

FILE = "evaluation.json"
DAMAGED = "evaluation.json is damaged"
# (title, prefixes); a figure belongs to the first section with its name or group.
SECTIONS = (
    ("Bound and likelihood", ("elbo", "nll", "bits_per_dim", "reconstruction")),
    ("Information in the code", ("active_units", "information", "rate")),
    ("Parts of the code", ("squared_error", "factor")),
    ("Clusters", ("cluster", "kmeans", "sample")),
    ("Classes", ("classification", "factors", "calibration")),
    ("Likelihood by annealed importance sampling", ("ais",)),
    ("Representation: probes and robustness", ("probe", "robust")),
    ("Disentanglement", ("disentanglement",)),
    ("Generation", ("generation", "artificial")),
    ("Columns of the table", ("column",)),
)
OTHER = "Other figures"
# Group of `--metrics` -> first parts of the names of its rows.
GROUPS = {
    "likelihood": ("ais",),
    "representation": ("probe", "robust"),
    "disentanglement": ("disentanglement",),
    "generation": ("generation", "artificial"),
}


class Evaluation(NamedTuple):
    """What an `evaluation.json` holds; empty where it holds nothing.

    Attributes:
      metrics: name -> number, list or None.
      table: rows (name, value as text, recipe).
      step: that the parameters belong to, or None.
      split: which examples.
      recipe: what holds for all figures.
      errors: name -> standard error, where one was estimated.
      problem: why there are no figures, or ''.
      verdicts: faults that the figures show, in words; None: nobody looked.
      grade: what they amount to, see `verdicts.heading`.
    """

    metrics: dict[str, Any]
    table: list[tuple[str, str, str]]
    step: int | None
    split: str
    recipe: dict[str, Any]
    errors: dict[str, float]
    problem: str = ""
    verdicts: list[str] | None = None
    grade: str = "not what it seems"

    @property
    def recipes(self) -> dict[str, str]:
        """Name -> recipe."""
        return {name: recipe for name, _, recipe in self.table} | {
            name: "" for name in self.metrics.keys() - {row[0] for row in self.table}
        }

    def recipe_of(self, beginnings: tuple[str, ...]) -> str:
        """The recipe of the first figure of each beginning."""
        found = []
        for beginning in beginnings:
            rows = (row for row in self.table if row[0].startswith(beginning))
            name, _, recipe = next(rows, ("", "", ""))
            if recipe:
                found.append(f"{name}: {recipe}")
        return ". ".join(found)

    def sections(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """The table in sections: (title, rows); empty ones are left out."""
        by_title = {title: [] for title, _ in SECTIONS} | {OTHER: []}
        for row in self.table:
            by_title[_section(row[0])].append(row)
        return [(title, rows) for title, rows in by_title.items() if rows]

    def groups(self) -> str:
        """The value of `--metrics` that gives these figures."""
        first = {name.partition("/")[0] for name in self.metrics}
        found = [name for name, parts in GROUPS.items() if first & set(parts)]
        return ",".join(found) or "core"


def read(workdir: pathlib.Path) -> Evaluation:
    """The evaluation of a run; never fails over what the file holds."""
    path = workdir / FILE
    nothing = Evaluation({}, [], None, "", {}, {})
    if not path.exists():
        return nothing._replace(problem="Not evaluated yet")
    try:
        found = sealed.read(path)
    except sealed.Damaged:
        return nothing._replace(problem=DAMAGED)
    if not isinstance(found.get("metrics"), dict):
        return nothing._replace(problem="evaluation.json holds no figures")
    if not _has_form(found):
        return nothing._replace(problem=DAMAGED)
    metrics = found["metrics"]
    table = [tuple(map(str, row)) for row in found.get("table", []) if len(row) == 3]
    shown = {name for name, *_ in table}
    # Older files may hold figures without a row.
    table += [(n, _text(v), "") for n, v in metrics.items() if n not in shown]
    return Evaluation(
        metrics,
        table,
        found.get("step"),
        str(found.get("split", "test")),
        found.get("recipe", {}),
        found.get("standard_errors", {}),
        **_verdicts(found),
    )


def _verdicts(found: dict[str, Any]) -> dict[str, Any]:
    """The sentences of a file that has some, and what they amount to."""
    if not isinstance(found.get("verdicts"), list):
        return {}
    told = [v for v in found["verdicts"] if isinstance(v, dict) and "text" in v]
    grade = verdicts.heading(str(v.get("name")) for v in told)
    return {"verdicts": [str(v["text"]) for v in told], "grade": grade}


def _has_form(found: dict[str, Any]) -> bool:
    """Whether a file of any version has the types of one."""
    metrics, errors = found["metrics"], found.get("standard_errors", {})
    return (
        isinstance(found.get("step"), (int, NoneType))
        and isinstance(found.get("recipe", {}), dict)
        and isinstance(errors, dict)
        and isinstance(found.get("table", []), list)
        and all(isinstance(row, list) for row in found.get("table", []))
        and all(
            isinstance(v, (int, float, list, NoneType))
            for v in [*metrics.values(), *errors.values()]
        )
    )


def figures(workdir: pathlib.Path) -> dict[str, Any]:
    """Name -> figure of an evaluated run.

    Raises:
      ConfigError: there is no such folder, or it was not evaluated.
      CheckpointError: `evaluation.json` is damaged.
    """
    path, fix = workdir / FILE, "run --mode=evaluate on it"
    if not os.path.isdir(workdir):
        raise ConfigError("no run here", str(workdir), "name a run's folder")
    if not path.exists():
        raise ConfigError("not evaluated", str(workdir), fix)
    found = read(workdir)
    if found.problem:
        raise CheckpointError(found.problem, str(path), fix)
    return found.metrics


def config(folder: pathlib.Path) -> dict[str, Any]:
    """The resolved config of a run.

    Raises:
      ConfigError: there is none, or it is damaged.
    """
    path = folder / "config.json"
    if not os.path.isfile(path):
        raise ConfigError("no run here", str(folder), "name a run's folder")
    try:
        found = config_lib.from_json(path.read_text()).to_dict()
        if not isinstance(found.get("model"), dict):
            raise ValueError("no 'model'")
    except ValueError as error:
        raise ConfigError(f"damaged: {error}", str(path), "restore the file") from None
    return found


def require_whole(workdir: pathlib.Path) -> None:
    """Raises CheckpointError where there is an evaluation that cannot be shown."""
    if (workdir / FILE).exists():
        figures(workdir)


def _section(name: str) -> str:
    first = name.partition("/")[0]
    return next((title for title, parts in SECTIONS if first in parts), OTHER)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"{len(value)} values"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
