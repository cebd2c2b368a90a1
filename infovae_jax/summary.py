"""Mean and spread of the figures of several runs, such as seeds of one config.

python -m infovae_jax.summary WORKDIR [WORKDIR ...] [--plot=FILE.png]

The plot shows the runs in the plane of rate and distortion.
"""

import json
import pathlib
import statistics
import sys

from infovae_jax import report
from infovae_jax.errors import ConfigError, UserError


def read_figures(workdirs: list[pathlib.Path]) -> list[dict]:
    """The figures of each run.

    Raises:
      ConfigError: a folder without `evaluation.json`, or none given.
    """
    if not workdirs:
        raise ConfigError("no runs", "command line", "name folders of evaluated runs")
    results = []
    for folder in workdirs:
        path = folder / "evaluation.json"
        if not path.is_file():
            raise ConfigError("not evaluated", str(folder), "run --mode=evaluate on it")
        results.append(json.loads(path.read_text())["metrics"])
    return results


def summarize(workdirs: list[pathlib.Path]) -> str:
    """A table of every figure: mean, standard deviation, smallest and largest.

    Args:
      workdirs: folders of evaluated runs.

    Raises:
      ConfigError: a folder without `evaluation.json`, or none given.
    """
    results = read_figures(workdirs)
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
            names = [str(folder) for folder in workdirs]
            results = dict(zip(names, read_figures(workdirs), strict=True))
            report.compare_runs(results, pathlib.Path(plot))
            print(f"wrote {plot}")
    except UserError as error:
        print(error.line(), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
