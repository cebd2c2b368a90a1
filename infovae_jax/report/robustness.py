"""Tables III to V of the VIMAE paper (arXiv 1905.10549) from finished runs.

python -m infovae_jax.report.robustness WORKDIR [WORKDIR ...] [--labels=1000]
    [--gaussian=0.2,0.5] [--mask=0.2,0.5] [--json=FILE]

Accuracy of M1+TSVM (a transductive SVM on the codes of a frozen model) and of a linear
probe beside it, on clean, noisy and masked test images; mean and standard deviation
over runs that differ in their seed alone. Runs without these figures are measured
first, as `--mode=evaluate --metrics=representation` does.
"""

import json
import os
import pathlib
import statistics

from infovae_jax import report
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.evaluation.workdir import evaluate_saved
from infovae_jax.report import results
from infovae_jax.report.robust_codes import count_of_paper, label_counts
from infovae_jax.report.summary import Parser, require_place
from infovae_jax.training import files, output
from infovae_jax.training.saved import open_saved

# The paper's levels are not known: these are two of those that every run measures.
LOW_AND_HIGH = "0.2,0.5"


def read_runs(workdirs: list[pathlib.Path]) -> list[tuple[dict, dict]]:
    """Config and figures of each run, measured where they lack a transductive SVM.

    Raises:
      ConfigError: no runs, or a folder that is none.
    """
    if not workdirs:
        raise ConfigError("no runs", "command line", "name folders of trained runs")
    runs = []
    for folder in workdirs:
        config = results.config(folder)
        there = (folder / results.FILE).exists()
        if not there or not label_counts(results.figures(folder)):
            evaluated = evaluate_saved(open_saved(str(folder)), "representation")
            report.write(*evaluated[:2], folder, evaluated.step)
        runs.append((config, results.figures(folder)))
        if not label_counts(runs[-1][1]):
            raise ConfigError(
                "no accuracy of a transductive SVM, as the data carry too few labels",
                str(folder),
                "leave the run out",
            )
    return runs


def method(config: dict) -> str:
    """The name of a run's method, such as 'beta_vae' or 'vimae, logistic prior'."""
    prior = config["model"].get("prior")
    return f"{config['objective']}, {prior} prior" if prior else config["objective"]


def make_table(
    runs: list[tuple[dict, dict]],
    labels: int | None,
    gaussian: list[float],
    mask: list[float],
) -> dict:
    """Methods, columns, and mean and deviation of each cell.

    Args:
      runs: from `read_runs`; those that differ in their seed alone are one row.
      labels: of the transductive SVM; None: the most, up to 1000, that all have.
      gaussian: deviations of the noise, one column each.
      mask: probabilities of the mask, one column each.

    Raises:
      ConfigError: a number of labels or a level that a run was not measured with.
    """
    shared = set.intersection(*(set(label_counts(figures)) for _, figures in runs))
    if labels is None:
        labels = count_of_paper(shared)
    if labels not in shared:
        raise ConfigError(
            f"not every run was measured with {labels} labels",
            "--labels",
            f"use one of {sorted(shared)}, or leave runs out",
        )
    columns = ["clean"]
    columns += [f"gaussian_{level}" for level in gaussian]
    columns += [f"mask_{level}" for level in mask]
    rows = {}
    for config, figures in runs:
        alone = {**config, "seed": None}
        row = rows.setdefault(json.dumps(alone, sort_keys=True), (config, []))
        row[1].append(figures)
    probes = {"M1+TSVM": f"robust/tsvm_{labels}_", "linear probe": "robust/"}
    made = []
    for config, members in rows.values():
        for name, prefix in probes.items():
            cells = [_cell([m.get(prefix + c) for m in members], c) for c in columns]
            made.append(
                {
                    "method": method(config),
                    "latent_dim": config["model"].get("latent_dim"),
                    "probe": name,
                    "runs": len(members),
                    "cells": cells,
                }
            )
    return {"recipe": recipe(runs, labels), "columns": columns, "rows": made}


def _cell(values: list, column: str) -> dict:
    if None in values:
        raise ConfigError(
            f"not every run was measured under '{column}'",
            "--gaussian, --mask",
            "use levels of 0.1, 0.2, 0.3 and 0.5, or evaluate the runs again",
        )
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation}


def recipe(runs: list[tuple[dict, dict]], labels: int) -> str:
    """What the numbers are, in words."""
    sources = sorted({config["data"]["source"] for config, _ in runs})
    return (
        f"% right on {', '.join(sources)}; posterior means; M1+TSVM with {labels} "
        "labels, fitted on clean codes with the clean test codes as unlabelled ones; "
        "linear probe: logistic regression on clean labels; gaussian: deviation of "
        "the noise on the scale [0, 1], not clipped; mask: probability of a pixel to "
        "become 0. The paper does not give its levels: these are ours"
    )


def table_text(table: dict) -> str:
    """The table in Markdown, accuracies in percent."""
    head = ["method", "d", "probe", "runs", *table["columns"]]
    lines = [head, ["---"] * len(head)]
    for row in table["rows"]:
        cells = [
            f"{100 * cell['mean']:.1f}"
            + (
                f" ± {100 * cell['deviation']:.1f}"
                if cell["deviation"] is not None
                else ""
            )
            for cell in row["cells"]
        ]
        first = [row["method"], row["latent_dim"], row["probe"], row["runs"]]
        lines.append([*map(str, first), *cells])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n{table['recipe']}."


def levels(text: str) -> list[float]:
    """Numbers with commas between.

    Raises:
      ConfigError: something else.
    """
    try:
        return [float(part) for part in text.split(",") if part]
    except ValueError:
        raise ConfigError(
            f"'{text}' is no list of levels", "--gaussian, --mask", "e.g. 0.2,0.5"
        ) from None


def main() -> None:
    """Prints the table of the runs named on the command line, and writes it."""
    parser = Parser(prog="python -m infovae_jax.report.robustness")
    parser.add_argument("workdirs", nargs="*", type=pathlib.Path)
    parser.add_argument("--labels", type=int)
    parser.add_argument("--gaussian", default=LOW_AND_HIGH)
    parser.add_argument("--mask", default=LOW_AND_HIGH)
    parser.add_argument("--json", type=pathlib.Path)
    with ending_in_one_line():
        options = parser.parse_args()
        require_place(options.json, "--json", ".json")
        runs = read_runs(options.workdirs)
        table = make_table(
            runs, options.labels, levels(options.gaussian), levels(options.mask)
        )
        print(table_text(table))
        common = os.path.commonpath([folder.absolute() for folder in options.workdirs])
        target = options.json or pathlib.Path(common) / "robustness.json"
        files.write_record(target, table)
        print(f"wrote {target}")


if __name__ == "__main__":
    output.keep_harmless()
    main()
