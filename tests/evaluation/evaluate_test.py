"""The evaluation as a whole: its table, its recipe, and that it repeats."""

import json

import chex
import jax
import numpy as np
import pytest

from infovae_jax import evaluation
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import DataError, MetricError, NonFiniteError
from infovae_jax.training.run import open_run

# Evaluations are pure, so the tests share them.
_EVALUATED = {}


@pytest.fixture(params=["vae", "infocatvae", "n_vae", "infomax_vae"])
def evaluated(request, make_config):
    if request.param not in _EVALUATED:
        _EVALUATED[request.param] = _evaluate(make_config, request.param)
    return _EVALUATED[request.param]


def _evaluate(make_config, name):
    config = make_config(name)
    config.evaluation.nll_samples = 5
    config.evaluation.nll_examples = 40
    run = open_run(config, say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    return run, params, evaluation.evaluate(run, params, 7)


@pytest.mark.long
def test_terms_add_up_and_figures_are_in_range(evaluated):
    run, _, result = evaluated
    figures = result["metrics"]
    terms = [v for k, v in figures.items() if k.startswith("elbo/")]
    assert figures["elbo"] == pytest.approx(-sum(terms), rel=1e-5)
    assert figures["nll"] <= -figures["elbo"] + 1.0
    assert result["step"] == 7
    assert "soft cross-entropy" in result["recipe"]["likelihood"]
    if run.objective.uses_labels:
        assert 0 <= figures["classification/accuracy"] <= 1
        assert figures["classification/cross_entropy"] > 0
        assert 0 <= figures["classification/ece"] <= figures["classification/mce"] <= 1
        assert np.shape(figures["factors/kl_by_class"]) == (10, 10 + 40)
        assert 0 <= figures["sample/accuracy_wide"] <= 1
    elif run.objective.prior.mean.shape[0] > 1:
        assert sum(figures["cluster/occupancy"]) == pytest.approx(1.0)
        assert 0 < figures["cluster/accuracy"] <= figures["cluster/purity"] <= 1
        # The gaps of the curve add up to the error, its accuracies to the accuracy.
        curve = [figures[f"calibration/{k}"] for k in ("confidence", "accuracy")]
        filled = [
            (c, a, s)
            for c, a, s in zip(*curve, figures["calibration/share"], strict=True)
            if s
        ]
        assert sum(s * abs(a - c) for c, a, s in filled) == pytest.approx(
            figures["cluster/ece"]
        )
        right = sum(s * a for _, a, s in filled)
        assert right == pytest.approx(figures["cluster/accuracy"])
        assert figures["kmeans/accuracy"] == pytest.approx(0.77, abs=0.03)
    else:
        assert not any(name.startswith("cluster") for name in figures)


def test_parts_of_the_code_have_their_figures(evaluated):
    run, _, result = evaluated
    figures = result["metrics"]
    if run.config.objective == "vae":
        assert figures["information/data"] <= np.log(359)
        assert (
            figures["information/generated_z"] >= figures["information/generated_z_max"]
        )
        assert not any(name.startswith("squared_error") for name in figures)
    if run.config.objective == "infomax_vae":
        names = {n for n in figures if n.startswith("squared_error/")}
        assert names == {f"squared_error/{n}" for n in ("all", "z_only", "c_only")}
        assert "rate/z" in figures
        assert "rate/c" not in figures  # it has no prior
        assert figures["rate/z"] == pytest.approx(figures["elbo/kl_z"], rel=1e-3)
        assert figures["factor/luminance/correlation_c"] <= 1
        assert figures["factor/luminance/r2_c"] <= 1


def test_standard_errors_are_figures(evaluated):
    _, _, result = evaluated
    figures, errors = result["metrics"], result["standard_errors"]
    assert errors["nll"] == figures["nll/standard_error"] > 0
    stated = {name for name, _, recipe in result["table"] if "standard error" in recipe}
    assert stated <= set(errors) <= set(figures)


def test_every_figure_has_its_row_and_the_table_prints(evaluated):
    _, _, result = evaluated
    text = evaluation.table_text(result)
    for name, value, recipe in result["table"]:
        assert name in result["metrics"]
        assert value
        assert recipe
        assert name in text


def test_the_same_seed_gives_the_same_figures(evaluated):
    run, params, result = evaluated
    again = evaluation.evaluate(run, params, 7)
    assert again["metrics"] == result["metrics"]


def test_codes_are_those_of_one_example_at_a_time(evaluated):
    run, params, _ = evaluated
    codes = evaluation.encode_split(run, params, run.dataset.test_x)
    chex.assert_shape(codes.mean, (359, run.objective.latent_dim))
    for number in (0, 300, 358):
        q = run.objective.encode(params, run.dataset.test_x[number])
        np.testing.assert_allclose(codes.mean[number], q.mean, atol=1e-4)


@pytest.mark.long
def test_a_class_without_test_examples_has_no_figures(make_config, tmp_path):
    """No NaN reaches the JSON, and the recipe names what the nats are of."""
    x = np.random.default_rng(0).normal(size=(40, 4, 4)).astype(np.float32)
    y = np.arange(40) % 3
    path = tmp_path / "data.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[y < 2], y_test=y[y < 2])
    config = make_config("n_vae")
    config.data.source = str(path)
    config.train.batch_size = 8
    config.evaluation.nll_samples, config.evaluation.nll_examples = 2, 4
    run = open_run(config, say=lambda text: None)
    result = evaluation.evaluate(run, run.objective.init(jax.random.key(0)), 0)
    table = result["metrics"]["factors/kl_by_class"]
    assert set(table[2]) == {None}
    assert None not in table[0] + table[1]
    json.dumps(result, allow_nan=False)
    assert "log-density" in result["recipe"]["likelihood"]
    assert make_likelihood(run.dataset.spec._replace(likelihood="bernoulli")).unit == (
        "soft cross-entropy of values in [0, 1], not a log-likelihood"
    )
    levels = run.dataset.spec._replace(likelihood="discretized_logistic", levels=17)
    assert make_likelihood(levels).unit == "a log-probability of 17 grey levels"


def test_a_group_that_cannot_be_measured_is_absent_with_its_reason(
    make_config, monkeypatch
):
    """The others are kept; a figure that is not finite is the model's fault."""
    config = make_config("vae")
    config.evaluation.nll_samples, config.evaluation.nll_examples = 2, 10
    run = open_run(config, say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    errors = [DataError("too few images", "probe", "give more")]

    def fails(*arguments):
        raise errors[0]

    monkeypatch.setitem(evaluation.GROUPS, "representation", fails)
    monkeypatch.setitem(evaluation.GROUPS, "likelihood", lambda *_: [])
    result = evaluation.evaluate(run, params, 7, "representation,likelihood")
    assert "elbo" in result["metrics"]
    assert result["metrics"]["representation"] is None
    (row,) = [row for row in result["table"] if row[0] == "representation"]
    assert "not measured: too few images" in row[2]
    errors[0] = MetricError("nan in codes at [3]", "probe", "remove or repair")
    with pytest.raises(NonFiniteError, match="at step 7") as caught:
        evaluation.evaluate(run, params, 7, "representation")
    assert "repair" not in caught.value.line()
    assert "learning_rate" in caught.value.line()
