"""Mean and spread of the figures of several runs, such as seeds of one config.

python -m infovae_jax.report.summary WORKDIR [WORKDIR ...] [--last_steps=500]
    [--against WORKDIR [WORKDIR ...]] [--choose] [--plot=FILE.png] [--plane=FILE.png]

Of the evaluation, or with --last_steps of the last training steps; with --against the
difference of two groups of runs and its standard error. Of a population every member
counts as a run. Where all runs cluster, their agreement on the test split follows; of
runs with several numbers of clusters, instead, a table of these and one suggestion.
With `--choose` runs of a clustering, such as seeds, are ranked by what their clusters
know and changes of the data leave alone (`report.seed_choice`), without labels. The
plot shows the runs in the plane of rate and distortion, and where they logged it in the
information plane, with the path of each run; `--plane` the latter alone.
"""

import argparse
import itertools
import math
import os
import pathlib
import statistics
import zipfile

import numpy as np
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax import report
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.evaluation import stability
from infovae_jax.report import cluster_counts, seed_choice
from infovae_jax.report.results import config
from infovae_jax.report.results import figures as evaluated_figures
from infovae_jax.training import metrics, output, population

# Keys in which runs of one config may differ.
_OF_A_SEED = ("seed", "num_seeds", "data.data_dir", "data.cache_dir")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are those of this project: one line, exit code 2."""

    def error(self, message: str) -> None:
        """Raises ConfigError."""
        raise ConfigError(message, "command line", "see --help")


def read_figures(workdirs: list[pathlib.Path]) -> dict[str, dict]:
    """Name of a run -> its figures; of a population, of each member that is finite.

    Raises:
      ConfigError: a folder without `evaluation.json`, or none given.
      CheckpointError: one that is damaged.
    """
    if not workdirs:
        raise ConfigError("no runs", "command line", "name folders of evaluated runs")
    found = {}
    for folder in workdirs:
        record = population.read(folder)
        if "figures" in record:
            for index, own in enumerate(population.figures_by_member(record)):
                if own["elbo"] is not None:
                    found[f"{folder} {index}"] = own
            continue
        found[str(folder)] = evaluated_figures(folder)
    return found


def last_steps(workdir: pathlib.Path, num_steps: int) -> dict[str, float]:
    """Mean of every training metric over a run's last steps.

    A row of `metrics.jsonl` holds means over the steps since the row before, so it
    weighs as many of them as fall into the window. A metric that only some rows hold,
    such as `test/elbo`, is averaged over those.

    Args:
      workdir: the run's folder.
      num_steps: length of the window; all steps where there are fewer.

    Raises:
      ConfigError: no metrics, or a window below 1.
    """
    if num_steps < 1:
        raise ConfigError(f"{num_steps} steps", "--last_steps", "give at least 1")
    rows = metrics.read_metrics(workdir)
    if not rows:
        raise ConfigError("no metrics.jsonl", str(workdir), "name a trained run")
    start, sums, weights = rows[-1]["step"] - num_steps, {}, {}
    ends = [0, *(row["step"] for row in rows)]
    for before, row in zip(ends, rows, strict=False):
        covered = row["step"] - max(before, start)
        if covered <= 0:
            continue
        for name, value in row.items():
            if name not in ("step", "epoch", metrics.MEMBERS):
                sums[name] = sums.get(name, 0.0) + covered * value
                weights[name] = weights.get(name, 0) + covered
    return {name: sums[name] / weights[name] for name in sums}


def _read(workdirs: list[pathlib.Path], num_steps: int | None) -> list[dict]:
    if num_steps is None:
        return list(read_figures(workdirs).values())
    if not workdirs:
        raise ConfigError("no runs", "command line", "name folders of trained runs")
    return [last_steps(folder, num_steps) for folder in workdirs]


def _common(results: list[dict]) -> list[str]:
    """Names of the numbers that all runs have."""
    return [
        name
        for name in results[0]
        if all(isinstance(result.get(name), (int, float)) for result in results)
    ]


def summarize(workdirs: list[pathlib.Path], num_steps: int | None = None) -> str:
    """A table of every figure: mean, standard deviation, smallest and largest.

    Args:
      workdirs: folders of evaluated runs.
      num_steps: of the training metrics' last steps instead of the evaluation.

    Raises:
      ConfigError: a folder without figures, or none given.
    """
    results = _read(workdirs, num_steps)
    names = _common(results)
    width = max([len("metric"), *map(len, names)])
    lines = [f"{'metric':<{width}} {'mean':>9} {'sd':>9} {'min':>9} {'max':>9}"]
    for name in names:
        values = [float(result[name]) for result in results]
        spread = f"{statistics.stdev(values):9.4g}" if len(values) > 1 else f"{'-':>9}"
        mean, low, high = statistics.fmean(values), min(values), max(values)
        lines.append(f"{name:<{width}} {mean:9.4g} {spread} {low:9.4g} {high:9.4g}")
    of = "" if num_steps is None else f", means of the last {num_steps} training steps"
    head = [f"{len(results)} runs{of}", *different_configs(workdirs)]
    return "\n".join([*head, *lines])


def different_configs(workdirs: list[pathlib.Path]) -> list[str]:
    """A line that names the keys in which the runs differ, beside seeds; or none."""
    folders = [folder for folder in workdirs if (folder / "config.json").is_file()]
    flat = [config_lib.flatten(ConfigDict(config(folder))) for folder in folders]
    differing = []
    for key in dict.fromkeys(key for values in flat for key in values):
        found = dict.fromkeys(str(values.get(key, "absent")) for values in flat)
        if len(found) > 1 and key not in _OF_A_SEED:
            differing.append(f"{key} ({', '.join(found)})")
    if not differing:
        return []
    more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
    return [f"note: runs of different configs: {', '.join(differing[:5])}{more}"]


def compare(
    first: list[pathlib.Path],
    second: list[pathlib.Path],
    num_steps: int | None = None,
) -> str:
    """A table of the means of two independent groups of runs and their difference.

    The standard error of the difference is sqrt(sd_1^2 / n_1 + sd_2^2 / n_2).

    Args:
      first: folders of the first group.
      second: folders of the second, which is subtracted.
      num_steps: of the training metrics' last steps instead of the evaluation.

    Raises:
      ConfigError: a folder without figures, or an empty group.
    """
    groups = _read(first, num_steps), _read(second, num_steps)
    names = _common([*groups[0], *groups[1]])
    width = max([len("metric"), *map(len, names)])
    head = ("first", "second", "difference", "std error")
    lines = [" ".join([f"{'metric':<{width}}", *(f"{h:>10}" for h in head)])]
    for name in names:
        values = [[float(result[name]) for result in group] for group in groups]
        means = [statistics.fmean(v) for v in values]
        error = f"{'-':>10}"
        if min(map(len, values)) > 1:
            squares = [statistics.variance(v) / len(v) for v in values]
            error = f"{math.sqrt(sum(squares)):10.4g}"
        shown = " ".join(f"{m:10.4g}" for m in (*means, means[0] - means[1]))
        lines.append(f"{name:<{width}} {shown} {error}")
    return "\n".join([f"{len(first)} runs against {len(second)}", *lines])


def cluster_agreement(workdirs: list[pathlib.Path]) -> dict[str, float]:
    """`stability/...` of runs that all cluster; empty where one does not, or of one.

    Raises:
      ConfigError: clusters of different test splits; names two of the runs.
    """
    paths = [folder / "clusters.npz" for folder in workdirs]
    if len(paths) < 2 or not all(path.is_file() for path in paths):
        return {}
    read = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as saved:
                read.append((saved["cluster"], str(saved["test_split"])))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(
                f"damaged: {error}", str(path), "run --mode=evaluate on the run"
            ) from None
    for a, b in itertools.combinations(range(len(read)), 2):
        if read[a][1] != read[b][1]:
            raise ConfigError(
                "runs on different test splits",
                f"{workdirs[a]} and {workdirs[b]}",
                "compare runs on the same data",
            )
    clusterings = [clusters for clusters, _ in read]
    found = stability.agreement(clusterings)
    vote = stability.consensus(clusterings)
    found |= {"consensus": vote.share, "unanimous": vote.unanimous}
    return {f"stability/{name}": value for name, value in found.items()}


def print_clusters(workdirs: list[pathlib.Path]) -> None:
    """Prints how alike the clusters of runs are; of several K, which one they suggest.

    Raises:
      ConfigError: see `cluster_agreement` and `cluster_counts.count_of`.
    """
    groups = cluster_counts.by_clusters(workdirs)
    if len(groups) > 1:
        counts = [
            cluster_counts.count_of(clusters, folders, cluster_agreement)
            for clusters, folders in groups.items()
        ]
        print(cluster_counts.table(counts))
        return
    for name, value in cluster_agreement(workdirs).items():
        print(f"{name:<20} {value:9.4g}  {STABILITY_RECIPES[name]}")


STABILITY_RECIPES = {
    "stability/ari": "mean over pairs of runs",
    "stability/nmi": "mean over pairs of runs, arithmetic",
    "stability/accuracy": "mean over pairs of runs, clusters matched one to one",
    "stability/consensus": "mean share of runs that vote with the majority",
    "stability/unanimous": "share of examples on which all runs agree",
}


def require_place(path: pathlib.Path | None, flag: str, suffix: str) -> None:
    """Raises ConfigError where no file of that kind can be written to `path`.

    `path`: that `flag` gives; None: it is not there.
    """
    if path is None:
        return
    if path.suffix.lower() != suffix:
        what = f"unknown file type '{path.suffix}'"
        raise ConfigError(what, f"{flag}={path}", f"end it with {suffix}")
    if not os.path.isdir(path.parent):
        raise ConfigError(f"no folder '{path.parent}'", flag, "make it")
    if path.is_dir():
        raise ConfigError("a folder", f"{flag}={path}", "name a file")


def require_once(workdirs: list[pathlib.Path]) -> None:
    """Raises ConfigError where a run is named twice: it would count twice."""
    named: dict[str, pathlib.Path] = {}
    for folder in workdirs:
        first = named.setdefault(os.path.realpath(folder), folder)
        if first is not folder:
            what = "named twice" if first == folder else f"the same run as {first}"
            raise ConfigError(what, str(folder), "name each run once")


def draw(workdirs: list[pathlib.Path], path: pathlib.Path, both: bool) -> None:
    """Draws the runs in both planes, or in the information plane alone.

    Args:
      workdirs: folders of evaluated runs.
      path: of the PNG.
      both: whether rate and distortion are drawn too.

    Raises:
      ConfigError: a folder without `evaluation.json`, or nothing to draw.
    """
    found = read_figures(workdirs) if both else {}
    rows = {str(folder): metrics.read_metrics(folder) for folder in workdirs}
    report.compare_runs(path, found, rows)


def main() -> None:
    """Prints the tables of the runs on the command line, and draws the plots."""
    parser = Parser(prog="python -m infovae_jax.report.summary")
    parser.add_argument("workdirs", nargs="*", type=pathlib.Path)
    parser.add_argument("--against", nargs="+", type=pathlib.Path, default=[])
    parser.add_argument("--last_steps", type=int)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--plane", type=pathlib.Path)
    with ending_in_one_line():
        options = parser.parse_args()
        require_place(options.plot, "--plot", ".png")
        require_place(options.plane, "--plane", ".png")
        require_once([*options.workdirs, *options.against])
        if options.against:
            print(compare(options.workdirs, options.against, options.last_steps))
        else:
            print(summarize(options.workdirs, options.last_steps))
            print_clusters(options.workdirs)
        if options.choose:
            print(seed_choice.table(seed_choice.score_runs(options.workdirs)))
        workdirs = [*options.workdirs, *options.against]
        for path, both in ((options.plot, True), (options.plane, False)):
            if path:
                draw(workdirs, path, both)
                print(f"wrote {path}")


if __name__ == "__main__":
    output.keep_harmless()
    main()
