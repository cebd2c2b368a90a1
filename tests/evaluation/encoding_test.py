"""Images of a split as the model sees them, a few at a time."""

import numpy as np
import pytest

from infovae_jax.evaluation import encoding
from infovae_jax.training.run import open_run


@pytest.fixture(params=["none", "threshold", "stochastic"])
def run(request, make_config):
    config = make_config("vae")
    config.data.binarize = request.param
    return open_run(config, say=lambda text: None)


def test_what_is_made_on_demand_is_what_is_made_at_once(run, monkeypatch):
    monkeypatch.setattr(encoding, "PREPARED_AT_ONCE", 50)
    x = run.dataset.test_x
    whole, some = encoding.prepared(run, x), encoding.Prepared(run, x)
    assert len(some) == len(whole)
    assert some.shape == whole.shape
    for rows in (np.array([7, 3, 3]), slice(10, 20), 5):
        np.testing.assert_array_equal(some[rows], whole[rows])
    np.testing.assert_array_equal(some.luminance, whole.mean((1, 2, 3)))
    assert some.value_range == (whole.min(), whole.max())
    np.testing.assert_array_equal(np.asarray(some), whole)


def test_a_few_rows_do_not_make_the_others(run, monkeypatch):
    sizes = []

    def remember(run, x):
        sizes.append(len(x))
        return x

    monkeypatch.setattr(encoding, "prepared", remember)
    some = encoding.Prepared(run, run.dataset.test_x)
    some[:3], some[[4]]
    drawn = run.config.data.binarize == "stochastic"
    assert sizes == ([len(some)] if drawn else [3, 1])
