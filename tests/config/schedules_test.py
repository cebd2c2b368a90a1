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
    ],
)
def test_values(text, expected):
    schedule = schedules.make_schedule(text, 7, "here")
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
    ],
)
def test_bad_texts_are_refused_with_the_key(text, part):
    with pytest.raises(ConfigError, match="config.weights.x") as caught:
        schedules.check(text, "config.weights.x", minimum=0.0)
    assert part in caught.value.line()
