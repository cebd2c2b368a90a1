"""Groups of figures that take longer, asked for by `--metrics`.

Each is a function of a run, its parameters and the codes of both splits that gives
rows of figures, or none where the data lack what it needs.
"""

from typing import Any

import jax
import numpy as np
from infovae_jax.evaluation.representation import representation

from infovae_jax.data import batches
from infovae_jax.evaluation import (
    annealing,
    classifier,
    clustering,
    density,
    disentanglement,
    generation,
    inception,
)
from infovae_jax.evaluation.encoding import Splits, make_splits
from infovae_jax.evaluation.table import Row
from infovae_jax.training.run import Run

MAX_PAIRS = 10_000
MAX_IMAGES = 10_000
PRDC_IMAGES = 2_000
CLASSIFIER_STEPS = 1500
AIS_EXAMPLES, AIS_TEMPERATURES, AIS_CHAINS = 20, 500, 8
ARTIFICIAL_SHARES = (0.0, 0.4, 1.0)


def disentangling(run: Run, params: Any, splits: Splits) -> list[Row]:
    """Scores against the factors that the data carry, and the label beside them."""
    del params
    if not run.dataset.factors:
        return []
    known = {name: test for name, (_, test) in run.dataset.factors.items()}
    if splits.test.labels is not None:
        known["label"] = splits.test.labels
    codes, seed = splits.test.codes, run.config.evaluation.seed
    if len(codes) > MAX_PAIRS:
        chosen = np.random.default_rng(seed).choice(len(codes), MAX_PAIRS, False)
        codes = codes[chosen]
        known = {name: values[chosen] for name, values in known.items()}
    by_name = disentanglement.distinct(known)
    factors = np.stack(list(by_name.values()), 1)
    parts = disentanglement.dci(codes, factors, seed)
    scores = {
        "mig": (disentanglement.mig(codes, factors), "gap over H, 20 bins"),
        "modularity": (disentanglement.modularity(codes, factors), "20 bins"),
        "sap": (disentanglement.sap(codes, factors, seed=seed), "linear SVM a dim"),
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


def generating(run: Run, params: Any, splits: Splits) -> list[Row]:
    """Distances of samples to test images, and training on samples."""
    train, test = splits.train, splits.test
    seed = run.config.evaluation.seed
    num = min(MAX_IMAGES, len(test.x))
    made, real = _samples(run, params, num, None, seed), test.x[:num]
    rows = _inception(run, real, made)
    if min(made.shape[1:3]) > 2:
        for name, images in (("samples", made), ("test", real)):
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
    rows += _judged(judge, real, made, train.x[:num], seed)
    return rows + _artificial(run, params, splits, judge, seed)


def _inception(run: Run, real: np.ndarray, made: np.ndarray) -> list[Row]:
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
    num = min(settings.inception_samples, len(real))
    # A Gaussian decoder's means may leave the range of a picture.
    images = np.clip(made[:num], 0.0, 1.0)
    found = generation.distances(features, real[:num], images, settings.seed)
    recipe = f"{features.recipe}; {num} samples against {num} test images"
    error = f"standard error {found.kernel_error:.2g}"
    few = "; biased upwards by few images" if num < MAX_IMAGES else ""
    return [
        Row("generation/fid", found.frechet, recipe + few),
        Row("generation/kid", found.kernel, f"unbiased, {error}; {recipe}"),
    ]


def _judged(judge, real, made, other, seed: int) -> list[Row]:
    """Distances in the features of a classifier, and the classes of samples."""
    features = [judge.features(x) for x in (real, made, other)]
    moments = [generation.moments(f) for f in features]
    recipe = f"{judge.recipe}; {len(made)} samples"
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
    rows.append(
        Row("generation/kernel", value, f"standard error {error:.2g}; {recipe}")
    )
    few = min(PRDC_IMAGES, len(made))
    found = generation.coverage(features[0][:few], features[1][:few])
    for name, share in found.items():
        text = f"5 neighbours, {few} of each; {judge.recipe}"
        rows.append(Row(f"generation/{name}", share, text))
    for name, share in generation.class_balance(judge.probabilities(made)).items():
        rows.append(Row(f"generation/{name}", share, f"classes of samples; {recipe}"))
    return rows


def _samples(run: Run, params: Any, num: int, cluster, seed: int) -> np.ndarray:
    key = jax.random.key(seed)
    sample = jax.jit(run.objective.sample, static_argnums=2)
    parts = []
    for number, start in enumerate(range(0, num, 1000)):
        part = None if cluster is None else cluster[start : start + 1000]
        count = min(1000, num - start)
        key_part = jax.random.fold_in(key, number)
        parts.append(np.asarray(sample(key_part, params, count, part)))
    return np.concatenate(parts)


def _artificial(run, params, splits: Splits, judge, seed: int) -> list[Row]:
    """Classification accuracy score: trained on samples in part, tested on images.

    Labels of samples: the class (N-VAE), the label matched to the cluster on the
    training split, or what the judge says where the prior has one component.
    """
    train, test = splits.train, splits.test
    num = min(MAX_IMAGES, len(train.x))
    order = batches.batch_indices(seed, 0, 1, len(train.x), num)[0]
    x, labels = train.x[order], train.labels[order]
    num_clusters = run.objective.prior.mean.shape[0]
    if num_clusters > 1:
        matched = np.arange(num_clusters)
        how = "classes of the prior"
        if not run.objective.uses_labels:
            logits = run.objective.classify(params, x)
            table = clustering.contingency(
                np.asarray(logits).argmax(-1), labels, num_clusters
            )
            matched = clustering.match_clusters(table)
            how = "clusters matched on training images"
        usable = np.flatnonzero(matched >= 0)
        clusters = usable[np.arange(num) % len(usable)]
        made, made_labels = (
            _samples(run, params, num, clusters, seed),
            matched[clusters],
        )
    else:
        made = _samples(run, params, num, None, seed)
        made_labels = judge.probabilities(made).argmax(-1)
        how = "labels by the classifier of real images"
    rows = []
    for share in ARTIFICIAL_SHARES:
        count = int(round(share * num))
        mixed = np.concatenate([made[:count], x[count:]])
        target = np.concatenate([made_labels[:count], labels[count:]])
        model = classifier.train_classifier(
            mixed, target, run.dataset.spec.num_labels, CLASSIFIER_STEPS, seed
        )
        value = classifier.accuracy(model, test.x, test.labels)
        text = f"share; trained on {num} images, {share:.0%} samples; {how}"
        rows.append(Row(f"artificial/accuracy_{share:g}", value, text))
    return rows


def likelihood(run: Run, params: Any, splits: Splits) -> list[Row]:
    """Annealed importance sampling of test images, and its gap on the model's own."""
    key_test, key_gap = jax.random.split(jax.random.key(run.config.evaluation.seed))
    forward, backward = annealing.make_annealing(
        run.objective, AIS_TEMPERATURES, AIS_CHAINS
    )
    x = splits.test.x[:AIS_EXAMPLES]
    found = forward(params, x, key_test)
    gap = annealing.bidirectional_gap(
        run.objective, params, forward, backward, AIS_EXAMPLES, key_gap
    )
    nll = -np.asarray(found.log_prob)
    density.require_finite(nll, "ais/nll")
    density.require_finite(np.array([gap["gap"]]), "ais/gap")
    recipe = f"{AIS_TEMPERATURES} temperatures, {AIS_CHAINS} chains"
    error = density.standard_error(nll)
    spread = "" if error is None else f", standard error {error:.2g}"
    acceptance = float(found.acceptance)
    warning = "" if acceptance >= 0.2 else "; FAILED: the chains hardly moved"
    return [
        Row(
            "ais/nll",
            float(nll.mean()),
            f"nats; {recipe}, the first {len(x)} test examples{spread}{warning}",
        ),
        Row("ais/acceptance", acceptance, "share of accepted moves, 0.65 aimed at"),
        Row(
            "ais/gap",
            gap["gap"],
            f"nats; upper minus lower bound on {AIS_EXAMPLES} samples; {recipe}",
        ),
    ]


__all__ = ["GROUPS", "Splits", "make_splits"]

GROUPS = {
    "likelihood": likelihood,
    "representation": representation,
    "disentanglement": disentangling,
    "generation": generating,
}
