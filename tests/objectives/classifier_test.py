"""q(c | x): its trunk, its batch moments, what moves it, and its invariances."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import distance

from infovae_jax import networks, objectives
from infovae_jax.objectives import _invariance, _virtual_adversarial
from infovae_jax.types import MODEL_STATE, STATISTICS, Batch

KEY = jax.random.key(0)
OWN = {"trunk": "own", "trunk_normalization": "batch"}


@pytest.fixture
def x():
    return jax.random.uniform(jax.random.key(1), (12, 4, 4, 1))


def make(make_config, spec, name="infocatvae", **model):
    objective = objectives.make(make_config(name, **model), spec)
    return objective, objective.init(KEY)


def of_term(objective, params, x, name):
    """The gradient of one unweighted term."""

    def term(params):
        return objective.loss(params, x, KEY, objective.hparams)[1][f"term/{name}"]

    return jax.grad(term, allow_int=True)(params)


def test_the_encoder_alone_is_the_trunk_by_default(make_config, spec):
    _, params = make(make_config, spec, "catvae")
    assert set(params) == {"encoder", "classifier", "posterior", "decoder"}


def test_a_trunk_of_its_own_moves_no_other_initial_weight(make_config, spec):
    _, shared = make(make_config, spec, "catvae")
    own = {"trunk": "own", "trunk_normalization": "none"}
    _, own = make(make_config, spec, "catvae", **own)
    chex.assert_trees_all_equal_shapes(own["trunk"], shared["encoder"])
    assert set(own) - set(shared) == {"trunk"}


def test_training_takes_moments_of_its_batch_and_evaluation_running_ones(
    make_config, spec, x
):
    objective, params = make(make_config, spec, **OWN)
    _, metrics = objective.loss(params, x, KEY, objective.hparams)
    kernel = params["trunk"]["dense_0"]["kernel"]
    h = x.reshape(len(x), -1) @ kernel
    before = params["trunk"][STATISTICS]["norm_0"]["mean"]
    after = metrics[MODEL_STATE]["trunk"][STATISTICS]["norm_0"]["mean"]
    # Of the clean pass alone, though three more batches went through the network.
    np.testing.assert_allclose(after, 0.9 * before + 0.1 * h.mean(0), atol=1e-6)
    logits = objective.classify(params, x)
    chex.assert_trees_all_close(logits[:1], objective.classify(params, x[:1]))


@pytest.mark.parametrize("name", ["catvae", "infocatvae", "n_vae"])
def test_every_system_with_a_classifier_takes_a_trunk(make_config, spec, x, name):
    objective, params = make(make_config, spec, name, **OWN, affine=True, noise=True)
    batch = Batch(x, jnp.arange(12) % 10) if name == "n_vae" else x
    _, metrics = objective.loss(params, batch, KEY, objective.hparams)
    assert metrics["term/affine"] > 0
    assert metrics["term/noise"] > 0
    chex.assert_tree_all_finite(metrics)
    assert MODEL_STATE in metrics


@pytest.mark.long
def test_detached_the_distortion_moves_no_assignment(make_config, spec, x):
    """The terms themselves stay what they are."""
    terms = {}
    for detached in (False, True):
        objective, params = make(make_config, spec, detached=detached, trunk="own")
        _, metrics = objective.loss(params, x, KEY, objective.hparams)
        terms[detached] = {k: v for k, v in metrics.items() if k.startswith("term/")}
        for name in ("reconstruction", "kl_z"):
            gradient = of_term(objective, params, x, name)
            moved = float(jnp.abs(gradient["classifier"]["logits"]["kernel"]).max())
            assert (moved == 0) == detached
            assert float(jnp.abs(gradient["posterior"]["features"]["bias"]).max()) > 0
        own = of_term(objective, params, x, "kl_c")
        assert float(jnp.abs(own["classifier"]["logits"]["kernel"]).max()) > 0
    chex.assert_trees_all_equal(terms[False], terms[True])


def test_output_weights_near_zero_give_even_assignments(make_config, spec, x):
    _, usual = make(make_config, spec, "catvae")
    objective, params = make(make_config, spec, "catvae", logits_scale=0.01)
    chex.assert_trees_all_close(
        params["classifier"]["logits"]["kernel"],
        0.01 * usual["classifier"]["logits"]["kernel"],
        rtol=1e-5,
    )
    q = jax.nn.softmax(objective.classify(params, x))
    np.testing.assert_allclose(q, 0.1, atol=5e-3)


def test_the_scale_of_a_classifier_touches_the_last_layer_only():
    scaled, usual = (
        networks.make_classifier(5, 3, hidden=(7,), scale=scale).init(KEY)
        for scale in (0.5, 1.0)
    )
    chex.assert_trees_all_equal(scaled["dense_0"], usual["dense_0"])
    chex.assert_trees_all_close(
        scaled["logits"]["kernel"], 0.5 * usual["logits"]["kernel"], rtol=1e-6
    )


@pytest.mark.parametrize("name", _invariance.CHANGES)
def test_each_part_is_zero_of_a_constant_classifier_and_else_positive(
    make_config, spec, x, name
):
    objective, params = make(make_config, spec, "catvae", **{name: True})
    _, metrics = objective.loss(params, x, KEY, objective.hparams)
    assert metrics[f"term/{name}"] > 0
    others = set(_invariance.CHANGES) - {name}
    assert not {f"term/{other}" for other in others} & set(metrics)
    params["classifier"] = jax.tree.map(jnp.zeros_like, params["classifier"])
    _, metrics = objective.loss(params, x, KEY, objective.hparams)
    np.testing.assert_allclose(metrics[f"term/{name}"], 0.0, atol=1e-6)


def test_noise_of_a_linear_classifier_has_the_divergence_of_its_law(spec):
    """To second order KL = Var(w . e) p (1 - p) / 2 of two classes."""
    weights = 0.1 * jax.random.normal(KEY, (16, 1))

    def classify(_, x):
        logit = x.reshape(len(x), -1) @ weights
        return jnp.concatenate([logit, jnp.zeros_like(logit)], -1)

    x = 1e-3 * jax.random.normal(jax.random.fold_in(KEY, 1), (4000, 4, 4, 1))
    options = _invariance.Config(noise=True, noise_scale=100.0)
    kl = _invariance.terms(classify, None, x, classify(None, x), KEY, options)["noise"]
    expected = 0.01 * float((weights**2).sum()) * 0.25 / 2
    np.testing.assert_allclose(kl.mean(), expected, rtol=0.1)


@pytest.mark.parametrize("name", ["catvae", "infocatvae", "n_vae"])
def test_neighbours_are_the_second_half_of_the_batch(make_config, spec, x, name):
    """The other terms see the first half alone; equal partners cost nothing."""
    plain, params = make(make_config, spec, name)
    objective, _ = make(make_config, spec, name, neighbours=True, neighbours_count=3)
    assert (plain.neighbours, objective.neighbours) == ((0, 0), (3, 0))

    def metrics(objective, x):
        labels = jnp.arange(len(x)) % 10
        batch = Batch(x, labels) if name == "n_vae" else x
        return objective.loss(params, batch, KEY, objective.hparams)[1]

    alone = metrics(plain, x)
    others = metrics(objective, jnp.concatenate([x, x[::-1]]))
    equal = metrics(objective, jnp.concatenate([x, x]))
    terms = [key for key in alone if key.startswith("term/")]
    chex.assert_trees_all_close(
        {key: alone[key] for key in terms}, {key: others[key] for key in terms}
    )
    assert others["term/neighbours"] > 0
    np.testing.assert_allclose(equal["term/neighbours"], 0.0, atol=1e-6)


@pytest.mark.parametrize("drawn", [False, True])
@pytest.mark.parametrize("name", ["catvae", "infocatvae", "n_vae"])
def test_the_kth_neighbour_is_the_last_part_of_the_batch(
    make_config, spec, x, name, drawn
):
    """It moves the adversarial term alone, which vanishes where it is the example."""
    on = {"invariance": True, "invariance_rank": 7, "neighbours": drawn}
    objective, params = make(make_config, spec, name, neighbours_count=3, **on)
    assert objective.neighbours == (3 if drawn else 0, 7)

    def terms(ranked):
        images = jnp.concatenate([x, x[::-1], ranked] if drawn else [x, ranked])
        labels = jnp.arange(len(images)) % 10
        batch = Batch(images, labels) if name == "n_vae" else images
        found = objective.loss(params, batch, KEY, objective.hparams)[1]
        return {key: v for key, v in found.items() if key.startswith("term/")}

    far, near = terms(x[::-1]), terms(x)
    assert far.pop("term/invariance") > 0
    np.testing.assert_allclose(near.pop("term/invariance"), 0.0, atol=1e-6)
    chex.assert_trees_all_equal(far, near)
    assert ("term/neighbours" in far) == drawn


def test_the_worst_change_is_a_share_of_the_distance_to_a_neighbour(x):
    def classify(_, x):
        return x.reshape(len(x), -1) @ jax.random.normal(jax.random.key(2), (16, 10))

    arguments = classify, None, x, classify(None, x), KEY
    options = _virtual_adversarial.Config(invariance_radius=0.25)
    in_batch, ranked = (
        _virtual_adversarial.changed(*arguments, options, neighbour) - x
        for neighbour in (None, x[::-1])
    )
    table = distance.cdist(*(np.asarray(x.reshape(12, -1)),) * 2)
    for change, expected in (
        (in_batch, (table + 1e9 * np.eye(12)).min(1)),
        (ranked, table[np.arange(12), np.arange(12)[::-1]]),
    ):
        length = np.linalg.norm(change.reshape(12, -1), axis=1)
        np.testing.assert_allclose(length, 0.25 * expected, rtol=1e-4)
