"""The core: bound, likelihood, code, clusters or classes, and factors of every run."""

import itertools
from typing import Any

import jax
import numpy as np

from infovae_jax.data import raw_splits
from infovae_jax.data.subsets import take
from infovae_jax.evaluation import (
    assignments,
    calibration,
    clustering,
    density,
    encoding,
    subsets,
    tabular,
)
from infovae_jax.evaluation import codes as code_metrics
from infovae_jax.evaluation.assignments import DEAD_SHARE
from infovae_jax.evaluation.encoding import Codes, Encoded, Prepared, prepared
from infovae_jax.evaluation.table import Row
from infovae_jax.training.elbo import make_bound_evaluator
from infovae_jax.training.run import Run

# Mean KL per dimension in a class from which it counts as a factor of that class.
FACTOR_KL = 0.1


def rows(run: Run, params: Any, codes: Codes) -> list[Row]:
    """The rows that no run goes without."""
    rows = bound_rows(run, params)
    encoding.require_finite(codes.test.mean, "active_units")
    rows.append(
        Row(
            "active_units",
            code_metrics.active_units(codes.test.mean),
            f"of {run.objective.latent_dim} dims; Var of posterior means > 0.01",
        )
    )
    rows += _reconstruction(run, params, codes)
    if run.objective.uses_labels:
        rows += _classes(run, params, codes.test)
    elif run.objective.classify is not None:
        rows += _clusters(run, params, codes.test.logits)
    rows += _code_parts(run, params, codes.test)
    return rows + _columns(run, params, codes.test) + _factors(run, codes)


def _columns(run: Run, params: Any, codes: Encoded) -> list[Row]:
    """How well each column of a table comes back from posterior means."""
    if not run.dataset.spec.blocks:
        return []
    x = np.asarray(run.dataset.test_x)
    mean = code_metrics.decoded(run.objective, params, codes.mean)
    flat = (array.reshape(len(x), -1) for array in (x, mean))
    found = tabular.column_scores(run.dataset.intake.scheme, *flat)
    return [Row(f"column/{name}", *score) for name, score in found.items()]


def bound_rows(run: Run, params: Any) -> list[Row]:
    """The evidence lower bound and its terms, and closer bounds on log p(x)."""
    evaluate = make_bound_evaluator(run)
    bound = evaluate(params)
    some = take(run.dataset.test_x, subsets.indices(run, "nll"))
    same = bound if len(some) == len(run.dataset.test_x) else evaluate(params, some)
    same = same["test/elbo"]
    rows = [Row("elbo", bound.pop("test/elbo"), f"nats; {run.objective.bound_recipe}")]
    for name, value in bound.items():
        rows.append(Row(name.replace("test/", "elbo/"), value, "nats; a term of -elbo"))
    return rows + density.density_rows(run, params, same)


def _reconstruction(run: Run, params: Any, codes: Codes) -> list[Row]:
    """What reconstructions tell of the examples that the NLL is of."""
    some = subsets.indices(run, "nll")
    x = prepared(run, take(run.dataset.test_x, some))
    error, explained = code_metrics.reconstruction(
        run.objective, params, x, codes.test.mean[some]
    )
    how, which = "by decoder means at posterior means", subsets.text(run, "nll")
    share = f"share of the variance of x, {how}; {which}"
    if explained is None:
        share = f"not reported: all examples are alike; {which}"
    total = f"|x - decoded|^2 an example, {how}; {which}"
    return [
        Row("reconstruction/explained", explained, share),
        Row("reconstruction/squared_error", error, total),
    ]


def _code_parts(run: Run, params: Any, codes: Encoded) -> list[Row]:
    """Information and rate of the code, and of its parts where it has some."""
    objective, settings = run.objective, run.config.evaluation
    key_data, key_prior = jax.random.split(jax.random.key(settings.seed))
    parts = code_metrics.part_slices(objective)
    uncertain = np.concatenate(
        [np.full(part.size, part.kind == "prior") for _, part in parts.values()]
    )
    rows = []
    # Codes of clusters: the mean alone is that of one of K posteriors.
    if objective.classify is None or objective.uses_labels:
        posteriors = codes.mean[:, uncertain], codes.log_var[:, uncertain]
        rows += _information(*posteriors, key_data, run)
    bounds = code_metrics.generated_information(objective, params, key_prior)
    recipe = "nats; bound on I({}; x'), x' drawn from p(x|z), z from the prior"
    for name, (dims, part) in parts.items():
        if part.kind == "class":
            continue
        label = f"information/generated_{name}"
        text = f"{recipe.format(name)}; sum over {part.size} dims"
        rows.append(Row(label, float(bounds[dims].sum()), text))
        text = recipe.format(f"{name}_j") + "; the best dim"
        rows.append(Row(f"{label}_max", float(bounds[dims].max()), text))
    if not objective.code_parts:
        return rows
    rate = code_metrics.rate_per_dim(codes.mean, codes.log_var)
    for name, (dims, part) in parts.items():
        if part.kind == "prior":
            text = f"nats; KL(q({name}|x) || N(0, I))"
            rows.append(Row(f"rate/{name}", float(rate[dims].sum()), text))
    x = Prepared(run, run.dataset.test_x)
    errors = code_metrics.masked_errors(objective, params, x, codes.mean)
    for name, value in errors.items():
        text = "squared error an example, from posterior means"
        if name != "all":
            text += "; other parts at their mean"
        rows.append(Row(f"squared_error/{name}", value, text))
    return rows


