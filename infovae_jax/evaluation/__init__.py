"""The evaluation of a finished run: figures, each with its recipe beside it."""

import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.errors import ConfigError, nearest
from infovae_jax.evaluation import (
    assignments,
    calibration,
    clustering,
    density,
    encoding,
    groups,
    inception,
)
from infovae_jax.evaluation import codes as code_metrics
from infovae_jax.evaluation.encoding import Encoded, encode_split, prepared
from infovae_jax.evaluation.table import Row
from infovae_jax.training.elbo import make_bound_evaluator
from infovae_jax.training.run import Run
from infovae_jax.types import DataSpec

DEAD_SHARE = 0.001  # a cluster with fewer of the test examples counts as dead
KMEANS_EXAMPLES = 10_000
# Mean KL of a dim in a class from which a factor of that class counts as found.
FACTOR_KL = 0.1
WIDE_SIGMA = 1.4
CORRELATED_EXAMPLES = 1000


def evaluate(run: Run, params: Any, step: int, metrics: str = "core") -> dict[str, Any]:
    """All figures of a run on its test split.

    Args:
      run: from `open_run`.
      params: restored parameters.
      step: the step they belong to, for the record.
      metrics: 'core', 'all', or groups of `groups.GROUPS` with commas between; the
        core is always computed.

    Returns:
      What `evaluation.json` holds: `step`, `split`, `recipe`, `metrics` (name to
      number, list or None) and `table`, rows of (name, value, recipe).

    Raises:
      ConfigError: an unknown group, or no file of Inception weights.
      CheckpointError: Inception weights that cannot be trusted or do not fit.
    """
    chosen = chosen_groups(metrics)
    settings, spec = run.config.evaluation, run.dataset.spec
    if "generation" in chosen and settings.inception is not None:
        # A wrong file is refused now, not after what takes long.
        inception.read(settings.inception, settings.inception_sha256)
    began = time.perf_counter()
    bound = make_bound_evaluator(run)(params)
    rows = [Row("elbo", bound.pop("test/elbo"), f"nats; {run.objective.bound_recipe}")]
    for name, value in bound.items():
        rows.append(Row(name.replace("test/", "elbo/"), value, "nats; a term of -elbo"))
    rows += density.density_rows(run, params)
    codes = encode_split(run, params, run.dataset.test_x)
    rows.append(
        Row(
            "active_units",
            assignments.active_units(codes.mean),
            f"of {run.objective.latent_dim} dims; Var of posterior means > 0.01",
        )
    )
    if run.objective.uses_labels:
        rows += _classes(run, params, codes)
    elif codes.logits is not None:
        rows += _clusters(run, params, codes.logits)
    rows += _code_parts(run, params, codes)
    rows += _factors(run, params, codes)
    if chosen:
        splits = groups.make_splits(run, params)
        for name in chosen:
            rows += groups.GROUPS[name](run, params, splits)
    return {
        "step": step,
        "split": "test",
        "seconds": round(time.perf_counter() - began, 1),
        "recipe": {
            "examples": len(run.dataset.test_x),
            "likelihood": f"{spec.likelihood}: {_unit(spec)}",
            "seed": settings.seed,
            "representation": "posterior mean",
        },
        "metrics": {row.name: row.value for row in rows},
        "table": [[row.name, format_value(row.value), row.recipe] for row in rows],
    }


def _unit(spec: DataSpec) -> str:
    """What the nats of the likelihood are nats of."""
    if spec.likelihood == "discretized_logistic":
        return f"a log-probability of {spec.levels} grey levels"
    if spec.likelihood != "bernoulli":
        return "a log-density, which depends on the scale of the values"
    if spec.binary:
        return "a log-likelihood of binary data"
    return "soft cross-entropy of grey values, not a log-likelihood"


def chosen_groups(metrics: str) -> list[str]:
    """Names of the groups beside the core that `--metrics` asks for.

    Raises:
      ConfigError: an unknown name.
    """
    if metrics == "all":
        return list(groups.GROUPS)
    names = [name for name in metrics.split(",") if name and name != "core"]
    for name in names:
        if name not in groups.GROUPS:
            known = ["core", "all", *groups.GROUPS]
            raise ConfigError(
                f"unknown metrics '{name}'{nearest(name, known)}",
                "--metrics",
                f"use {', '.join(known)}",
            )
    return names


def format_value(value: float | int | list | None) -> str:
    """A figure as text; a list as its range."""
    if value is None:
        return "-"
    if isinstance(value, list) and value and isinstance(value[0], list):
        value = [item for row in value for item in row]
    if isinstance(value, list):
        value = [item for item in value if item is not None]
        if not value:
            return "-"
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


