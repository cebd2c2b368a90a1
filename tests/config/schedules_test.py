"""Schedules in words: values, checks, messages."""

import numpy as np
import pytest

from infovae_jax.config import schedules
from infovae_jax.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),  # at epochs 0, 1, 2, 10
    [
        (0.5, [0.5, 0.5, 0.5, 0.5]),
        ("linear(0, 1, 2)", [0.0, 0.5, 1.0, 1.0]),
        ("cosine(4, 1, 2)", [4.0, 2.5, 1.0, 1.0]),
        ("exponential(4, 1, 2)", [4.0, 2.0, 1.0, 1.0]),
        ("ramp(-3, 1, 1, 3)", [-3.0, -3.0, -1.0, 1.0]),
        ("piecewise(-3, 1, 0, 2, 1)", [-3.0, 0.0, 1.0, 1.0]),
        ("warmup_cosine(1, 2, 0.1, 10)", [0.0, 0.5, 1.0, 0.1]),
        # Shares of ten epochs.
        ("linear(0, 1, 20%)", [0.0, 0.5, 1.0, 1.0]),
        ("ramp(-3, 10%, 1, 30%)", [-3.0, -3.0, -1.0, 1.0]),
        ("piecewise(-3, 10 %, 0, 2, 1)", [-3.0, 0.0, 1.0, 1.0]),
    ],
)
def test_values(text, expected):
    schedule = schedules.make_schedule(text, 7, "here", 10)
    found = [float(schedule(epoch * 7)) for epoch in (0, 1, 2, 10)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("liner(0, 1, 2)", "did you mean 'linear'"),
        ("linear(0, 1)", "wrong arguments"),
        ("linear(0, 1, -2)", "wrong arguments"),
        ("piecewise(0, 2, 1, 1, 3)", "wrong arguments"),
        ("ramp(0, 3, 1, 2)", "wrong arguments"),
        ("linear(0, 1, epochs=2)", "neither a number nor a schedule"),
        ("exponential(0, 1, 2)", "positive"),
        ("__import__('os')", "neither a number nor a schedule"),
        ("abc", "neither a number nor a schedule"),
        (None, "neither a number nor a schedule"),
        (float("nan"), "not a finite number"),
        ("linear(-1, 1, 2)", "too small"),
        ("linear(0, 1, 120%)", "100 %"),
        ("linear(0, 1%, 20%)", "wrong arguments"),
        ("ramp(0, 50%, 1, 40%)", "wrong arguments"),
        ("linear(0, 1, 0%)", "wrong arguments"),
        ("linear(0, 1, %)", "neither a number nor a schedule"),
        ("5%", "neither a number nor a schedule"),
    ],
)
def test_bad_texts_are_refused_with_the_key(text, part):
    with pytest.raises(ConfigError, match="config.weights.x") as caught:
        schedules.check(text, "config.weights.x", minimum=0.0)
    assert part in caught.value.line()


@pytest.mark.parametrize("num_epochs", [3, 20, 25])
def test_shares_are_the_same_parts_of_any_training(num_epochs):
    steps = 100
    schedule = schedules.make_schedule("ramp(0, 40%, 1, 50%)", steps, "x", num_epochs)
    total = num_epochs * steps
    found = [float(schedule(round(share * total))) for share in (0.4, 0.45, 0.5, 1)]
    np.testing.assert_allclose(found, [0.0, 0.5, 1.0, 1.0], atol=1e-5)


def test_parts_that_cross_in_a_short_training_are_refused():
    text = "ramp(0, 5, 1, 50%)"
    schedules.check(text, "config.weights.x")
    schedules.make_schedule(text, 7, "config.weights.x", 20)
    with pytest.raises(ConfigError, match="do not follow one another in 8 epochs"):
        schedules.make_schedule(text, 7, "config.weights.x", 8)


def test_a_share_and_its_epochs_are_the_same_schedule():
    """The preset that has one keeps the bits it had in epochs."""
    both = [
        schedules.make_schedule(text, 240, "x", 25)
        for text in ("ramp(0.002, 15, 0.0002, 25)", "ramp(0.002, 60%, 0.0002, 100%)")
    ]
    for step in range(0, 25 * 240, 97):
        assert both[0](step) == both[1](step)
