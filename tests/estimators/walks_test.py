"""Walks through the code are in the range and shape of X; what has none is refused."""

import numpy as np
import pandas as pd
import pytest

from infovae_jax import NVAE, VAE
from infovae_jax.evaluation import code_paths


@pytest.mark.long
def test_walks_of_bytes_with_classes(quick, images):
    model = NVAE(**quick).fit(images, np.arange(len(images)) % 2)
    codes = model.transform(images)
    made = model.reconstruct(images)
    np.testing.assert_array_equal(made, model.inverse_transform(codes))
    assert made.shape == images.shape
    assert made.max() > 1  # of bytes
    walk = model.interpolate(images[:3], n_steps=3)
    halves = model.inverse_transform((codes[:2] + codes[1:3]) / 2)
    np.testing.assert_allclose(walk[:, 1], halves, rtol=1e-5, atol=1e-3)
    moved = model.traverse(images[:2], n_steps=5)
    assert moved.images.shape == (2, len(moved.dims), 5, *images.shape[1:])
    assert not any(name.startswith("y") for name in moved.names)  # classes
    chosen = model.traverse(images[:2], dims=[2], n_steps=5)
    changed = np.ptp(chosen.codes, axis=2) > 0
    np.testing.assert_array_equal(np.flatnonzero(changed.any((0, 1))), [2])
    steps = chosen.codes[:, 0, :, 2] - codes[:2, None, 2]
    np.testing.assert_allclose(steps, [[-2.5, -1.25, 0, 1.25, 2.5]] * 2, atol=1e-5)


def test_dims_are_chosen_by_what_changes_for_the_model(quick, table):
    """Not in the units of the data, where one column is all that counts."""
    model = VAE(**quick).fit(table)
    found = model.traverse(table[:1], n_steps=3)
    codes = found.codes[0].reshape(-1, 20)
    moved = model.decoded(codes).reshape(len(found.dims), 3, -1)
    assert list(code_paths.by_change(moved)) == list(range(len(found.dims)))
    in_units = code_paths.by_change(found.images[0])
    assert list(in_units) != list(range(len(found.dims)))
    np.testing.assert_allclose(
        found.images[0].reshape(-1, 5), model.inverse_transform(codes), rtol=1e-6
    )


@pytest.mark.long
def test_what_cannot_be_walked(quick, table):
    model = VAE(**quick).fit(table)
    for call in (
        lambda: model.interpolate(table[:1]),
        lambda: model.interpolate(table, n_steps=1),
        lambda: model.interpolate(table, n_steps=2.5),
        lambda: model.traverse(table[:1], n_steps=0),
        lambda: model.traverse(table[:1], n_steps="a"),
        lambda: model.traverse(table[:1], dims=["a"]),
        lambda: model.traverse(table[:1], dims=[1.5]),
        lambda: model.traverse(table[:1], dims=[-1]),
        lambda: model.traverse(table[:1], dims=[model.transform(table).shape[1]]),
    ):
        with pytest.raises(ValueError, match="give"):
            call()
    frame = pd.DataFrame({"a": table[:, 0], "b": np.array(["x", "y"] * 30)})
    mixed = VAE(**quick).fit(frame)
    assert list(mixed.reconstruct(frame).columns) == ["a", "b"]
    with pytest.raises(ValueError, match="is of a table"):
        mixed.traverse(frame)
