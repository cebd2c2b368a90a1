"""The bound of rows, and the best of several seeds, found without labels."""

from typing import Any

import jax
import numpy as np

from infovae_jax.config.sweeps import Member
from infovae_jax.data import batches
from infovae_jax.data.subsets import draw, take
from infovae_jax.evaluation import invariance, members, subsets
from infovae_jax.evaluation.encoding import encode_split
from infovae_jax.evaluation.invariance import INFORMATION
from infovae_jax.training import elbo
from infovae_jax.training.in_memory import Fitted
from infovae_jax.training.run import Run

# Draws of the bound of each row.
SAMPLES = 10
# Rows that seeds are compared on.
_COMPARED = 2000


def of_rows(run: Run, params: Any, x: np.ndarray, seed: int) -> np.ndarray:
    """The evidence lower bound of each row of x as stored, nats, float64 `[n]`."""
    binarize = run.config.data.binarize
    bound = run.kept(
        "row_bound",
        lambda: jax.jit(elbo.make_row_bound(run.objective, SAMPLES, binarize)),
    )
    key, size = jax.random.key(seed), run.config.evaluation.batch_size
    rows = batches.map_batches(
        lambda batch: bound(params, batch, key), x, size, pad=True
    )
    return rows.astype(np.float64)


def _some(run: Run, count: int) -> np.ndarray:
    """Some training rows, drawn without labels."""
    x = run.dataset.train_x
    return take(x, draw(count, len(x), run.config.evaluation.seed))


def choose(fits: list[tuple[Run, Fitted]]) -> tuple[int, dict[str, Any]]:
    """Which of several seeds to go on with, and why; see `members.choose`.

    Clusterings by the information that changes of the rows leave them, or without
    invariance in the loss by their agreement with one another, from three seeds on;
    else by the bound on held-out rows, or where there are none on training rows.

    Args:
      fits: runs of the same data and config, the seed apart, and what each gave.

    Returns:
      The index, and a table: 'seed', 'bound', 'information' and 'agreement' of each,
      as far as measured, 'chosen', 'how'.
    """
    first = fits[0][0]
    held_out = first.dataset.test_x
    rows = held_out if len(held_out) else _some(first, _COMPARED)
    seeds = [run.config.seed for run, _ in fits]
    figures = {
        "elbo": [
            float(of_rows(run, fitted.params, rows, seeds[0]).mean())
            for run, fitted in fits
        ]
    }
    found = [Member(seed, {}) for seed in seeds]
    if first.objective.classify is not None and not first.objective.uses_labels:
        if invariance.is_measurable(first):
            pairs = [invariance.of_run(run, fitted.params) for run, fitted in fits]
            clusters, figures[INFORMATION] = map(list, zip(*pairs, strict=True))
        else:
            some = _some(first, subsets.USES["members"].count)
            clusters = [
                encode_split(run, fitted.params, some).logits.argmax(-1)
                for run, fitted in fits
            ]
        figures |= members.stability(np.stack(clusters), found)
    split = "held-out rows" if len(held_out) else "training rows"
    chosen, how = members.choose(found, figures, split)
    table = {"seed": seeds, "bound": figures["elbo"], "chosen": chosen, "how": how}
    for name, key in ((INFORMATION, "information"), (members.STABILITY, "agreement")):
        if name in figures:
            table[key] = [float(v) for v in figures[name]]
    return chosen, table
