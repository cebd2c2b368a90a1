"""Mean and spread of the figures of several runs, such as seeds of one config.

python -m infovae_jax.summary WORKDIR [WORKDIR ...] [--plot=FILE.png]

The plot shows the runs in the plane of rate and distortion. Of a population every
member counts as a run.
"""

import json
import pathlib
import statistics
import sys

from infovae_jax import population_run, report
from infovae_jax.errors import ConfigError, UserError


def read_figures(workdirs: list[pathlib.Path]) -> dict[str, dict]:
    """Name of a run -> its figures; of a population, of each member that is finite.

    Raises:
      ConfigError: a folder without `evaluation.json`, or none given.
    """
    if not workdirs:
        raise ConfigError("no runs", "command line", "name folders of evaluated runs")
    results = {}
    for folder in workdirs:
        record = population_run.read(folder)
        if "figures" in record:
            for index, own in enumerate(population_run.figures_by_member(record)):
                if own["elbo"] is not None:
                    results[f"{folder} {index}"] = own
            continue
        path = folder / "evaluation.json"
        if not path.is_file():
            raise ConfigError("not evaluated", str(folder), "run --mode=evaluate on it")
        results[str(folder)] = json.loads(path.read_text())["metrics"]
    return results


def summarize(workdirs: list[pathlib.Path]) -> str:
    """A table of every figure: mean, standard deviation, smallest and largest.

    Args:
      workdirs: folders of evaluated runs.

    Raises:
      ConfigError: a folder without `evaluation.json`, or none given.
    """
    results = list(read_figures(workdirs).values())
    names = [
        name
        for name in results[0]
        if all(isinstance(result.get(name), (int, float)) for result in results)
    ]
    width = max(map(len, names))
    lines = [f"{'metric':<{width}} {'mean':>9} {'sd':>9} {'min':>9} {'max':>9}"]
    for name in names:
        values = [float(result[name]) for result in results]
        spread = f"{statistics.stdev(values):9.4g}" if len(values) > 1 else f"{'-':>9}"
        mean, low, high = statistics.fmean(values), min(values), max(values)
        lines.append(f"{name:<{width}} {mean:9.4g} {spread} {low:9.4g} {high:9.4g}")
    return "\n".join([f"{len(results)} runs", *lines])


def main() -> None:
    """Prints the table of the runs named on the command line, and draws the plot."""
    arguments = [a for a in sys.argv[1:] if not a.startswith("--plot=")]
    plots = [a.removeprefix("--plot=") for a in sys.argv[1:] if a not in arguments]
    workdirs = [pathlib.Path(argument) for argument in arguments]
    try:
        print(summarize(workdirs))
        for plot in plots:
            report.compare_runs(read_figures(workdirs), pathlib.Path(plot))
            print(f"wrote {plot}")
    except UserError as error:
        print(error.line(), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
