"""Every public metric on inputs that it must refuse, found by discovery.

A metric is a public function of METRICS whose arguments all have an example below.
Functions of an objective are told by their arguments and left out.
"""

import inspect

import chex
import jax
import numpy as np
import pytest

from infovae_jax.errors import DataError, MetricError
from infovae_jax.evaluation import (
    assignments,
    calibration,
    clustering,
    codes,
    disentanglement,
    generation,
    probes,
    stability,
    transductive,
)

METRICS = (
    calibration,
    clustering,
    codes,
    disentanglement,
    generation,
    assignments,
    probes,
    stability,
    transductive,
)
NOT_ARRAYS = {"objective", "run", "params", "splits"}
RNG = np.random.default_rng(0)
N = 24
Z = RNG.normal(size=(N, 3)).astype(np.float32)
CLASSES = np.arange(N) % 3
SIMPLEX = RNG.dirichlet(np.ones(3), N)
# Argument -> (example, rows that it shares with others of the same name here).
EXAMPLES = {
    "codes": (Z, "n"),
    "found": (Z + 0.1, "n"),
    "mean": (Z, "n"),
    "means": (Z, "n"),
    "log_var": (np.zeros_like(Z), "n"),
    "logits": (Z, "n"),
    "features": (Z, "n"),
    "factors": (CLASSES[:, None], "n"),
    "factor": (Z[:, 0], "n"),
    "labels": (CLASSES, "n"),
    "clusters": (CLASSES, "n"),
    "clusterings": (np.stack([CLASSES, CLASSES]), None),
    "classes": (CLASSES, "n"),
    "probabilities": (SIMPLEX, "n"),
    "a": (CLASSES, "n"),
    "b": (CLASSES, "n"),
    "table": (np.eye(3), None),
    "train": (Z, "train"),
    "train_labels": (CLASSES, "train"),
    "train_codes": (Z, "train"),
    "train_factor": (Z[:, 0], "train"),
    "test": (Z + 1, "test"),
    "test_labels": (CLASSES, "test"),
    "test_codes": (Z, "test"),
    "test_factor": (Z[:, 0], "test"),
    "unlabelled": (Z + 1, None),
    "others": (Z, None),
    "train_x": (Z, None),
    "test_x": (Z, None),
    "real": (Z, None),
    "made": (Z + 0.1, None),
    "mean1": (np.zeros(3), "f"),
    "mean2": (np.ones(3), "f"),
    "cov1": (np.eye(3), "f"),
    "cov2": (np.eye(3), "f"),
    "images": (RNG.random((N, 5, 5, 1)), None),
    "x": (RNG.random((N, 5, 5, 1)), None),
}
SCALARS = {
    "key": jax.random.key(0),
    "num": 6,
    "seed": 0,
    "num_classes": 3,
    "num_clusters": 3,
    "max_examples": N,
    "sigma": 0.1,
    "probability": 0.1,
    "bins": 5,
    "clean": 0.9,
    "levels": {0.5: 0.8},
    "prefix": "cluster",
    "how": "by hand",
    "targets": np.where(CLASSES > 0, 1, -1),
    "weights": np.ones(N),
    "start": np.zeros(4),
    # Of the scores that vote: fewer, for the time.
    "num_train": 20,
    "num_test": 20,
    "num_subsets": 2,
}
# Checked elsewhere: a solver behind the SVM, a plain dict and number, and below what
# takes a dict of factors or a function of images.
OWN_TESTS = {"rounded_svm", "robustness", "distinct", "distances"}


def find_metrics():
    for module in METRICS:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or name.startswith("_"):
                continue
            of_model = NOT_ARRAYS & set(inspect.signature(function).parameters)
            if name not in OWN_TESTS and not of_model:
                yield pytest.param(function, id=f"{module.__name__[22:]}.{name}")


FOUND = list(find_metrics())


def arguments(function):
    """Positional and keyword examples, and the names of the arrays among them."""
    positional, keywords, names = [], {}, []
    for name, parameter in inspect.signature(function).parameters.items():
        known = name in EXAMPLES or name in SCALARS
        if parameter.kind == parameter.VAR_KEYWORD:
            continue
        if parameter.default is not parameter.empty and not known:
            continue
        assert known, f"give an example of '{name}' to this test"
        value = EXAMPLES[name][0] if name in EXAMPLES else SCALARS[name]
        if name in EXAMPLES:
            names.append(name)
        if parameter.default is not parameter.empty:
            keywords[name] = value
        else:
            positional.append((name, value))
    return positional, keywords, names


def called_with(function, changed):
    positional, keywords, _ = arguments(function)
    values = [changed.get(name, value) for name, value in positional]
    return function(*values, **keywords)


def refused(function, name, value, error=DataError):
    with pytest.raises(error) as caught:
        called_with(function, {name: value})
    message = caught.value.line()
    assert name in message
    assert "metrics" in message or len(caught.value.where) > len(name)
    return caught.value


@pytest.mark.parametrize("function", FOUND)
def test_good_arrays_give_finite_numbers(function):
    for leaf in jax.tree.leaves(called_with(function, {})):
        if isinstance(leaf, (float, int, np.ndarray)) and function.__name__ not in (
            "reliability",  # nan is its word for an empty bin
        ):
            chex.assert_tree_all_finite(leaf)


