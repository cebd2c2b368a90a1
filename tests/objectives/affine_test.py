"""Affine maps of images, and the invariance to them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from infovae_jax import objectives
from infovae_jax.objectives import _affine, _invariance

KEY = jax.random.key(0)
ONE, NONE = jnp.eye(2), jnp.zeros(2)


def image(height=9, width=7, channels=2):
    return jax.random.uniform(KEY, (height, width, channels))


@pytest.mark.long
def test_no_change_is_no_change():
    x = image()
    chex.assert_trees_all_close(_affine.warp(x, ONE, NONE), x, atol=1e-6)
    options = _affine.Config(
        affine_rotation=0.0, affine_shear=0.0, affine_scale=0.0, affine_shift=0.0
    )
    matrix, shift = _affine.random_map(KEY, options)
    chex.assert_trees_all_close((matrix, shift), (ONE, NONE), atol=1e-7)
    batch = jnp.stack([x] * 4)
    changed = _affine.changed(None, None, batch, None, KEY, options)
    chex.assert_trees_all_close(changed, batch, atol=1e-6)


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, -2), (3, 2), (-8, 0)])
def test_whole_pixels_are_a_roll(down, right):
    """With zeros where the image came from outside."""
    x = np.asarray(image())
    moved = _affine.warp(image(), ONE, jnp.array([down, right], jnp.float32))
    rolled = np.roll(x, (-down, -right), (0, 1))
    rows, columns = np.arange(9) + down, np.arange(7) + right
    inside = (rows >= 0) & (rows < 9)
    rolled *= inside[:, None, None] * ((columns >= 0) & (columns < 7))[None, :, None]
    np.testing.assert_allclose(moved, rolled, atol=1e-6)


@pytest.mark.long
def test_a_map_is_that_of_scipy():
    x = np.asarray(image(12, 10, 1))
    matrix, shift = _affine.random_map(KEY, _affine.Config())
    centre = np.array([5.5, 4.5])
    offset = centre + np.asarray(shift) - np.asarray(matrix) @ centre
    expected = ndimage.affine_transform(
        x[..., 0], np.asarray(matrix), offset, order=1, mode="grid-constant"
    )
    warped = _affine.warp(jnp.asarray(x), matrix, shift)
    np.testing.assert_allclose(warped[..., 0], expected, atol=1e-4)


def test_a_quarter_turn_of_a_square_image():
    x = np.asarray(image(6, 6, 3))
    turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(
        _affine.warp(jnp.asarray(x), turn, NONE), np.rot90(x, -1), atol=1e-5
    )


def test_maps_stay_within_their_ranges():
    options = _affine.Config(affine_rotation=20.0, affine_shear=0.0, affine_shift=3.0)
    keys = jax.random.split(KEY, 2000)
    matrix, shift = jax.vmap(lambda k: _affine.random_map(k, options))(keys)
    assert np.abs(shift).max() <= 3.0
    scale = np.sqrt(np.linalg.det(np.asarray(matrix, np.float64)))
    assert 0.9 <= scale.min() < 0.91
    assert 1.09 < scale.max() <= 1.1
    angle = np.rad2deg(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert 19 < np.abs(angle).max() <= 20.001
    mirrored = _affine.Config(affine_mirror=True)
    matrix, _ = jax.vmap(lambda k: _affine.random_map(k, mirrored))(keys)
    share = (np.linalg.det(np.asarray(matrix)) < 0).mean()
    assert 0.45 < share < 0.55


@pytest.mark.long
def test_the_gradient_goes_through_the_second_distribution_only():
    batch = jnp.stack([image(5, 5, 1)] * 3)

    def loss(first, second):
        logits = batch.reshape(3, -1) @ first
        parts = _invariance.terms(
            lambda w, x: x.reshape(3, -1) @ w,
            second,
            batch,
            logits,
            KEY,
            _invariance.Config(affine=True),
        )
        return parts["affine"].sum()

    weights = jax.random.normal(KEY, (25, 4))
    first, second = jax.grad(loss, (0, 1))(weights, weights)
    chex.assert_trees_all_equal(first, jnp.zeros_like(first))
    assert float(jnp.abs(second).max()) > 1e-3


def test_switched_off_it_changes_nothing_and_on_it_is_one_term_more(make_config, spec):
    losses = {}
    for affine in (False, True):
        config = make_config("catvae", affine=affine)
        objective = objectives.make(config, spec)
        params = objective.init(KEY)
        x = jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))
        losses[affine] = objective.loss(params, x, KEY, objective.hparams)
    (plain, before), (total, after) = losses[False], losses[True]
    assert set(after) - set(before) == {"term/affine", "weight/affine"}
    chex.assert_trees_all_equal(
        {k: v for k, v in before.items() if k.startswith("term/")},
        {k: after[k] for k in before if k.startswith("term/")},
    )
    np.testing.assert_allclose(
        total - plain, after["weight/affine"] * after["term/affine"], rtol=1e-3
    )
    assert after["term/affine"] > 0
