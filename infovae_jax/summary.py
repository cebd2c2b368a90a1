"""Mean and spread of the figures of several runs, such as seeds of one config.

python -m infovae_jax.summary WORKDIR [WORKDIR ...] [--plot=FILE.png]
    [--plane=FILE.png]

The plot shows the runs in the plane of rate and distortion, and where they logged it
in the information plane, with the path of each run; `--plane` the latter alone.
"""

import json
import pathlib
import statistics
import sys

from infovae_jax import metrics, report
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


def draw(workdirs: list[pathlib.Path], path: pathlib.Path, both: bool) -> None:
    """Draws the runs in both planes, or in the information plane alone.

    Args:
      workdirs: folders of evaluated runs.
      path: of the PNG.
      both: whether rate and distortion are drawn too.

    Raises:
      ConfigError: a folder without `evaluation.json`, or nothing to draw.
    """
    names = [str(folder) for folder in workdirs]
    found = dict(zip(names, read_figures(workdirs), strict=True)) if both else {}
    rows = {str(folder): metrics.read_metrics(folder) for folder in workdirs}
    report.compare_runs(path, found, rows)


def main() -> None:
    """Prints the table of the runs named on the command line, and draws the plots."""
    options = ("--plot=", "--plane=")
    arguments = [a for a in sys.argv[1:] if not a.startswith(options)]
    plots = [a.partition("=")[::2] for a in sys.argv[1:] if a.startswith(options)]
    workdirs = [pathlib.Path(argument) for argument in arguments]
    try:
        print(summarize(workdirs))
        for option, path in plots:
            draw(workdirs, pathlib.Path(path), both=option == "--plot")
            print(f"wrote {path}")
    except UserError as error:
        print(error.line(), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