def _code_parts(run: Run, params: Any, codes: Encoded) -> list[Row]:
    """Information and rate of the code, and of its parts where it has some."""
    objective, settings = run.objective, run.config.evaluation
    key_data, key_prior = jax.random.split(jax.random.key(settings.seed))
    parts = code_metrics.part_slices(objective)
    uncertain = np.concatenate(
        [np.full(part.size, part.kind == "prior") for _, part in parts.values()]
    )
    rows = []
    if codes.logits is None or objective.uses_labels:
        n = len(codes.mean)
        posteriors = codes.mean[:, uncertain], codes.log_var[:, uncertain]
        found = code_metrics.information_bounds(*posteriors, key_data)
        recipe = (
            f"nats; I_q(x; z) of {n} test examples, at most log n = {np.log(n):.2f}"
        )
        rows.append(Row("information/data", found.lower, recipe))
        near = f"within {code_metrics.SATURATED} nats of log n"
        saturated = f"not reported: the lower bound is {near}"
        for name, value, text in (
            ("data_upper", found.upper, "nats; the same from above, leave-one-out"),
            (
                "aggregate_kl",
                found.aggregate_kl,
                "nats; KL(q(z) || N(0, I)) = rate - I",
            ),
        ):
            text = saturated if value is None else text
            rows.append(Row(f"information/{name}", value, text))
        some = [array[:CORRELATED_EXAMPLES] for array in posteriors]
        value = code_metrics.total_correlation(*some, key_data)
        text = f"nats; KL(q(z) || prod q(z_j)) of {len(some[0])} test examples"
        rows.append(Row("information/total_correlation", value, text))
    found = code_metrics.generated_information(objective, params, key_prior)
    recipe = "nats; bound on I({}; x'), x' drawn from p(x|z), z from the prior"
    for name, (dims, part) in parts.items():
        if part.kind == "class":
            continue
        label = f"information/generated_{name}"
        text = f"{recipe.format(name)}; sum over {part.size} dims"
        rows.append(Row(label, float(found[dims].sum()), text))
        text = recipe.format(f"{name}_j") + "; the best dim"
        rows.append(Row(f"{label}_max", float(found[dims].max()), text))
    if not objective.code_parts:
        return rows
    rate = code_metrics.rate_per_dim(codes.mean, codes.log_var)
    for name, (dims, part) in parts.items():
        if part.kind == "prior":
            text = f"nats; KL(q({name}|x) || N(0, I))"
            rows.append(Row(f"rate/{name}", float(rate[dims].sum()), text))
    x = prepared(run, run.dataset.test_x)
    errors = code_metrics.masked_errors(objective, params, x, codes.mean)
    for name, value in errors.items():
        text = "squared error an image, from posterior means"
        if name != "all":
            text += "; other parts at their mean"
        rows.append(Row(f"squared_error/{name}", value, text))
    return rows


def _classes(run: Run, params: Any, codes: Encoded) -> list[Row]:
    """How well the labels are found, by the classifier and in what is generated."""
    objective, settings = run.objective, run.config.evaluation
    labels, num_classes = run.dataset.test_y, codes.logits.shape[-1]
    known = int((run.labels >= 0).sum())
    rows = []
    if labels is not None:
        labels = np.asarray(labels)
        log_q = np.asarray(jax.nn.log_softmax(codes.logits))
        recipe = f"share; argmax q(y|x), {known} labels seen in training"
        right = float((codes.logits.argmax(-1) == labels).mean())
        rows.append(Row("classification/accuracy", right, recipe))
        loss = -float(log_q[np.arange(len(labels)), labels].mean())
        rows.append(Row("classification/cross_entropy", loss, "nats"))
        rows += calibration.rows(np.exp(log_q), labels, "classification", "q(y|x)")
        parts = code_metrics.part_slices(objective)
        inner = slice(0, parts["y"][0].start)
        table = code_metrics.kl_by_class(
            codes.mean[:, inner], codes.log_var[:, inner], labels, num_classes
        )
        text = "nats; mean KL of each dim of [z_s; z_c], by class"
        # A class without test examples has no figures, and JSON no NaN.
        shown = [[v if v == v else None for v in row] for row in table.tolist()]
        rows.append(Row("factors/kl_by_class", shown, text))
        if "z_c" in parts:
            own = table[:, parts["z_c"][0]].reshape(num_classes, num_classes, -1)
            own = own[np.arange(num_classes), np.arange(num_classes)]
            text = f"dims of a class's own block with KL > {FACTOR_KL} nats in it"
            rows.append(Row("factors/of_classes", int((own > FACTOR_KL).sum()), text))
        present = ~np.isnan(table).any(1)
        shared = table[present][:, parts["z_s"][0]] > FACTOR_KL
        text = f"shared dims with KL > {FACTOR_KL} nats in most classes"
        count = int((shared.mean(0) > 0.5).sum())
        rows.append(Row("factors/shared", count, text))
    key = jax.random.key(settings.seed)
    for sigma in (1.0, WIDE_SIGMA):
        again = assignments.reclassification(
            objective._replace(
                sample=lambda *args, s=sigma: objective.sample(*args, sigma=s)
            ),
            params,
            key,
            settings.samples_per_cluster,
        )
        recipe = f"share; {settings.samples_per_cluster} samples a class, sigma {sigma}"
        name = "sample/accuracy" + ("" if sigma == 1.0 else "_wide")
        rows.append(Row(name, again["sample_accuracy"], recipe))
    return rows


