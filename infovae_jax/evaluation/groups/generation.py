"""The group `generation`: samples beside real images, and training on samples."""

from typing import Any

import jax
import numpy as np

from infovae_jax.data import batches
from infovae_jax.evaluation import (
    assignments,
    classifier,
    clustering,
    generation,
    inception,
    subsets,
)
from infovae_jax.evaluation.encoding import Split, Splits
from infovae_jax.evaluation.table import Row
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run

FEW_IMAGES = 10_000  # of which a Frechet distance is biased upwards
CLASSIFIER_STEPS = 1500
ARTIFICIAL_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def rows(run: Run, params: Any, splits: Splits) -> list[Row]:
    """Distances of samples to test images, and training on samples."""
    train, test = splits.train, splits.test
    seed = run.config.evaluation.seed
    real = test.x[subsets.indices(run, "generation")]
    samples = _samples(run.objective, params, len(real), None, seed)
    rows = _inception(run, real, samples)
    if min(samples.shape[1:3]) > 2:
        for name, images in (("samples", samples), ("test", real)):
            text = f"mean variance of the Laplacian, {name}"
            value = generation.sharpness(images)
            rows.append(Row(f"generation/sharpness_{name}", value, text))
    if train.labels is None:
        return rows
    judge = classifier.train_classifier(
        train.x, train.labels, run.dataset.spec.num_labels, CLASSIFIER_STEPS, seed
    )
    value = classifier.accuracy(judge, test.x, test.labels)
    text = f"share; test accuracy of the {judge.recipe}"
    rows.append(Row("generation/judge_accuracy", value, text))
    other = train.x[subsets.within(run, "generation/floor", "codes")]
    near = subsets.within(run, "generation/coverage", "generation")
    rows += _judged(judge, real, samples, other, near, seed)
    if run.objective.classify is not None:
        rows.append(_obedience(run, params, train, judge))
    return rows + _artificial(run, params, splits, judge, seed)


def _inception(run: Run, real: np.ndarray, samples: np.ndarray) -> list[Row]:
    """Frechet and kernel Inception distance, where a file of weights is named."""
    settings = run.config.evaluation
    if settings.inception is None:
        return []
    reason = None
    if real.shape[-1] not in (1, 3):
        reason = f"not computed: images of {real.shape[-1]} channels"
    elif real.min() < 0 or real.max() > 1:
        reason = "not computed: values outside [0, 1]"
    if reason:
        return [Row(f"generation/{name}", None, reason) for name in ("fid", "kid")]
    features = inception.load(settings.inception, settings.inception_sha256)
    real = real[subsets.within(run, "generation/fid", "generation")]
    num = len(real)
    # A Gaussian decoder's means may leave the range of a picture.
    images = np.clip(samples[:num], 0.0, 1.0)
    distances = generation.distances(features, real, images, settings.seed)
    recipe = f"{features.recipe}; {num} samples against {num} test images"
    error = distances.kernel_error
    text = f"unbiased{_error_text(error)}; {recipe}"
    few = "; biased upwards by few images" if num < FEW_IMAGES else ""
    return [
        Row("generation/fid", distances.frechet, recipe + few),
        Row("generation/kid", distances.kernel, text, error),
    ]


def _error_text(error: float | None) -> str:
    return "" if error is None else f", standard error {error:.2g}"


def _judged(judge, real, samples, other, near, seed: int) -> list[Row]:
    """Distances in the features of a classifier, and the classes of samples.

    `near`: which of the real images have their neighbours counted.
    """
    features = [judge.features(x) for x in (real, samples, other)]
    moments = [generation.moments(f) for f in features]
    recipe = f"{judge.recipe}; {len(samples)} samples"
    rows = [
        Row(
            "generation/frechet",
            generation.frechet_distance(*moments[0], *moments[1]),
            f"Frechet distance of features, not FID; {recipe} against test",
        ),
        Row(
            "generation/frechet_floor",
            generation.frechet_distance(*moments[0], *moments[2]),
            "the same of training images against test",
        ),
    ]
    value, error = generation.kernel_distance(features[0], features[1], seed=seed)
    text = f"unbiased{_error_text(error)}; {recipe}"
    rows.append(Row("generation/kernel", value, text, error))
    few = len(near)
    shares = generation.coverage(features[0][near], features[1][:few])
    for name, share in shares.items():
        text = f"5 neighbours, {few} of each; {judge.recipe}"
        rows.append(Row(f"generation/{name}", share, text))
    for name, share in generation.class_balance(judge.probabilities(samples)).items():
        rows.append(Row(f"generation/{name}", share, f"classes of samples; {recipe}"))
    return rows