def _information(mean: np.ndarray, log_var: np.ndarray, key, run: Run) -> list[Row]:
    """Information of the image in codes of posteriors `[n, d]`, from both sides."""
    compared = subsets.indices(run, "information/bounds")
    n = len(compared)
    pair = [take(array, compared) for array in (mean, log_var)]
    bounds = code_metrics.information_bounds(*pair, key)
    recipe = f"nats; I_q(x; z) of {n} test examples, at most log n = {np.log(n):.2f}"
    rows = [Row("information/data", bounds.lower, recipe)]
    near = f"within {code_metrics.SATURATED} nats of log n"
    saturated = f"not reported: the lower bound is {near}"
    for name, value, text in (
        ("data_upper", bounds.upper, "nats; the same from above, leave-one-out"),
        ("aggregate_kl", bounds.aggregate_kl, "nats; KL(q(z) || N(0, I)) = rate - I"),
    ):
        text = saturated if value is None else text
        rows.append(Row(f"information/{name}", value, text))
    chosen = subsets.indices(run, "information/total_correlation")
    some = [take(array, chosen) for array in (mean, log_var)]
    value = code_metrics.total_correlation(*some, key)
    text = f"nats; KL(q(z) || prod q(z_j)) of {len(some[0])} test examples"
    return [*rows, Row("information/total_correlation", value, text)]


def _classes(run: Run, params: Any, codes: Encoded) -> list[Row]:
    """How well the labels are told, by the classifier and in what is generated."""
    objective, settings = run.objective, run.config.evaluation
    rows = []
    if run.dataset.test_y is not None:
        labels = np.asarray(run.dataset.test_y)
        rows += _classification(run, codes.logits, labels)
        rows += _class_factors(run, codes, labels)
    key = jax.random.key(settings.seed)
    for sigma in (1.0, assignments.WIDE_SIGMA):
        wide = assignments.widened(objective, sigma)
        scores = assignments.reclassification(
            wide, params, key, settings.samples_per_cluster
        )
        count = settings.samples_per_cluster
        recipe = f"share; {count} samples per class, sigma {sigma}"
        name = "sample/accuracy" + ("" if sigma == 1.0 else "_wide")
        rows.append(Row(name, scores["sample_accuracy"], recipe))
    return rows


def _classification(run: Run, logits: np.ndarray, labels: np.ndarray) -> list[Row]:
    """q(y | x) of logits `[n, L]` against labels `[n]`."""
    known = int((run.labels >= 0).sum())
    log_q = np.asarray(jax.nn.log_softmax(logits))
    accuracy = float((logits.argmax(-1) == labels).mean())
    loss = -float(log_q[np.arange(len(labels)), labels].mean())
    recipe = f"share; argmax q(y|x), {known} labels seen in training"
    return [
        Row("classification/accuracy", accuracy, recipe),
        Row("classification/cross_entropy", loss, "nats"),
        *calibration.rows(np.exp(log_q), labels, "classification", "q(y|x)"),
    ]


def _class_factors(run: Run, codes: Encoded, labels: np.ndarray) -> list[Row]:
    """In which classes each dimension of [z_s; z_c] is used."""
    num_classes = codes.logits.shape[-1]
    parts = code_metrics.part_slices(run.objective)
    inner = slice(0, parts["y"][0].start)
    table = code_metrics.kl_by_class(
        codes.mean[:, inner], codes.log_var[:, inner], labels, num_classes
    )
    # A class without test examples has no figures, and JSON no NaN.
    shown = [[v if v == v else None for v in row] for row in table.tolist()]
    text = "nats; mean KL of each dim of [z_s; z_c], by class"
    rows = [Row("factors/kl_by_class", shown, text)]
    if "z_c" in parts:
        blocks = table[:, parts["z_c"][0]].reshape(num_classes, num_classes, -1)
        of_class = blocks[np.arange(num_classes), np.arange(num_classes)]
        text = f"dims of a class's own block with KL > {FACTOR_KL} nats in it"
        count = int((of_class > FACTOR_KL).sum())
        rows.append(Row("factors/of_classes", count, text))
    present = ~np.isnan(table).any(1)
    shared = table[present][:, parts["z_s"][0]] > FACTOR_KL
    text = f"shared dims with KL > {FACTOR_KL} nats in most classes"
    count = int((shared.mean(0) > 0.5).sum())
    return [*rows, Row("factors/shared", count, text)]