@pytest.mark.parametrize("function", FOUND)
def test_nan_and_infinity_are_refused_by_name(function):
    for name in arguments(function)[2]:
        for bad in (np.nan, np.inf):
            broken = np.array(EXAMPLES[name][0], np.float64)
            broken.flat[1] = bad
            assert refused(function, name, broken, MetricError).exit_code == 5


@pytest.mark.parametrize("function", FOUND)
def test_empty_arrays_are_refused_by_name(function):
    for name in arguments(function)[2]:
        assert refused(function, name, EXAMPLES[name][0][:0]).exit_code == 3


@pytest.mark.parametrize("function", FOUND)
def test_arrays_of_unlike_lengths_are_refused_by_name(function):
    names = arguments(function)[2]
    for name in names:
        example, rows = EXAMPLES[name]
        alike = [other for other in names if EXAMPLES[other][1] == rows]
        if rows is not None and len(alike) > 1:
            refused(function, name, example[:-1])


def test_codes_of_unlike_widths_are_refused():
    narrow = Z[:, :2]
    with pytest.raises(DataError, match="train of .*test of"):
        probes.knn_probe(Z, CLASSES, narrow, CLASSES)
    with pytest.raises(DataError, match="train of .*unlabelled of"):
        transductive.transductive_svm(Z, CLASSES, narrow)
    with pytest.raises(DataError, match="real of .*made of"):
        generation.kernel_distance(Z, narrow)
    with pytest.raises(DataError, match="mean of .*log_var of"):
        codes.information_bounds(Z, narrow, jax.random.key(0))


def test_factors_and_features_that_are_not_finite_are_refused():
    broken = Z.copy()
    broken[1, 0] = np.nan
    with pytest.raises(MetricError, match=r"nan in azimuth at \[1\]"):
        disentanglement.distinct({"label": CLASSES, "azimuth": broken[:, 0]})
    with pytest.raises(DataError, match="azimuth of shape"):
        disentanglement.distinct({"azimuth": Z[:0, 0]})
    own = generation.Features("own", lambda x: x, "the numbers themselves")
    for real, made in ((broken, Z), (Z, broken)):
        with pytest.raises(MetricError, match="nan in the features"):
            generation.distances(own, real, made)
    with pytest.raises(DataError, match="features of shape"):
        generation.distances(own, Z, Z[:0])


def test_one_class_one_cluster_and_constant_codes():
    """The documented values of what has nothing to measure."""
    one, still = np.zeros(N, int), np.ones((N, 3), np.float32)
    assert clustering.normalized_mutual_information(one, CLASSES) == 0.0
    assert clustering.adjusted_rand_index(one, CLASSES) == 0.0
    assert clustering.clustering_accuracy(one, CLASSES) == pytest.approx(1 / 3)
    assert clustering.normalized_mutual_information(one, one) == 1.0
    assert clustering.adjusted_rand_index(one, one) == 1.0
    assert clustering.purity(one, one) == 1.0
    for score in (
        disentanglement.mig,
        disentanglement.modularity,
        disentanglement.sap,
        disentanglement.irs,
        disentanglement.factor_vae_score,
    ):
        assert score(still, np.stack([CLASSES, CLASSES % 2], 1)) == pytest.approx(0.0)
    assert codes.active_units(still) == 0
    assert (codes.correlations(still, Z[:, 0]) == 0).all()
    assert codes.linear_r2(Z, Z[:, 0], Z, np.ones(N)) == 0.0
    assert abs(codes.linear_r2(still, Z[:, 0], still, Z[:, 0])) < 1e-6
    assert (codes.gaussian_channel_information(still, still) == 0).all()
    assert (codes.gaussian_channel_information(still, Z) == 0).all()
    shares = [np.bincount(CLASSES).max() / N]
    assert probes.linear_probe(still, CLASSES, still, CLASSES) in shares
    assert probes.linear_probe(Z, one, Z, one) == 1.0
    assert probes.knn_probe(Z, one, Z, one) == 1.0
    assert (transductive.transductive_svm(Z, one, Z) == 0).all()
    assert probes.robustness(0.0, {0.5: 0.0}) == {"area": 0.0, "worst": 0.0}
    with pytest.raises(MetricError, match="levels"):
        probes.robustness(0.5, {0.1: np.nan})


def test_fewer_samples_than_dims_and_a_single_one():
    wide = RNG.normal(size=(4, 30)).astype(np.float32)
    labels = np.array([0, 1, 0, 1])
    assert probes.linear_probe(wide, labels, wide, labels) == 1.0
    assert probes.knn_probe(wide[:1], labels[:1], wide, labels) == 0.5
    assert (transductive.transductive_svm(wide, labels, wide) == labels).all()
    mean, covariance = generation.moments(wide)
    distance = generation.frechet_distance(mean, covariance, mean, covariance)
    assert distance == pytest.approx(0.0, abs=1e-6)
    alone = codes.information_bounds(wide[:1], 0 * wide[:1], jax.random.key(0))
    assert alone.lower == pytest.approx(0.0, abs=1e-5)
    assert alone.upper is None
    assert codes.active_units(wide[:1]) == 0
    found = clustering.kmeans_clusters(wide, wide, 10)
    assert len(np.unique(found)) == 4