def _samples(objective, params: Any, num: int, cluster, seed: int) -> np.ndarray:
    key = jax.random.key(seed)
    sample = seldom(objective.sample, static_argnums=2)
    parts = []
    for number, start in enumerate(range(0, num, 1000)):
        part = None if cluster is None else cluster[start : start + 1000]
        count = min(1000, num - start)
        key_part = jax.random.fold_in(key, number)
        parts.append(np.asarray(sample(key_part, params, count, part)))
    return np.concatenate(parts)


def _artificial(run, params, splits: Splits, judge, seed: int) -> list[Row]:
    """Classification accuracy score: trained on samples in part, tested on images.

    Of classes (N-VAE) by samples of twice the prior's variance, too.
    """
    train = splits.train
    rows_of = np.empty(len(run.dataset.train_x), np.int64)
    rows_of[subsets.indices(run, "codes")] = np.arange(len(train.x))
    # In a random order: a share of them gives way to samples.
    order = rows_of[subsets.in_order(run, "artificial")]
    real = train.x[order], train.labels[order]

    def scores(shares, name, objective, recipe=""):
        *made, how = _labelled_samples(run, params, *real, judge, objective)
        for share in shares:
            value = _trained_on(run, splits.test, real, made, share, seed)
            text = f"share; trained on {len(order)} images, {share:.0%} samples; {how}"
            yield Row(f"artificial/{name}_{share:g}", value, text + recipe)

    rows = list(scores(ARTIFICIAL_SHARES, "accuracy", run.objective))
    if run.objective.uses_labels:
        wide = assignments.widened(run.objective, assignments.WIDE_SIGMA)
        recipe = f"; sigma {assignments.WIDE_SIGMA}"
        rows += scores(ARTIFICIAL_SHARES[1:], "accuracy_wide", wide, recipe)
    return rows


def _trained_on(run, test: Split, real, made, share: float, seed: int) -> float:
    """Test accuracy of a classifier that learned from a share of what was made."""
    count = int(round(share * len(real[0])))
    mixed, target = (
        np.concatenate([artificial[:count], kept[count:]])
        for artificial, kept in zip(made, real, strict=True)
    )
    model = classifier.train_classifier(
        mixed, target, run.dataset.spec.num_labels, CLASSIFIER_STEPS, seed
    )
    return classifier.accuracy(model, test.x, test.labels)


def _obedience(run: Run, params: Any, train: Split, judge) -> Row:
    """Whether what a cluster generates is what its examples are, by a second reader."""
    matched, how = _matched(run, params, train.x, train.labels)
    usable = np.flatnonzero(matched >= 0)
    clusters = np.repeat(usable, run.config.evaluation.samples_per_cluster)
    seed = run.config.evaluation.seed
    samples = _samples(run.objective, params, len(clusters), clusters, seed)
    right = judge.probabilities(samples).argmax(-1) == matched[clusters]
    least = right.reshape(len(usable), -1).mean(1).min()
    text = (
        f"share of {len(samples)} samples that are read as the label of their cluster, "
        f"smallest cluster {least:.3f}; {how}, read by the {judge.recipe}, which "
        "learned from the training labels; they score alone"
    )
    return Row("generation/sample_accuracy", float(right.mean()), text)


def _matched(run: Run, params: Any, x, labels) -> tuple[np.ndarray, str]:
    """The label of each cluster `[K]`, -1 where it has none, and how it was found."""
    num_clusters = run.objective.prior.mean.shape[0]
    if run.objective.uses_labels:
        return np.arange(num_clusters), "classes of the prior"
    classify = seldom(lambda batch: run.objective.classify(params, batch).argmax(-1))
    size = run.config.evaluation.batch_size
    nearest = batches.map_batches(classify, x, size)
    table = clustering.contingency(nearest, labels, num_clusters)
    return clustering.match_clusters(table), "clusters matched on training images"


def _labelled_samples(run, params, x, labels, judge, objective):
    """As many samples as images `x` `[n, H, W, C]`, their labels, and whence these.

    A label is the class (N-VAE), the label matched to the cluster on the given
    images, or what the judge says where the objective has no clusters.
    """
    num, seed = len(x), run.config.evaluation.seed
    if objective.classify is None:
        samples = _samples(objective, params, num, None, seed)
        how = "labels by the classifier of real images"
        return samples, judge.probabilities(samples).argmax(-1), how
    matched, how = _matched(run, params, x, labels)
    usable = np.flatnonzero(matched >= 0)
    clusters = usable[np.arange(num) % len(usable)]
    samples = _samples(objective, params, num, clusters, seed)
    return samples, matched[clusters], how
