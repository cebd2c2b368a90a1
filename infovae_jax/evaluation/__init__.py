"""The evaluation of a finished run: figures, each with its recipe beside it."""

import itertools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.data import batches, pipeline
from infovae_jax.evaluation import clustering, density, information
from infovae_jax.loop import Run, make_bound_evaluator

DEAD_SHARE = 0.001  # a cluster with fewer of the test examples counts as dead
KMEANS_EXAMPLES = 10_000


class Encoded(NamedTuple):
    """Codes of a split.

    Attributes:
      mean: posterior means `[n, d]` (of the most probable cluster's posterior).
      log_var: their log-variances `[n, d]`.
      logits: of q(c | x) `[n, K]`, or None.
    """

    mean: np.ndarray
    log_var: np.ndarray
    logits: np.ndarray | None


def encode_split(run: Run, params: Any, x: np.ndarray) -> Encoded:
    """Codes of all examples of `x` `[n, H, W, C]`, in order."""
    binarize = run.config.data.binarize
    size = min(run.config.evaluation.batch_size, len(x))

    @jax.jit
    def encode(params, batch, key):
        batch = pipeline.prepare(batch, key, binarize)
        q = run.objective.encode(params, batch)
        return q.mean, q.log_var, run.objective.classify(params, batch)

    key = jax.random.key(run.config.evaluation.seed)
    parts = []
    for number, (batch, valid) in enumerate(batches.padded_batches(x, size)):
        codes = encode(params, batch, jax.random.fold_in(key, number))
        keep = int(valid.sum())
        parts.append(jax.tree.map(lambda a, n=keep: np.asarray(a)[:n], codes))
    return Encoded(*jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts))


def evaluate(run: Run, params: Any, step: int) -> dict[str, Any]:
    """All figures of a run on its test split.

    Args:
      run: from `loop.open_run`.
      params: restored parameters.
      step: the step they belong to, for the record.

    Returns:
      What `evaluation.json` holds: `step`, `split`, `recipe`, `metrics` (name to
      number, list or None) and `table`, rows of (name, value, recipe).
    """
    settings, spec = run.config.evaluation, run.dataset.spec
    began = time.perf_counter()
    bound = make_bound_evaluator(run)(params)
    rows = [Row("elbo", bound.pop("test/elbo"), "nats; 1 sample an example")]
    for name, value in bound.items():
        rows.append(Row(name.replace("test/", "elbo/"), value, "nats; a term of -elbo"))
    rows += _density(run, params)
    codes = encode_split(run, params, run.dataset.test_x)
    rows.append(
        Row(
            "active_units",
            information.active_units(codes.mean),
            f"of {run.objective.latent_dim} dims; Var of posterior means > 0.01",
        )
    )
    if codes.logits is not None:
        rows += _clusters(run, params, codes.logits)
    unit = (
        "a log-likelihood of binary data"
        if spec.binary or spec.likelihood != "bernoulli"
        else "soft cross-entropy of grey values, not a log-likelihood"
    )
    return {
        "step": step,
        "split": "test",
        "seconds": round(time.perf_counter() - began, 1),
        "recipe": {
            "examples": len(run.dataset.test_x),
            "likelihood": f"{spec.likelihood}: {unit}",
            "seed": settings.seed,
            "representation": "posterior mean",
        },
        "metrics": {row.name: row.value for row in rows},
        "table": [[row.name, format_value(row.value), row.recipe] for row in rows],
    }


class Row(NamedTuple):
    """One figure and how it came about."""

    name: str
    value: float | int | list | None
    recipe: str


