"""A run opened for use: what its batches hold."""

import functools

import chex
import numpy as np
import pytest
from jitted import emitted

from infovae_jax.data import neighbours
from infovae_jax.errors import ConfigError
from infovae_jax.training import loop, train_step
from infovae_jax.training.run import open_run


def open_quietly(config):
    return open_run(config, say=lambda text: None)


def test_a_batch_that_was_not_asked_for_shrinks_to_the_data(make_config):
    config, told = make_config("vae"), []
    config.data.num_train = 47
    with pytest.raises(ConfigError, match="a batch of 128 is larger than the data"):
        open_quietly(config)
    run = open_run(config, told.append, fit_batch=True)
    assert told[1:] == ["batch size 32: there are 47 training examples"]
    assert (run.config.train.batch_size, run.steps_per_epoch) == (32, 1)
    config.train.batch_size = 47
    assert open_run(config, told.append, fit_batch=True).steps_per_epoch == 1
    assert config.train.batch_size == 47


@pytest.mark.long
def test_partners_follow_the_batch_in_every_form_of_training(make_config):
    config = make_config("infocatvae", neighbours=True, neighbours_count=3)
    run, plain = open_quietly(config), open_quietly(make_config("infocatvae"))
    rows, size = run.batch_indices(3, 8), config.train.batch_size
    chex.assert_shape(rows, (5, 2 * size))
    np.testing.assert_array_equal(rows[:, :size], plain.batch_indices(3, 8))
    near = run.neighbours[rows[:, :size]]
    assert (near == rows[:, size:, None]).any(-1).all()
    assert (run.batch_indices(3, 8, seed=1)[:, size:] != rows[:, size:]).any()

    init = functools.partial(train_step.init_train_state, run.objective)
    state = init(run.transform, config.seed)
    step, rows = loop.make_step(run), run.batch_indices(0, 3)
    resident, means = emitted(train_step.make_multi_step(step))(
        state, run.training_data(), rows
    )
    streamed, _ = emitted(train_step.make_stream_step(step))(
        state, run.training_data()[rows]
    )
    assert means["term/neighbours"] > 0
    chex.assert_trees_all_equal(resident.params, streamed.params)


def test_the_kth_neighbour_comes_last(make_config):
    model = {"neighbours_count": 3, "invariance": True, "invariance_rank": 5}
    both = open_quietly(make_config("infocatvae", neighbours=True, **model))
    alone = open_quietly(make_config("infocatvae", **model))
    chex.assert_shape(both.neighbours, (len(both.dataset.train_x), 5))
    rows, size = both.batch_indices(3, 8), both.config.train.batch_size
    near = both.neighbours[rows[:, :size]]
    first = both.config.seed, 3, rows[:, :size]
    drawn = neighbours.partners(*first, both.neighbours[:, :3])
    np.testing.assert_array_equal(rows[:, size : 2 * size], drawn)
    np.testing.assert_array_equal(rows[:, 2 * size :], near[..., 4])
    np.testing.assert_array_equal(
        alone.batch_indices(3, 8), np.delete(rows, np.s_[size : 2 * size], axis=1)
    )


def test_of_few_examples_all_others_are_neighbours(make_config):
    config = make_config("infocatvae", neighbours=True, neighbours_count=5000)
    config.data.num_train, config.train.batch_size = 30, 16
    run = open_quietly(config)
    chex.assert_shape(run.neighbours, (30, 29))
    config.model.invariance_rank = 40
    rows = open_quietly(config).batch_indices(0, 1)
    np.testing.assert_array_equal(rows[:, 32:], run.neighbours[rows[:, :16], -1])
