"""The group `likelihood`: annealed importance sampling, and how far it is off."""

from typing import Any

import jax
import numpy as np

from infovae_jax.evaluation import annealing, density, subsets
from infovae_jax.evaluation.encoding import Splits
from infovae_jax.evaluation.table import Row
from infovae_jax.training.run import Run

AIS_TEMPERATURES, AIS_CHAINS = 500, 8


def rows(run: Run, params: Any, splits: Splits) -> list[Row]:
    """Annealed importance sampling of test images, and its gap on the model's own."""
    key_test, key_gap = jax.random.split(jax.random.key(run.config.evaluation.seed))
    forward, backward = annealing.make_annealing(
        run.objective, AIS_TEMPERATURES, AIS_CHAINS
    )
    x = splits.test.x[subsets.indices(run, "ais")]
    num = subsets.USES["ais"].count
    estimate = forward(params, x, key_test)
    gap = annealing.bidirectional_gap(
        run.objective, params, forward, backward, num, key_gap
    )
    nll = -np.asarray(estimate.log_prob)
    density.require_finite(nll, "ais/nll")
    density.require_finite(np.array([gap["gap"]]), "ais/gap")
    recipe = f"{AIS_TEMPERATURES} temperatures, {AIS_CHAINS} chains"
    error = density.standard_error(nll)
    spread = "" if error is None else f", standard error {error:.2g}"
    acceptance = float(estimate.acceptance)
    warning = "" if acceptance >= 0.2 else "; FAILED: the chains hardly moved"
    return [
        Row(
            "ais/nll",
            float(nll.mean()),
            f"nats; {recipe}, {subsets.text(run, 'ais')}{spread}{warning}",
            error,
        ),
        Row("ais/acceptance", acceptance, "share of accepted moves, 0.65 aimed at"),
        Row(
            "ais/gap",
            gap["gap"],
            f"nats; upper minus lower bound on {num} samples; {recipe}",
        ),
    ]
