"""Batches are functions of (seed, step); images reach the model in [0, 1]."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import data
from infovae_jax.data import batches
from infovae_jax.errors import ConfigError


@pytest.mark.parametrize("cuts", [(1,) * 11, (3, 3, 5), (4, 7), (11,)])
def test_batch_indices_do_not_depend_on_the_cuts(cuts):
    whole = data.batch_indices(3, 5, 11, num_examples=23, batch_size=5)
    parts, step = [], 5
    for cut in cuts:
        parts.append(data.batch_indices(3, step, cut, 23, 5))
        step += cut
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    chex.assert_shape(whole, (11, 5))
    assert whole.dtype == np.int32


def test_an_epoch_visits_every_example_at_most_once_and_epochs_differ():
    assert data.steps_per_epoch(23, 5) == 4
    first = data.batch_indices(0, 0, 4, 23, 5).ravel()
    second = data.batch_indices(0, 4, 4, 23, 5).ravel()
    assert len(set(first.tolist())) == 20
    assert len(set(second.tolist())) == 20
    assert set(first.tolist()) <= set(range(23))
    assert not np.array_equal(first, second)


def test_seeds_give_other_orders_and_far_steps_cost_nothing():
    a = data.batch_indices(0, 10**9, 2, 64, 8)
    b = data.batch_indices(1, 10**9, 2, 64, 8)
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(a, data.batch_indices(0, 10**9, 2, 64, 8))


def test_order_is_pinned():
    # A resumed run must meet the order of the run that it resumes.
    order = data.batch_indices(7, 0, 1, 8, 8)[0]
    np.testing.assert_array_equal(order, PINNED)


PINNED = [4, 1, 6, 3, 2, 7, 5, 0]


def test_whole_batches_are_a_permutation():
    order = data.batch_indices(0, 0, 1, 12, 12)
    np.testing.assert_array_equal(np.sort(order[0]), np.arange(12))


def test_no_steps_give_no_rows():
    assert data.batch_indices(0, 3, 0, 12, 4).shape == (0, 4)


def test_batch_larger_than_the_data(raises_line):
    with raises_line(ConfigError, 2, "larger than the data", "batch_size", "10"):
        data.batch_indices(0, 0, 1, num_examples=10, batch_size=11)


@pytest.mark.parametrize("batch_size", [0, -4])
def test_batch_size_must_be_positive(raises_line, batch_size):
    with raises_line(ConfigError, 2, str(batch_size), "batch_size"):
        data.steps_per_epoch(10, batch_size)


def test_prepare_scales_uint8_exactly():
    x = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)
    out = jax.jit(data.prepare, static_argnums=2)(x, None, "none")
    assert out.dtype == jnp.float32
    assert float(out.min()) == 0.0
    assert float(out.max()) == 1.0
    np.testing.assert_allclose(
        out.ravel(), np.arange(256, dtype=np.float32) / 255, rtol=1e-6
    )


def test_prepare_leaves_floats_alone():
    x = jnp.array([-3.0, 0.25, 7.5]).reshape(1, 1, 3, 1)
    np.testing.assert_array_equal(data.prepare(x, None, "none"), x)


def test_prepare_threshold():
    x = jnp.array([0.0, 0.49, 0.5, 1.0]).reshape(1, 2, 2, 1)
    out = data.prepare(x, None, "threshold")
    np.testing.assert_array_equal(out.ravel(), [0.0, 0.0, 1.0, 1.0])
    x = jnp.array([127, 128], dtype=jnp.uint8).reshape(1, 1, 2, 1)
    np.testing.assert_array_equal(
        data.prepare(x, None, "threshold").ravel(), [0.0, 1.0]
    )


def test_prepare_stochastic_draws_with_the_grey_value_as_mean():
    x = jnp.full((20000, 1, 1, 1), 64, jnp.uint8)
    draw = jax.jit(data.prepare, static_argnums=2)
    out = draw(x, jax.random.key(0), "stochastic")
    assert set(np.unique(out).tolist()) == {0.0, 1.0}
    # Five standard errors of the mean of 20,000 draws.
    assert abs(float(out.mean()) - 64 / 255) < 0.016
    np.testing.assert_array_equal(out, draw(x, jax.random.key(0), "stochastic"))
    assert (out != draw(x, jax.random.key(1), "stochastic")).any()


def test_prepare_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="binarize"):
        data.prepare(jnp.zeros((1, 1, 1, 1)), None, "round")


@pytest.mark.parametrize("size", [1, 4, 7, 50])
def test_mapped_batches_are_the_function_of_the_whole(size):
    x = np.arange(21, dtype=np.float32).reshape(7, 3)
    shapes = []

    def function(batch):
        shapes.append(batch.shape)
        return {"row": batch * 2, "sum": jnp.stack([batch.sum(-1)] * 2)}

    rows = batches.map_batches(lambda b: function(b)["row"], x, size)
    np.testing.assert_array_equal(rows, 2 * x)
    sums = batches.map_batches(lambda b: function(b)["sum"], x, size, axis=1)
    np.testing.assert_array_equal(sums, [x.sum(-1)] * 2)
    assert set(shapes) == {(min(size, 7), 3)}  # one shape, so one program


def test_mapped_batches_draw_from_the_key_of_their_number():
    key = jax.random.key(3)
    x = np.zeros((5, 2), np.float32)
    drawn = batches.map_batches(lambda b, k: jax.random.normal(k, b.shape), x, 2, key)
    keys = [jax.random.fold_in(key, number) for number in range(3)]
    parts = [jax.random.normal(k, (2, 2)) for k in keys]
    np.testing.assert_array_equal(drawn, np.concatenate(parts)[:5])
