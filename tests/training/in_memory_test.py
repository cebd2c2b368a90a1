"""Training in memory: a table of figures, the best epoch, and no folder."""

import numpy as np
import pytest

from infovae_jax.data import arrays
from infovae_jax.errors import NonFiniteError
from infovae_jax.training import in_memory, loop, programs
from infovae_jax.training.run import open_run

X = np.random.default_rng(0).random((40, 4, 4, 1)).astype(np.float32)


@pytest.fixture
def open_arrays(make_config):
    """`open_arrays(fraction, **train)`: a run of a tiny VAE on X."""

    def run(fraction=0.0, **train):
        config = make_config("vae")
        config.train.update({"batch_size": 8, "num_epochs": 3, **train})
        away = arrays.held_out(len(X), fraction, 0)
        dataset = arrays.from_arrays(X, None, away, config.data)
        return open_run(config, lambda text: None, dataset)

    return run


def test_without_a_held_out_row_no_bound_is_measured(open_arrays):
    fitted = in_memory.fit(open_arrays())
    assert list(fitted.history["epoch"]) == [1, 2, 3]
    assert not any(name.startswith("test/") for name in fitted.history)


def test_the_bound_is_measured_where_rows_are_held_out(open_arrays):
    fitted = in_memory.fit(open_arrays(0.2, eval_every=2))
    bounds = fitted.history["test/elbo"]
    assert list(np.isnan(bounds)) == [True, False, False]


def test_patience_ends_training_with_the_best_parameters(open_arrays):
    run = open_arrays(0.2, num_epochs=60, eval_every=1)
    shown = []
    fitted = in_memory.fit(run, patience=2, show=shown.append)
    bounds = fitted.history["test/elbo"]
    assert fitted.epochs == len(shown) == len(bounds)
    best = loop.make_bound_evaluator(run)(fitted.params)["test/elbo"]
    assert best == pytest.approx(bounds.max(), rel=1e-5)
    if fitted.epochs < 60:
        assert bounds.argmax() + 1 == fitted.epochs - 2
    assert f"epoch {bounds.argmax() + 1}" in fitted.reason


def test_blocks_shorter_than_an_epoch_are_averaged():
    rows = [
        {"step": 2, "epoch": 0.5, "loss": 1.0},
        {"step": 4, "epoch": 1.0, "loss": 3.0, "test/elbo": -1.0},
        {"step": 6, "epoch": 1.5, "loss": 5.0},
    ]
    table = in_memory.per_epoch(rows, 4)
    np.testing.assert_array_equal(table["epoch"], [1, 2])
    np.testing.assert_array_equal(table["loss"], [2, 5])
    np.testing.assert_array_equal(table["test/elbo"], [-1, np.nan])


def test_a_diverging_run_says_so(open_arrays):
    run = open_arrays()
    config = run.config.copy_and_resolve_references()
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 1e6
    with pytest.raises(NonFiniteError, match="learning_rate"):
        in_memory.fit(open_run(config, lambda text: None, run.dataset))


def test_runs_alike_share_their_programs(open_arrays):
    first, second = open_arrays(), open_arrays(num_epochs=5)
    assert first.objective is second.objective
    assert first.kept("thing", object) is second.kept("thing", object)
    assert first.kept("thing", object, 1) is not second.kept("thing", object, 2)
    config = first.config.copy_and_resolve_references()
    config.model.latent_dim = 3
    other = open_run(config, lambda text: None, first.dataset)
    assert other.objective is not first.objective
    assert other.kept("thing", object) is not first.kept("thing", object)
    alone = first._replace(shares=False, programs={})
    assert alone.kept("thing", object) is alone.kept("thing", object)
    assert alone.kept("thing", object) is not first.kept("thing", object)
    nothing = first._replace(shares=False, programs=None)
    assert nothing.kept("thing", object) is not nothing.kept("thing", object)


def test_the_least_used_programs_are_dropped():
    for number in range(programs.MAX_KEPT + 1):
        programs.kept(("test", number), object)
    first = programs.kept(("test", 1), lambda: "kept")
    assert first != "kept"
    assert programs.kept(("test", 0), lambda: "made anew") == "made anew"
