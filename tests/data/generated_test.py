"""The drawn figures against areas, centres and angles known by geometry."""

import chex
import numpy as np
import pytest

from infovae_jax import data
from infovae_jax.data import generated

# Areas of figures that reach to distance 1.
AREAS = {"square": 2.0, "ellipse": np.pi / 2, "triangle": 3 * np.sqrt(3) / 4}
GRID = np.arange(generated.SIZE) + 0.5  # centres of pixels


@pytest.fixture(scope="module")
def whole():
    x, numbers = generated.images()
    return x / 255.0, numbers


def test_every_combination_is_there_once_and_no_image_twice(whole):
    x, numbers = whole
    chex.assert_shape(x, (12_000, 32, 32))
    assert len(np.unique(numbers, axis=0)) == 12_000
    assert len({image.tobytes() for image in x}) == 12_000
    # Every pair of values is as frequent as any other: independent factors.
    for i in range(5):
        for j in range(i):
            table = np.unique(numbers[:, [i, j]], axis=0, return_counts=True)[1]
            assert len(set(table)) == 1


def test_areas_centres_and_extents_are_those_of_the_factors(whole):
    x, numbers = whole
    mass = x.sum((1, 2))
    areas = np.array([AREAS[name] for name in generated.SHAPES])[numbers[:, 0]]
    expected = areas * np.array(generated.SCALES)[numbers[:, 1]] ** 2
    # Edges along the pixels are off by half a point at most, a 32nd of a pixel each:
    # 2 / 32 of the smallest square's 4.95 a side.
    np.testing.assert_allclose(mass, expected, rtol=(1 + 2 / 32 / 4.95) ** 2 - 1)
    assert np.median(np.abs(mass / expected - 1)) < 0.002
    for axis, column in ((1, 3), (2, 4)):
        centres = (x.sum(axis) @ GRID) / mass
        wanted = np.array(generated.POSITIONS)[numbers[:, column]]
        np.testing.assert_allclose(centres, wanted, atol=0.03)
    # Nothing touches the frame, and edges are smooth.
    assert x[:, [0, -1]].sum() <= x[:, [1, -2]].sum()
    assert np.all(((x > 0) & (x < 1)).any((1, 2)))


def test_orientation_is_that_of_the_long_axis(whole):
    x, numbers = whole
    ellipses = np.flatnonzero(numbers[:, 0] == generated.SHAPES.index("ellipse"))
    for row in ellipses[::7]:
        image, mass = x[row], x[row].sum()
        dx = GRID - generated.POSITIONS[numbers[row, 3]]
        dy = GRID - generated.POSITIONS[numbers[row, 4]]
        xx, yy = (image.sum(0) @ dx**2) / mass, (image.sum(1) @ dy**2) / mass
        xy = dy @ image @ dx / mass
        angle = np.rad2deg(0.5 * np.arctan2(2 * xy, xx - yy))
        off = angle - generated.ORIENTATIONS[numbers[row, 2]]
        assert abs((off + 90) % 180 - 90) < 1.5
        # Semi-axes r and r / 2: variances r^2 / 4 and r^2 / 16; a pixel's is 1 / 12.
        scale = generated.SCALES[numbers[row, 1]]
        assert xx + yy == pytest.approx(scale**2 * 5 / 16 + 1 / 6, rel=0.03)


def test_corners_of_the_other_figures():
    inside, outside = 0.99, 1.01
    for name, degrees in (("square", (45, 135, 225)), ("triangle", (0, 120, 240))):
        for angle in np.deg2rad(degrees):
            corner = np.cos(angle), np.sin(angle)
            assert generated.covered(name, *(inside * np.array(corner)))
            assert not generated.covered(name, *(outside * np.array(corner)))
    assert not generated.covered("square", 0.75, 0.0)
    assert not generated.covered("triangle", -0.51, 0.0)


def test_the_source_splits_by_its_seed_and_carries_factors(data_config):
    found, again, other = (
        data.load(data_config("shapes", split_seed=seed)) for seed in (0, 0, 1)
    )
    chex.assert_shape(found.train_x, (9600, 32, 32, 1))
    chex.assert_shape(found.test_x, (2400, 32, 32, 1))
    assert found.label_names == generated.SHAPES
    assert found.spec.likelihood == "bernoulli"
    np.testing.assert_array_equal(found.test_x, again.test_x)
    assert (found.test_x != other.test_x).any()
    assert tuple(found.factors) == generated.FACTORS
    assert "factors, for evaluation only: shape, scale" in found.decision
    for x, y, side in (
        (found.train_x, found.train_y, 0),
        (found.test_x, found.test_y, 1),
    ):
        values = {name: both[side] for name, both in found.factors.items()}
        np.testing.assert_array_equal(values["shape"], y)
        for row in (0, 17, len(x) - 1):
            drawn = np.zeros((32, 32), np.uint8)
            left, top = (int(values[f"position_{a}"][row]) - 7 for a in "xy")
            drawn[top : top + 14, left : left + 14] = generated.sprite(
                generated.SHAPES[y[row]],
                values["scale"][row],
                values["orientation"][row],
            )
            np.testing.assert_array_equal(x[row, ..., 0], drawn)
