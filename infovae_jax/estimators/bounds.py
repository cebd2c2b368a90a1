"""The best of several seeds, found without labels."""

from typing import Any

import numpy as np

from infovae_jax.config.sweeps import Member
from infovae_jax.evaluation import members, rows
from infovae_jax.evaluation.encoding import encode_split
from infovae_jax.training.in_memory import Fitted
from infovae_jax.training.run import Run

# Rows that seeds are compared on.
_COMPARED = 2000


def choose(fits: list[tuple[Run, Fitted]]) -> tuple[int, dict[str, Any]]:
    """Which of several seeds to go on with, and why; see `members.choose`.

    Clusterings by their agreement with one another, from three seeds on; else by the
    bound on held-out rows, or where there are none on training rows.

    Args:
      fits: runs of the same data and config, the seed apart, and what each gave.

    Returns:
      The index, and a table: 'seed', 'bound' and 'agreement' of each, 'chosen', 'how'.
    """
    first = fits[0][0]
    held_out = first.dataset.test_x
    compared = held_out if len(held_out) else first.dataset.train_x[:_COMPARED]
    seeds = [run.config.seed for run, _ in fits]
    figures = {
        "elbo": [
            float(rows.bounds(run, fitted.params, compared, seeds[0]).mean())
            for run, fitted in fits
        ]
    }
    found = [Member(seed, {}) for seed in seeds]
    if first.objective.classify is not None and not first.objective.uses_labels:
        some = first.dataset.train_x[: members.STABILITY_EXAMPLES]
        clusters = [
            encode_split(run, fitted.params, some).logits.argmax(-1)
            for run, fitted in fits
        ]
        figures |= members.stability(np.stack(clusters), found)
    split = "held-out rows" if len(held_out) else "training rows"
    chosen, how = members.choose(found, figures, split)
    table = {"seed": seeds, "bound": figures["elbo"], "chosen": chosen, "how": how}
    if members.STABILITY in figures:
        table["agreement"] = [float(v) for v in figures[members.STABILITY]]
    return chosen, table
