"""Which of several runs of a clustering to go on with; labels only score.

A population chooses among its members; runs that were trained one by one are set side
by side here, by the same figure: see `evaluation.invariance`.
"""

import pathlib
from typing import NamedTuple

from infovae_jax.errors import ConfigError
from infovae_jax.evaluation import invariance
from infovae_jax.evaluation.table import aligned, format_value
from infovae_jax.report import results
from infovae_jax.training import saved

_ACCURACY = "cluster/accuracy"


class Scored(NamedTuple):
    """A run, and what it is worth.

    Attributes:
      folder: its workdir.
      score: I(x; c) less the divergences of the changes, nats, on training images.
      accuracy: of the test split against labels, or None where nobody knows it.
    """

    folder: str
    score: float
    accuracy: float | None = None


def score_runs(workdirs: list[pathlib.Path]) -> list[Scored]:
    """The runs with their scores, in the order given.

    Args:
      workdirs: folders of single runs that were trained on the same data.

    Raises:
      ConfigError: a run without clusters of its own or without invariance in its loss,
        a population, or two runs of different data.
      DataError, CheckpointError: see `saved.open_saved`.
    """
    found, first = [], None
    for folder in workdirs:
        opened = saved.open_saved(str(folder), say=lambda text: None)
        if opened.is_population():
            raise ConfigError(
                "a population", str(folder), "see its population.json: it chose already"
            )
        if not invariance.is_measurable(opened.run):
            raise ConfigError(
                "no clusters that a change of the data could alter",
                str(folder),
                "leave --choose out, or train with an invariance term",
            )
        data = opened.run.digests
        first = data if first is None else first
        if data != first:
            raise ConfigError(
                "runs on different data",
                f"{workdirs[0]} and {folder}",
                "choose among runs on the same data",
            )
        _, score = invariance.of_run(opened.run, opened.params)
        accuracy = results.read(folder).metrics.get(_ACCURACY)
        found.append(Scored(str(folder), score, accuracy))
    return found


def table(runs: list[Scored]) -> str:
    """The runs from the best score down, the choice and how far labels would differ."""
    ranked = sorted(runs, key=lambda run: -run.score)
    rows = [("run", invariance.INFORMATION, "test accuracy")]
    for run in ranked:
        known = "-" if run.accuracy is None else format_value(run.accuracy)
        rows.append((run.folder, f"{run.score:.4f}", known))
    chosen = ranked[0]
    lines = [*aligned(rows), f"chosen without labels: {chosen.folder}"]
    labelled = [run for run in ranked if run.accuracy is not None]
    if len(labelled) == len(ranked):
        best = max(labelled, key=lambda run: run.accuracy)
        below = 100 * (best.accuracy - chosen.accuracy)
        lines.append(
            f"labels would choose {best.folder}: accuracy {below:.2f} points higher"
            if below
            else "labels would choose it, too"
        )
    return "\n".join(lines)
