"""What the clusters are, from evaluation to evaluation."""

import json

import jax
import numpy as np
import pytest

from infovae_jax.errors import NonFiniteError
from infovae_jax.evaluation import encode_split
from infovae_jax.evaluation.assignment_history import (
    make_assignment_evaluator,
    packed,
    unpacked,
)
from infovae_jax.evaluation.clustering import clustering_accuracy
from infovae_jax.training.run import open_run


def open_quietly(config):
    return open_run(config, say=lambda text: None)


def test_figures_are_those_of_the_whole_test_split(make_config):
    run = open_quietly(make_config("catvae"))
    params = run.objective.init(jax.random.key(0))
    logits = encode_split(run, params, run.dataset.test_x).logits
    clusters = logits.argmax(-1)
    counts = np.bincount(clusters, minlength=10) / len(clusters)
    remembered = {}
    evaluate = make_assignment_evaluator(run, remembered)
    found = evaluate(params)
    assert found["assignment/accuracy"] == pytest.approx(
        clustering_accuracy(clusters, run.dataset.test_y)
    )
    assert found["assignment/smallest"] == pytest.approx(counts.min())
    assert found["assignment/largest"] == pytest.approx(counts.max())
    assert 0 <= found["assignment/mutual_information"] <= np.log(10)
    assert 0 <= found["assignment/entropy"] <= np.log(10)
    assert "assignment/churn" not in found
    assert evaluate(params)["assignment/churn"] == 0
    # Another object with the remembered of the first, as after a resumption.
    again = make_assignment_evaluator(run, json.loads(json.dumps(remembered)))
    other = run.objective.init(jax.random.key(1))
    moved = encode_split(run, other, run.dataset.test_x).logits.argmax(-1)
    assert again(other)["assignment/churn"] == pytest.approx((moved != clusters).mean())
    assert (moved != clusters).any()


def test_remembered_clusters_are_read_as_they_were_or_not_at_all():
    clusters = np.random.default_rng(0).integers(0, 70_000, 500)
    text = packed(clusters)
    np.testing.assert_array_equal(unpacked(text, 500), clusters)
    for other in (None, "", "?", text[:-8], packed(clusters[1:])):
        assert unpacked(other, 500) is None


@pytest.mark.parametrize("name", ["vae", "n_vae"])
def test_what_does_not_cluster_by_itself_has_none(make_config, name):
    assert make_assignment_evaluator(open_quietly(make_config(name)), {})({}) == {}


def test_a_model_that_diverged_is_said(make_config):
    run = open_quietly(make_config("catvae"))
    params = run.objective.init(jax.random.key(0))
    params["classifier"]["logits"]["bias"] += np.nan
    with pytest.raises(NonFiniteError, match="assignment/entropy"):
        make_assignment_evaluator(run, {})(params)
