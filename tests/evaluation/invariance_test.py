"""The information of clusters that changes of the examples leave."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax.evaluation import encode_split, invariance
from infovae_jax.evaluation.assignments import cluster_information
from infovae_jax.training.run import open_run


@pytest.fixture
def open_few(make_config):
    """150 examples, not a multiple of the evaluation's batch of 64."""

    def opened(name="infocatvae", **model):
        config = make_config(name, **model)
        config.data.num_train, config.evaluation.batch_size = 150, 64
        return open_run(config, say=lambda text: None)

    return opened


def test_it_is_the_information_less_the_divergence_of_each_change(open_few):
    only = {"invariance": False, "affine": False, "logits_scale": 5.0}
    run = open_few(neighbours=True, neighbours_count=1, **only)
    params = run.objective.init(jax.random.key(0))
    clusters, score = invariance.of_run(run, params)
    logits = encode_split(run, params, run.dataset.train_x).logits
    np.testing.assert_array_equal(clusters, logits.argmax(-1))
    log_q = np.asarray(jax.nn.log_softmax(logits))
    near = log_q[run.neighbours[:, 0]]
    divergence = (np.exp(log_q) * (log_q - near)).sum(-1)
    assert divergence.mean() > 1e-3
    known = cluster_information(logits)["mutual_information"]
    assert score == pytest.approx(known - divergence.mean(), abs=1e-6)


def test_neither_one_cluster_for_all_nor_assignments_at_random_are_worth_much(open_few):
    run = open_few(logits_scale=1.0)
    params = run.objective.init(jax.random.key(0))
    kernel, bias = (params["classifier"]["logits"][k] for k in ("kernel", "bias"))

    def score(factor, bias):
        own = {"kernel": factor * kernel, "bias": bias}
        changed = params | {"classifier": {"logits": own}}
        return invariance.of_run(run, changed)[1]

    assert score(1.0, bias.at[0].set(50.0)) == pytest.approx(0.0, abs=1e-4)
    assert score(0.0, bias) == pytest.approx(0.0, abs=1e-4)
    # As certain as can be, of directions that mean nothing.
    assert score(100.0, bias) < 0


def test_every_change_of_the_loss_counts(open_few):
    scores = {}
    for affine in (False, True):
        run = open_few(affine=affine, logits_scale=1.0)
        params = run.objective.init(jax.random.key(0))
        scores[affine] = invariance.of_run(run, params)[1]
    assert scores[True] < scores[False]


def test_it_is_measured_where_the_loss_has_changes_and_no_labels(open_few):
    assert invariance.is_measurable(open_few())
    assert not invariance.is_measurable(open_few("catvae"))
    assert not invariance.is_measurable(open_few("vae"))
    assert not invariance.is_measurable(open_few("n_vae", affine=True))


def test_a_divergence_that_is_no_number_is_the_callers(open_few):
    logits = jnp.zeros((4, 3))
    assert np.isnan(invariance.invariant_information(logits, np.full(4, np.nan)))
