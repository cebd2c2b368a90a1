"""Compiled functions of training and evaluation are traced once, not every epoch."""

import collections

import chex
import jax
import numpy as np
import pytest

from infovae_jax import evaluation
from infovae_jax.evaluation import (
    annealing,
    classifier,
    density,
    encoding,
    information_plane,
    members,
)
from infovae_jax.training import elbo, loop, population, train_step
from infovae_jax.training.run import open_run

KEY = jax.random.key(0)


@pytest.fixture
def run(make_config):
    config = make_config("catvae")
    config.train.num_epochs = 3
    config.evaluation.batch_size = 100  # 359 test examples: the last batch is padded
    config.evaluation.nll_samples, config.evaluation.nll_examples = 3, 150
    return open_run(config, say=lambda text: None)


@pytest.fixture
def programs(monkeypatch):
    """Counts the traces of every `jax.jit` made meanwhile, by name of the function."""
    traces = collections.Counter()
    jit = jax.jit

    def counting(function, *arguments, **options):
        name = getattr(function, "__qualname__", str(function))

        def traced(*inputs, **named):
            traces[name] += 1
            return function(*inputs, **named)

        traced.__name__ = getattr(function, "__name__", "function")
        traced.__wrapped__ = function
        return jit(traced, *arguments, **options)

    monkeypatch.setattr(jax, "jit", counting)
    return traces


@pytest.mark.long
def test_three_epochs_are_one_program(run, tmp_path, programs):
    """11 steps per epoch; every block has as many."""
    loop.train(run, tmp_path, run.make_mesh())
    steps = {name: n for name, n in programs.items() if "multi_step" in name}
    assert list(steps.values()) == [1]
    bound = {name: n for name, n in programs.items() if "eval_step" in name}
    assert list(bound.values()) == [1]


def test_the_stream_is_one_program(make_config, tmp_path, programs):
    config = make_config("vae")
    config.train.num_epochs, config.data.stream = 3, True
    run = open_run(config, say=lambda text: None)
    loop.train(run, tmp_path, run.make_mesh())
    steps = {name: n for name, n in programs.items() if "stream_step" in name}
    assert list(steps.values()) == [1]


@pytest.mark.long
def test_a_second_evaluation_compiles_nothing_twice(run, programs):
    """Each program of an evaluation is traced once, whatever the number of batches."""
    params = run.objective.init(KEY)
    evaluation.evaluate(run, params, 0)
    # A function of its own for each shape that it must take; none grows with n.
    assert programs
    assert max(programs.values()) <= 2, programs.most_common(5)


def test_train_step_traces_once(run):
    """With weights that are traced, other values of them are the same program."""
    step = train_step.make_train_step(run.objective, run.transform, {})
    limit = chex.assert_max_traces(step, n=1)
    state = train_step.init_train_state(run.objective, run.transform, 0)
    x = run.dataset.train_x[:8]
    step = jax.jit(limit)
    for weight in (1.0, 2.0, 0.5):
        state = state._replace(hparams={**state.hparams, "kl_z": np.float32(weight)})
        state, _ = step(state, x)
    # Another size of batch is another program: the check can fail.
    with pytest.raises(AssertionError, match="traced"):
        step(state, run.dataset.train_x[:9])


def test_eval_step_traces_once(run):
    step = jax.jit(
        chex.assert_max_traces(elbo.make_eval_step(run.objective, "none"), n=1)
    )
    params = run.objective.init(KEY)
    for number in range(3):
        means = elbo.mean_bound(run, step, params, run.dataset.test_x[number:])
    chex.assert_tree_all_finite(means)


def test_initial_states_trace_once(run):
    init = chex.assert_max_traces(
        lambda key: train_step.init_from_key(run.objective, run.transform, key), n=1
    )
    init = jax.jit(init)
    first, second = init(KEY), init(jax.random.key(1))
    chex.assert_trees_all_equal_shapes_and_dtypes(first.params, second.params)


def test_importance_weighted_bound_traces_once(run):
    bound = density.make_importance_weighted_bound(run.objective, 4)
    params, x = run.objective.init(KEY), run.dataset.test_x[:5]
    bound(params, x, KEY)
    with chex.fake_pmap_and_jit(enable_pmap_patching=False, enable_jit_patching=False):
        before = bound._cache_size()
        bound(params, x, jax.random.key(1))
        assert bound._cache_size() == before == 1


def test_annealing_traces_once(run, programs):
    params, x = run.objective.init(KEY), run.dataset.test_x[:2]
    forward, _ = annealing.make_annealing(run.objective, 4, 2)
    for seed in (0, 1):
        forward(params, x, jax.random.key(seed))
    assert programs
    assert max(programs.values()) == 1, programs


def test_the_plane_traces_once(run, programs):
    measure = information_plane.make_plane_evaluator(run)
    for seed in (0, 1):
        measure(run.objective.init(jax.random.key(seed)))
    assert max(programs.values()) <= 2, programs


def test_codes_of_a_split_trace_once(run, programs):
    params = run.objective.init(KEY)
    encoding.encode_split(run, params, run.dataset.test_x)
    assert max(programs.values()) == 1, programs


def test_the_classifier_traces_once(programs):
    x = np.random.default_rng(0).random((64, 8, 8, 1), np.float32)
    classifier.train_classifier(x, np.arange(64) % 2, 2, 30, 0)
    assert max(programs.values()) <= 2, programs


@pytest.mark.long
def test_members_trace_once(make_config, tmp_path, programs):
    config = make_config("vae")
    config.num_seeds, config.train.num_epochs = 2, 3
    config.population.strategy = "vmap"
    run = open_run(config, say=lambda text: None)
    mesh = population.make_mesh(run)
    program = population.make_program(run, tmp_path, mesh, say=lambda text: None)
    state = loop.train(run, tmp_path, mesh, program=program)
    members.evaluate_members(run, train_step.variables(state), "vmap", 1)
    assert max(programs.values()) <= 2, programs.most_common(5)
