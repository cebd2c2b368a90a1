"""How many clusters: runs of several K side by side, and one suggestion.

No label is looked at. Two runs of a K that the data have find the same clusters; with
fewer or more it is chance which groups share one or are cut in two, so that runs of
other seeds agree less (stability as a choice of K: Ben-Hur, Elisseeff & Guyon 2002;
Lange et al. 2004). The bound speaks of density, and where it is flat in K of nothing.
"""

import math
import pathlib
import statistics
from collections.abc import Callable
from typing import NamedTuple

from infovae_jax.evaluation.table import aligned, format_value
from infovae_jax.report import results
from infovae_jax.training import population

_BOUNDS = ("validation/elbo", "elbo")
_STABILITY, _INFORMATION = "stability/ari", "cluster/mutual_information"


class Count(NamedTuple):
    """What the runs of one K show.

    Attributes:
      clusters: K.
      bounds: held-out bound of each run, nats.
      stability: mean ARI between runs, or None of one run.
      used: mean number of clusters that hold test examples.
      information: mean I(x; c), nats, or None where not measured.
    """

    clusters: int
    bounds: list[float]
    stability: float | None
    used: float
    information: float | None


def by_clusters(workdirs: list[pathlib.Path]) -> dict[int, list[pathlib.Path]]:
    """The folders of runs by their K, ascending; those without clusters left out.

    Raises:
      ConfigError: a damaged `config.json`.
    """
    groups: dict[int, list[pathlib.Path]] = {}
    for folder in workdirs:
        if not (folder / "config.json").is_file():
            continue
        count = results.config(folder)["model"].get("num_clusters")
        if count is not None:
            groups.setdefault(count, []).append(folder)
    return dict(sorted(groups.items()))


def count_of(
    clusters: int,
    folders: list[pathlib.Path],
    agreement: Callable[[list[pathlib.Path]], dict[str, float]],
) -> Count:
    """The figures of all runs of a K, of a population each member's.

    Args:
      clusters: K.
      folders: of evaluated runs and populations.
      agreement: of single runs, 'stability/ari' where there are several.

    Raises:
      ConfigError: a run that was not evaluated; CheckpointError: a damaged figure.
    """
    runs, single, stable = [], [], []
    for folder in folders:
        record = population.read(folder)
        if "figures" in record:
            members = population.figures_by_member(record)
            runs += [own for own in members if own["elbo"] is not None]
            stable += [own.get(_STABILITY) for own in members]
        else:
            runs.append(results.figures(folder))
            single.append(folder)
    between = agreement(single).get(_STABILITY)
    stable = [value for value in [*stable, between] if value is not None]
    bounds = [next(own[name] for name in _BOUNDS if name in own) for own in runs]
    known = [own[_INFORMATION] for own in runs if own.get(_INFORMATION) is not None]
    return Count(
        clusters,
        bounds,
        statistics.fmean(stable) if stable else None,
        statistics.fmean(map(_used, runs)),
        statistics.fmean(known) if known else None,
    )


def _used(own: dict) -> int:
    shares = own.get("cluster/occupancy")
    if shares is None:
        return own["cluster/used"]
    return sum(share > 0 for share in shares)


def suggestion(counts: list[Count]) -> str:
    """One K with its reason, in words.

    Args:
      counts: of two K at least, ascending.
    """
    stable = [count for count in counts if count.stability is not None]
    if len(stable) > 1:
        ranked = sorted(stable, key=lambda count: -count.stability)
        best, second = ranked[:2]
        reason = (
            f"its runs agree most with one another, ARI {best.stability:.3f}; then "
            f"those of K = {second.clusters}, {second.stability:.3f}"
        )
    else:
        ranked = sorted(counts, key=lambda count: -statistics.fmean(count.bounds))
        best = ranked[0]
        reason = (
            f"its bound is the highest, {statistics.fmean(best.bounds):.4g} nats; that "
            "is a weak reason: give several seeds of each K to compare their clusters"
        )
    if best.used < best.clusters - 0.5:
        reason += f"; only {best.used:.1f} of them hold examples"
    edge = {counts[0].clusters: "fewer", counts[-1].clusters: "more"}
    if best.clusters in edge:
        reason += f"; it is at the edge of what was tried: try {edge[best.clusters]}"
    return f"suggested, without labels: K = {best.clusters}, as {reason}"


def table(counts: list[Count]) -> str:
    """Rows of K, the bound, stability and occupancy, and the suggestion."""
    rows = [["K", "runs", "bound", "sd", "stability/ari", "used", "I(x; c)", "log K"]]
    for count in counts:
        bounds = count.bounds
        figures = (
            statistics.fmean(bounds),
            statistics.stdev(bounds) if len(bounds) > 1 else None,
            count.stability,
            count.used,
            count.information,
            math.log(count.clusters),
        )
        cells = map(format_value, figures)
        rows.append([str(count.clusters), str(len(bounds)), *cells])
    return "\n".join([*aligned(rows), suggestion(counts)])