def _factors(run: Run, params: Any, codes: Encoded) -> list[Row]:
    """What known causes of the images the parts of the code follow."""
    dataset = run.dataset
    if not (run.objective.code_parts or dataset.factors):
        return []
    first = dataset.train_x[: encoding.MAX_TRAIN]
    train_x, test_x = (prepared(run, x) for x in (first, dataset.test_x))
    factors = {
        "luminance": (train_x.mean((1, 2, 3)), test_x.mean((1, 2, 3))),
        **{k: (a[: len(first)], b) for k, (a, b) in (dataset.factors or {}).items()},
    }
    train_codes = encode_split(run, params, first)
    rows = []
    for factor, (train, test) in factors.items():
        for name, (dims, part) in code_metrics.part_slices(run.objective).items():
            if part.kind == "class":
                continue
            r2 = code_metrics.linear_r2(
                train_codes.mean[:, dims], train, codes.mean[:, dims], test
            )
            text = f"R^2 on test of a ridge regression on {name} ({part.size} dims)"
            rows.append(Row(f"factor/{factor}/r2_{name}", r2, text))
            best = code_metrics.correlations(codes.mean[:, dims], test)
            text = f"|correlation| with {name}_{int(best.argmax())}, the best dim"
            value = float(best.max())
            rows.append(Row(f"factor/{factor}/correlation_{name}", value, text))
    return rows


def _clusters(run: Run, params: Any, logits: np.ndarray) -> list[Row]:
    settings, labels = run.config.evaluation, run.dataset.test_y
    num_clusters = logits.shape[-1]
    clusters = logits.argmax(-1)
    shares = clustering.occupancy(clusters, num_clusters)
    rows = []
    if labels is not None:
        rows += _against_labels(run, clusters, labels)
        q = np.asarray(jax.nn.softmax(logits))
        found = calibration.matched_probabilities(q, labels)
        how = "q(c|x), clusters matched to labels one to one (Hungarian)"
        rows += calibration.rows(found, labels, "cluster", how)
    rows.append(
        Row(
            "cluster/occupancy",
            shares.tolist(),
            "share of examples, smallest and largest cluster",
        )
    )
    dead = int((shares < DEAD_SHARE).sum())
    rows.append(Row("cluster/dead", dead, f"clusters below {DEAD_SHARE:.1%}"))
    found = assignments.cluster_information(jnp.asarray(logits))
    recipes = {
        "entropy": "nats; mean entropy of q(c|x)",
        "marginal_entropy": f"nats; of mean q(c|x), at most {np.log(num_clusters):.3f}",
        "mutual_information": "nats; I_q(x; c)",
    }
    rows += [Row(f"cluster/{k}", found[k], recipes[k]) for k in recipes]
    if run.objective.prior.mean.shape[0] != num_clusters:
        return rows
    key = jax.random.key(settings.seed)
    again = assignments.reclassification(
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
    starts = clustering.kmeans_starts(num_clusters)
    pairs = itertools.product((("cluster", clusters), ("kmeans", kmeans)), scores)
    return [
        Row(
            f"{source}/{name}",
            score(found, labels),
            recipe
            if source == "cluster"
            else f"k-means on {fitted} raw images, best of {starts}; {recipe}",
        )
        for (source, found), (name, score, recipe) in pairs
        if source == "cluster" or name in ("accuracy", "nmi", "ari")
    ]
