"""The group `disentanglement`: scores of the codes against known factors."""

from typing import Any

import numpy as np

from infovae_jax.evaluation import disentanglement, subsets
from infovae_jax.evaluation.encoding import Splits
from infovae_jax.evaluation.table import Row
from infovae_jax.training.run import Run


def rows(run: Run, params: Any, splits: Splits) -> list[Row]:
    """Scores against the factors that the data carry, and the label beside them."""
    del params
    if not run.dataset.factors:
        return []
    known = {name: test for name, (_, test) in run.dataset.factors.items()}
    if splits.test.labels is not None:
        known["label"] = splits.test.labels
    codes, seed = splits.test.codes, run.config.evaluation.seed
    chosen = subsets.indices(run, "disentanglement")
    codes = codes[chosen]
    known = {name: values[chosen] for name, values in known.items()}
    by_name = disentanglement.distinct(known)
    factors = np.stack(list(by_name.values()), 1)
    parts = disentanglement.dci(codes, factors, seed)
    scores = {
        "mig": (disentanglement.mig(codes, factors), "gap over H, 20 bins"),
        "modularity": (disentanglement.modularity(codes, factors), "20 bins"),
        "sap": (disentanglement.sap(codes, factors, seed=seed), "linear SVM per dim"),
        "factor_vae": (
            disentanglement.factor_vae_score(codes, factors, seed=seed),
            "majority vote, 10,000 and 5,000 votes of 64",
        ),
        "beta_vae": (
            disentanglement.beta_vae_score(codes, factors, seed=seed),
            "linear, 2,000 and 1,000 means of 64 pairs",
        ),
        "irs": (disentanglement.irs(codes, factors), "99 % of distances"),
        **{
            f"dci_{name}": (value, "boosted trees, a third held out")
            for name, value in parts.items()
        },
    }
    names = ", ".join(by_name)
    twice = [name for name in run.dataset.factors if name not in by_name]
    if twice:
        names += f"; left out as the same again: {', '.join(twice)}"
    return [
        Row(f"disentanglement/{name}", value, f"{recipe}; {len(codes)} test, {names}")
        for name, (value, recipe) in scores.items()
    ]