def _factors(run: Run, codes: Codes) -> list[Row]:
    """What known causes of the images the parts of the code follow."""
    dataset = run.dataset
    if dataset.spec.blocks or not (run.objective.code_parts or dataset.factors):
        return []
    rows = codes.train_rows
    used = take(dataset.train_x, rows)
    train_x, test_x = (Prepared(run, x) for x in (used, dataset.test_x))
    factors = {
        "luminance": (train_x.luminance, test_x.luminance),
        **{k: (a[rows], b) for k, (a, b) in (dataset.factors or {}).items()},
    }
    found = []
    for factor, (train, test) in factors.items():
        for name, (dims, part) in code_metrics.part_slices(run.objective).items():
            if part.kind == "class":
                continue
            r2 = code_metrics.linear_r2(
                codes.train.mean[:, dims], train, codes.test.mean[:, dims], test
            )
            text = f"R^2 on test of a ridge regression on {name} ({part.size} dims)"
            found.append(Row(f"factor/{factor}/r2_{name}", r2, text))
            best = code_metrics.correlations(codes.test.mean[:, dims], test)
            text = f"|correlation| with {name}_{int(best.argmax())}, the best dim"
            value = float(best.max())
            found.append(Row(f"factor/{factor}/correlation_{name}", value, text))
    return found


def _clusters(run: Run, params: Any, logits: np.ndarray) -> list[Row]:
    """The clusters of logits `[n, K]` of q(c | x), and samples told apart."""
    settings, labels = run.config.evaluation, run.dataset.test_y
    num_clusters = logits.shape[-1]
    clusters = logits.argmax(-1)
    rows = []
    if labels is not None:
        rows += _against_labels(run, clusters, labels)
        q = np.asarray(jax.nn.softmax(logits))
        probabilities = calibration.matched_probabilities(q, labels)
        how = "q(c|x), clusters matched to labels one to one (Hungarian)"
        rows += calibration.rows(probabilities, labels, "cluster", how)
    found = assignments.figures(logits)
    text = "share of examples, smallest and largest cluster"
    rows += [
        Row("cluster/occupancy", found["occupancy"], text),
        Row("cluster/dead", found["dead"], f"clusters below {DEAD_SHARE:.1%}"),
    ]
    if raw_splits.are_rows(run.dataset.spec.shape):
        rows += _of_rows(run, clusters, num_clusters)
    recipes = {
        "entropy": "nats; mean entropy of q(c|x)",
        "marginal_entropy": f"nats; of mean q(c|x), at most {np.log(num_clusters):.3f}",
        "mutual_information": "nats; I_q(x; c)",
    }
    rows += [Row(f"cluster/{k}", found[k], recipes[k]) for k in recipes]
    scores = assignments.reclassification(
        run.objective,
        params,
        jax.random.key(settings.seed),
        settings.samples_per_cluster,
    )
    recipe = f"{settings.samples_per_cluster} samples per cluster"
    rows.append(Row("sample/accuracy", scores["sample_accuracy"], f"share; {recipe}"))
    rows.append(Row("sample/mi_bound", scores["mi_bound"], f"nats; {recipe}"))
    return rows


def _of_rows(run: Run, clusters: np.ndarray, num_clusters: int) -> list[Row]:
    """Clusters beside k-means, and what they tell of each column; no label is used."""
    intake, x = run.dataset.intake, np.asarray(run.dataset.test_x)
    found = tabular.of_clusters(x, clusters, num_clusters, intake and intake.scheme)
    recipes = {
        "kmeans/agreement": "NMI of the clusters with those of k-means on the same",
        "kmeans/silhouette": "mean; of k-means on the same",
        "cluster/silhouette": "mean, in the space of the scaled rows",
    }
    drawn = f"; {min(len(x), clustering.MAX_ROWS)} test rows"
    column = "of the column; NMI of a category, variance between clusters of a number"
    return [
        Row(name, value, recipes[name] + drawn if name in recipes else column)
        for name, value in found.items()
    ]


def _against_labels(run: Run, clusters: np.ndarray, labels: np.ndarray) -> list[Row]:
    """Agreement of the clusters with the labels, and k-means beside it."""
    num_clusters = run.objective.prior.mean.shape[0]
    scores = (
        ("accuracy", clustering.clustering_accuracy, "Hungarian, one to one"),
        ("nmi", clustering.normalized_mutual_information, "arithmetic mean"),
        ("ari", clustering.adjusted_rand_index, "corrected for chance"),
        ("purity", clustering.purity, "majority vote, many to one"),
    )
    fitted = take(run.dataset.train_x, subsets.indices(run, "kmeans"))
    kmeans = clustering.kmeans_clusters(fitted, run.dataset.test_x, num_clusters)
    what = raw_splits.called(run.dataset.spec.shape)
    if run.dataset.spec.blocks:
        what = "rows, standardised and one-hot"
    images = f"{len(fitted)} raw {what}"
    if len(fitted) < len(run.dataset.train_x):
        images += f", drawn by seed {run.config.evaluation.seed}"
    starts = clustering.kmeans_starts(num_clusters)
    pairs = itertools.product((("cluster", clusters), ("kmeans", kmeans)), scores)
    return [
        Row(
            f"{source}/{name}",
            score(numbers, labels),
            recipe
            if source == "cluster"
            else f"k-means on {images}, best of {starts}; {recipe}",
        )
        for (source, numbers), (name, score, recipe) in pairs
        if source == "cluster" or name in ("accuracy", "nmi", "ari")
    ]
