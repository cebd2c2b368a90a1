"""The evaluation as a whole: its table, its recipe, and that it repeats."""

import jax
import numpy as np
import pytest

from infovae_jax import evaluation, loop


@pytest.fixture(params=["vae", "infocatvae"])
def evaluated(request, make_config):
    config = make_config(request.param)
    config.evaluation.nll_samples = 5
    config.evaluation.nll_examples = 40
    run = loop.open_run(config, say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    return run, params, evaluation.evaluate(run, params, 7)


def test_terms_add_up_and_figures_are_in_range(evaluated):
    run, _, result = evaluated
    figures = result["metrics"]
    terms = [v for k, v in figures.items() if k.startswith("elbo/")]
    assert figures["elbo"] == pytest.approx(-sum(terms), rel=1e-5)
    assert figures["nll"] <= -figures["elbo"] + 1.0
    assert result["step"] == 7
    assert "soft cross-entropy" in result["recipe"]["likelihood"]
    if run.objective.prior.mean.shape[0] > 1:
        assert sum(figures["cluster/occupancy"]) == pytest.approx(1.0)
        assert 0 < figures["cluster/accuracy"] <= figures["cluster/purity"] <= 1
        assert figures["kmeans/accuracy"] == pytest.approx(0.77, abs=0.03)
    else:
        assert not any(name.startswith("cluster") for name in figures)


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
    assert codes.mean.shape == (359, run.objective.latent_dim)
    for number in (0, 300, 358):
        q = run.objective.encode(params, run.dataset.test_x[number])
        np.testing.assert_allclose(codes.mean[number], q.mean, atol=1e-4)
