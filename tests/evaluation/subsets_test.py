"""Figures of data that are ordered by class: no subset is the first of them.

Each test fails where a subset is the first n examples, as all of them once were.
"""

import json

import jax
import numpy as np
import pytest

from infovae_jax.evaluation import (
    clustering,
    density,
    encoding,
    groups,
    information_plane,
    members,
    subsets,
    workdir,
)
from infovae_jax.evaluation.groups import generation as of_samples
from infovae_jax.evaluation.groups import representation
from infovae_jax.report import figures
from infovae_jax.training.elbo import make_bound_evaluator
from infovae_jax.training.run import open_run
from infovae_jax.training.saved import Saved

CLASSES, EACH = 4, 100
FEW = 40


@pytest.fixture(scope="module")
def ordered(tmp_path_factory):
    """A file of four bright squares in turn, class after class, in both splits."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(CLASSES), EACH)
    x = 0.05 * rng.random((len(y), 4, 4), dtype=np.float32)
    for row, label in enumerate(y):
        down, right = 2 * (label // 2), 2 * (label % 2)
        # The classes differ in how hard they are to explain.
        x[row, down : down + 2, right : right + 2] += 0.2 + 0.2 * label
    path = tmp_path_factory.mktemp("ordered") / "data.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return path


@pytest.fixture
def few(monkeypatch):
    """All subsets are small, so that a small file is cut."""
    for name, use in subsets.USES.items():
        if not isinstance(use.count, str):
            count = 4 * FEW if name == "codes" else FEW
            monkeypatch.setitem(subsets.USES, name, use._replace(count=count))


def opened(make_config, ordered, name="vae", likelihood="auto", **model):
    config = make_config(name, **model)
    config.data.likelihood = likelihood
    config.data.source = str(ordered)
    config.train.batch_size = 50
    config.evaluation.nll_samples, config.evaluation.nll_examples = 3, FEW
    config.evaluation.inception_samples = FEW
    return open_run(config, say=lambda text: None)


@pytest.mark.parametrize("name", sorted(subsets.USES))
def test_each_subset_has_all_classes_alike(make_config, ordered, few, name):
    run = opened(make_config, ordered)
    chosen, use = subsets.indices(run, name), subsets.USES[name]
    labels = getattr(run.dataset, f"{use.split}_y")[chosen]
    counts = np.bincount(labels, minlength=CLASSES)
    wanted = len(chosen) / CLASSES
    assert len(chosen) == (4 * FEW if name == "codes" else FEW)
    slack = 1 if use.stratified else 0.6 * wanted
    assert (np.abs(counts - wanted) <= slack).all()
    order = subsets.in_order(run, name)
    np.testing.assert_array_equal(np.sort(order), chosen)
    first = run.dataset.train_y[order[: len(order) // 2]]
    assert len(np.unique(first)) == CLASSES


def test_nll_and_elbo_of_the_same_examples_stand_side_by_side(
    make_config, ordered, few
):
    run = opened(make_config, ordered, likelihood="gaussian")
    params = run.objective.init(jax.random.key(0))
    rows = {row.name: row for row in groups.core.bound_rows(run, params)}
    chosen = subsets.indices(run, "nll")
    some = make_bound_evaluator(run)(params, run.dataset.test_x[chosen])
    first = make_bound_evaluator(run)(params, run.dataset.test_x[:FEW])
    assert rows["nll/minus_elbo"].value == -some["test/elbo"]
    # The mean over a draw is near that of all, and that of the first is not.
    whole = -rows["elbo"].value
    assert abs(-first["test/elbo"] - whole) > 3 * abs(-some["test/elbo"] - whole)
    assert rows["nll"].value <= rows["nll/minus_elbo"].value + 0.5
    assert "40 test examples of 400, drawn by seed 0" in rows["nll"].recipe
    bound = density.bound_of_test_images(run, params, "nll")
    assert len(bound.log_prob) == FEW


def test_bounds_of_all_pairs_are_of_few_examples(make_config, ordered, few):
    """A test split of hundreds of thousands would have 10^10 pairs."""
    run = opened(make_config, ordered)
    params = run.objective.init(jax.random.key(0))
    rows = groups.core.rows(run, params, encoding.Codes(run, params))
    (data,) = [row for row in rows if row.name == "information/data"]
    assert f"of {FEW} test examples, at most log n = 3.69" in data.recipe


@pytest.mark.long
def test_kmeans_is_fitted_on_all_classes(make_config, ordered, few):
    run = opened(make_config, ordered, "catvae", num_clusters=CLASSES)
    params = run.objective.init(jax.random.key(0))
    rows = groups.core.rows(run, params, encoding.Codes(run, params))
    rows = {row.name: row for row in rows}
    assert rows["kmeans/accuracy"].value == 1.0
    first = clustering.kmeans_clusters(
        run.dataset.train_x[:FEW], run.dataset.test_x, CLASSES
    )
    assert clustering.clustering_accuracy(first, run.dataset.test_y) < 0.8
    assert "40 raw images, drawn by seed 0" in rows["kmeans/accuracy"].recipe


def test_the_plane_is_of_all_classes(make_config, ordered, few, monkeypatch):
    run = opened(make_config, ordered)
    params = run.objective.init(jax.random.key(0))
    seen = {}

    def remember(train, train_labels, test, test_labels, num_labels):
        seen.update(train=train_labels, test=test_labels)
        return 0.0

    monkeypatch.setattr(information_plane, "label_information", remember)
    information_plane.make_plane_evaluator(run)(params)
    for labels in seen.values():
        assert (np.bincount(labels) == FEW // CLASSES).all()


def test_training_codes_belong_to_their_labels(make_config, ordered, few):
    run = opened(make_config, ordered)
    params = run.objective.init(jax.random.key(0))
    splits = encoding.make_splits(run, params)
    rows = subsets.indices(run, "codes")
    assert len(np.unique(splits.train.labels)) == CLASSES
    np.testing.assert_array_equal(splits.train.labels, run.dataset.train_y[rows])
    np.testing.assert_array_equal(splits.train.x, run.dataset.train_x[rows])
    codes = run.objective.encode(params, run.dataset.train_x[rows]).mean
    np.testing.assert_allclose(splits.train.codes, codes, atol=1e-5)


@pytest.mark.long
def test_groups_are_of_all_classes(make_config, ordered, few, monkeypatch):
    """Transductive SVM, neighbours, floors, and classifiers of samples."""
    monkeypatch.setattr(representation, "NUM_LABELS", (20,))
    monkeypatch.setattr(of_samples, "CLASSIFIER_STEPS", 150)
    run = opened(make_config, ordered)
    splits = encoding.make_splits(run, run.objective.init(jax.random.key(0)))
    # Codes that tell the classes: only the choice of examples can spoil the scores.
    splits = splits._replace(
        train=splits.train._replace(codes=splits.train.x.reshape(-1, 16)),
        test=splits.test._replace(codes=splits.test.x.reshape(-1, 16)),
        encode=lambda x: x.reshape(-1, 16),
    )
    rows = {r.name: r for r in representation.rows(run, None, splits)}
    assert rows["probe/tsvm_20"].value == 1.0
    sizes = []

    def covered(real, made):
        sizes.append(np.unique(real.round(2), axis=0))
        return {"coverage": 1.0}

    params = run.objective.init(jax.random.key(0))
    monkeypatch.setattr(of_samples.generation, "coverage", covered)
    rows = {r.name: r for r in of_samples.rows(run, params, splits)}
    assert len(sizes[0]) > FEW / 2
    assert rows["artificial/accuracy_0"].value == 1.0
    # Training images of all classes are as near to the test images as can be.
    assert (
        rows["generation/frechet_floor"].value < 0.1 * rows["generation/frechet"].value
    )


def test_members_are_compared_on_examples_of_all_classes(
    make_config, ordered, few, monkeypatch
):
    run = opened(make_config, ordered, "catvae", num_clusters=CLASSES)
    run.config.num_seeds = 3
    seen = []

    def remember(clusters, found):
        seen.append(clusters.shape)
        return {}

    monkeypatch.setattr(members, "stability", remember)
    monkeypatch.setattr(
        members.population, "member_bounds", lambda *a: {f"{a[-1]}elbo": [0.0] * 3}
    )
    images = []

    def encoder(*arguments):
        def encode(params, x):
            images.append(x)
            return np.zeros((3, len(x), 8)), np.zeros((3, len(x), CLASSES))

        return encode

    monkeypatch.setattr(members, "_make_encoder", encoder)
    monkeypatch.setattr(members.population, "make_members_eval_step", lambda *a: None)
    members.evaluate_members(run, {"a": np.zeros(3)}, "vmap", 1)
    assert seen == [(3, FEW)]
    bright = images[-1].reshape(FEW, 2, 2, 2, 2).mean((2, 4)).reshape(FEW, -1).argmax(1)
    assert len(np.unique(bright)) == CLASSES


def test_pictures_are_of_all_classes(make_config, ordered, few):
    run = opened(make_config, ordered)
    scene = figures.Scene(
        run, None, None, run.dataset.test_x, [], None, None, None, None
    )
    chosen = figures.one_of_each(scene, 8)
    np.testing.assert_array_equal(run.dataset.test_y[chosen], [0, 1, 2, 3] * 2)
    assert (np.sort(chosen % EACH) != np.repeat([0, 1], 4)).any()
    bare = scene._replace(
        run=run._replace(dataset=run.dataset._replace(test_y=None, train_y=None))
    )
    assert len(np.unique(run.dataset.test_y[figures.one_of_each(bare, 20)])) == CLASSES


@pytest.mark.long
def test_what_was_drawn_is_recorded(make_config, ordered, few, tmp_path):
    run = opened(make_config, ordered)
    params = run.objective.init(jax.random.key(0))
    run = run._replace(digests={"train_x": "0" * 64})
    saved = Saved(run, params, 3, tmp_path)
    workdir.evaluate_saved(saved)
    table = json.loads((tmp_path / "evaluation.json").read_text())["subsets"]
    with np.load(tmp_path / subsets.FILE) as arrays:
        assert set(arrays) == set(table) >= {"nll", "information/data", "codes"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, subsets.indices(run, name))
            assert table[name]["count"] == len(array)
    assert table["nll"]["of"] == 400
    assert not table["members"]["stratified"]
    assert table["nll"]["stratified"]
    assert len(table["nll"]["sha256"]) == 64
    assert "ais" not in table  # not measured
