"""The evaluation of a finished run: figures, each with its recipe beside it."""

import functools
from typing import Any

from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import DataError, MetricError, unknown
from infovae_jax.evaluation import subsets
from infovae_jax.evaluation.assignments import WIDE_SIGMA
from infovae_jax.evaluation.encoding import (
    Codes,
    Encoded,
    Prepared,
    decode_codes,
    encode_split,
    make_splits,
    prepared,
)
from infovae_jax.evaluation.groups import GROUPS, core
from infovae_jax.evaluation.groups.core import FACTOR_KL
from infovae_jax.evaluation.parts import Parts
from infovae_jax.evaluation.rows import probabilities
from infovae_jax.evaluation.table import Row, format_value, table_text
from infovae_jax.training.metrics import diverged
from infovae_jax.training.run import Run

__all__ = [
    "FACTOR_KL",
    "GROUPS",
    "WIDE_SIGMA",
    "Codes",
    "Encoded",
    "Prepared",
    "Row",
    "chosen_groups",
    "decode_codes",
    "encode_split",
    "evaluate",
    "format_value",
    "prepared",
    "probabilities",
    "table_text",
]


def evaluate(
    run: Run,
    params: Any,
    step: int,
    metrics: str = "core",
    codes: Codes | None = None,
    parts: Parts | None = None,
) -> dict[str, Any]:
    """All figures of a run on its test split.

    Args:
      run: from `open_run`.
      params: restored parameters.
      step: the step they belong to, for the record.
      metrics: 'core', 'all', or names of GROUPS with commas between; the core is
        always computed.
      codes: of the same run and parameters, where the caller needs them too.
      parts: keeps each group that is finished, and gives those that were kept.

    Returns:
      What `evaluation.json` holds: `step`, `split`, `recipe`, `metrics` (name to
      number, list or None), `standard_errors` (name to number, of the figures that
      have one), `table`, rows of (name, value, recipe), and `subsets`, which examples
      figures are of that are not of all; see `subsets.record`.

    Raises:
      ConfigError: an unknown group, or no file of Inception weights.
      CheckpointError: Inception weights that cannot be trusted or do not fit.
      NonFiniteError: a figure or the codes are not finite; names the metric.
    """
    chosen, settings = chosen_groups(metrics), run.config.evaluation
    if "generation" in chosen and settings.inception is not None:
        from infovae_jax.evaluation import inception

        # A wrong file is refused now, not after what takes long.
        inception.read(settings.inception, settings.inception_sha256)
    codes = codes or Codes(run, params)
    parts = parts or Parts(None, "")
    splits = functools.cache(lambda: make_splits(run, params, codes))
    try:
        rows = parts.rows("core", lambda: core.rows(run, params, codes))
        for name in chosen:
            make = functools.partial(_group, name, run, params, splits)
            rows += parts.rows(name, make)
    except MetricError as error:
        # The data were looked at when they were read: what is not finite is the
        # model's.
        raise diverged(f"{error.what}, at step {step}", error.where) from None
    spec = run.dataset.spec
    return {
        "step": step,
        "split": "training" if run.dataset.tests_on_training else "test",
        "seconds": round(parts.seconds, 1),
        "recipe": {
            "examples": len(run.dataset.test_x),
            "likelihood": f"{spec.likelihood}: {make_likelihood(spec).unit}",
            "seed": settings.seed,
            "representation": "posterior mean",
        },
        "metrics": {row.name: row.value for row in rows},
        "standard_errors": {r.name: r.error for r in rows if r.error is not None},
        "table": [[row.name, format_value(row.value), row.recipe] for row in rows],
        "subsets": subsets.record(run, chosen)[0],
    }


def _group(name: str, run: Run, params: Any, splits) -> list[Row]:
    """The rows of a group on `splits()`, or one that says why there are none."""
    try:
        return GROUPS[name](run, params, splits())
    except MetricError:
        raise
    except DataError as error:
        return [Row(name, None, f"not measured: {error.what}; {error.where}")]


def chosen_groups(metrics: str) -> list[str]:
    """Names of the groups beside the core that `--metrics` asks for.

    Raises:
      ConfigError: an unknown name.
    """
    if metrics == "all":
        return list(GROUPS)
    names = [name for name in metrics.split(",") if name and name != "core"]
    for name in names:
        if name not in GROUPS:
            raise unknown("metrics", name, ["core", "all", *GROUPS], "--metrics")
    return names
