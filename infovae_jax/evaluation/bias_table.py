"""What the bounds on information are worth: their bias where the truth is known.

python -m infovae_jax.evaluation.bias_table [--counts=500,2000,10000]

DIMS Gaussian channels z_j = rho x_j + sqrt(1 - rho^2) e_j of equal information, all of
unit variance: I = -DIMS / 2 log(1 - rho^2) nats. Three estimates, each a mean over
REPEATS data sets of n examples:

  lower, upper  `codes.information_bounds`, which knows the posteriors q(z | x); refused
                where the lower one is within `codes.SATURATED` of log n
  regression    `codes.gaussian_channel_information` summed over dims: the bound of the
                kind of InfoGAN (Barber & Agakov 2003), from pairs alone

Prints a table in Markdown.
"""

import argparse
from typing import NamedTuple

import jax
import numpy as np

from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.evaluation import codes
from infovae_jax.training import output

INFORMATIONS = (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
COUNTS = (500, 2000, 10_000)
DIMS, REPEATS = 4, 3


class BiasRow(NamedTuple):
    """Estimates of one information from n examples, nats.

    Attributes:
      count: n.
      truth: the information.
      lower: mean of the lower bound.
      upper: mean of the upper bound, or None where any data set refused it.
      regression: mean of the bound from pairs.
    """

    count: int
    truth: float
    lower: float
    upper: float | None
    regression: float


def correlation(information: float, dims: int = DIMS) -> float:
    """rho of each of `dims` channels that carry `information` nats together."""
    return float(np.sqrt(1.0 - np.exp(-2.0 * information / dims)))


def measure(
    information: float,
    count: int,
    dims: int = DIMS,
    repeats: int = REPEATS,
    seed: int = 0,
) -> BiasRow:
    """All estimates of one information.

    Args:
      information: nats, above 0.
      count: examples of a data set.
      dims: channels that share the information.
      repeats: data sets.
      seed: of the first one.
    """
    rho, estimates = correlation(information, dims), []
    noise = np.exp(-information / dims)  # sqrt(1 - rho^2) without cancellation
    for number in range(seed, seed + repeats):
        rng = np.random.default_rng(number)
        x, error = rng.normal(size=(2, count, dims))
        mean = (rho * x).astype(np.float32)
        log_var = np.full_like(mean, 2.0 * np.log(noise))
        bounds = codes.information_bounds(mean, log_var, jax.random.key(number))
        pairs = codes.gaussian_channel_information(x, rho * x + noise * error)
        estimates.append((bounds.lower, bounds.upper, float(pairs.sum())))
    lower, upper, regression = zip(*estimates, strict=True)
    return BiasRow(
        count,
        information,
        float(np.mean(lower)),
        None if None in upper else float(np.mean(upper)),
        float(np.mean(regression)),
    )


def markdown(rows: list[BiasRow]) -> str:
    """The rows as a table; biases are estimate minus truth, nats."""
    head = ["n", "log n", "I", "lower", "bias", "upper", "bias", "regression", "bias"]
    lines = [head, ["---:"] * len(head)]
    for row in rows:
        cells = [str(row.count), f"{np.log(row.count):.2f}", f"{row.truth:g}"]
        for value in (row.lower, row.upper, row.regression):
            shown = ["refused", "-"]
            if value is not None:
                shown = [f"{value:.2f}", f"{value - row.truth:+.2f}"]
            cells += shown
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m infovae_jax.evaluation.bias_table")
    parser.add_argument("--counts", default=",".join(map(str, COUNTS)))
    options = parser.parse_args()
    with ending_in_one_line():
        parts = options.counts.split(",")
        if not all(part.isdigit() and int(part) > 1 for part in parts):
            raise ConfigError(
                f"'{options.counts}' are no counts", "--counts", "e.g. 500,2000"
            )
        print(markdown([]))
        for count in map(int, parts):
            for information in INFORMATIONS:
                line = markdown([measure(information, count)]).splitlines()[-1]
                print(line, flush=True)


if __name__ == "__main__":
    output.keep_harmless()
    main()