def format_value(value: float | int | list | None) -> str:
    """A figure as text; a list as its range."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"{format_value(min(value))}..{format_value(max(value))}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table_text(result: dict[str, Any]) -> str:
    """The evaluation as a table to print."""
    rows = [["metric", "value", "recipe"], *result["table"]]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {recipe}"
        for name, value, recipe in rows
    )


def _density(run: Run, params: Any) -> list[Row]:
    settings = run.config.evaluation
    x = run.dataset.test_x[: settings.nll_examples or None]
    key = jax.random.key(settings.seed)
    size = min(32, len(x))
    bound = density.make_importance_weighted_bound(run.objective, settings.nll_samples)
    values = []
    for number, (batch, valid) in enumerate(batches.padded_batches(x, size)):
        key_data, key_bound = jax.random.split(jax.random.fold_in(key, number))
        prepared = pipeline.prepare(
            jnp.asarray(batch), key_data, run.config.data.binarize
        )
        values.append(np.asarray(bound(params, prepared, key_bound))[valid > 0])
    bounds = np.concatenate(values)
    error = bounds.std(ddof=1) / np.sqrt(len(bounds)) if len(bounds) > 1 else None
    recipe = f"nats; {settings.nll_samples} samples, {len(bounds)} test examples"
    return [
        Row("nll", -float(bounds.mean()), f"{recipe}; importance-weighted upper bound"),
        Row("nll/standard_error", None if error is None else float(error), "nats"),
    ]


def _clusters(run: Run, params: Any, logits: np.ndarray) -> list[Row]:
    settings, labels = run.config.evaluation, run.dataset.test_y
    num_clusters = logits.shape[-1]
    clusters = logits.argmax(-1)
    shares = clustering.occupancy(clusters, num_clusters)
    rows = []
    if labels is not None:
        rows += _against_labels(run, clusters, labels)
    rows.append(
        Row(
            "cluster/occupancy",
            shares.tolist(),
            "share of examples, smallest and largest cluster",
        )
    )
    dead = int((shares < DEAD_SHARE).sum())
    rows.append(Row("cluster/dead", dead, f"clusters below {DEAD_SHARE:.1%}"))
    found = information.cluster_information(jnp.asarray(logits))
    recipes = {
        "entropy": "nats; mean entropy of q(c|x)",
        "marginal_entropy": f"nats; of mean q(c|x), at most {np.log(num_clusters):.3f}",
        "mutual_information": "nats; I_q(x; c)",
    }
    rows += [Row(f"cluster/{k}", found[k], recipes[k]) for k in recipes]
    if run.objective.prior.mean.shape[0] != num_clusters:
        return rows
    key = jax.random.key(settings.seed)
    again = information.reclassification(
        run.objective, params, key, settings.samples_per_cluster
    )
    recipe = f"{settings.samples_per_cluster} samples a cluster"
    rows.append(Row("sample/accuracy", again["sample_accuracy"], f"share; {recipe}"))
    rows.append(Row("sample/mi_bound", again["mi_bound"], f"nats; {recipe}"))
    return rows


def _against_labels(run: Run, clusters: np.ndarray, labels: np.ndarray) -> list[Row]:
    """Agreement of the clusters with the labels, and k-means beside it."""
    num_clusters = run.objective.prior.mean.shape[0]
    scores = (
        ("accuracy", clustering.clustering_accuracy, "Hungarian, one to one"),
        ("nmi", clustering.normalized_mutual_information, "arithmetic mean"),
        ("ari", clustering.adjusted_rand_index, "corrected for chance"),
        ("purity", clustering.purity, "majority vote, many to one"),
    )
    kmeans = clustering.kmeans_clusters(
        run.dataset.train_x, run.dataset.test_x, num_clusters, KMEANS_EXAMPLES
    )
    fitted = min(KMEANS_EXAMPLES, len(run.dataset.train_x))
    pairs = itertools.product((("cluster", clusters), ("kmeans", kmeans)), scores)
    return [
        Row(
            f"{source}/{name}",
            score(found, labels),
            recipe
            if source == "cluster"
            else f"k-means on {fitted} raw images; {recipe}",
        )
        for (source, found), (name, score, recipe) in pairs
        if source == "cluster" or name in ("accuracy", "nmi", "ari")
    ]
