"""Numbers of the bias table against the closed form of Gaussian channels."""

import numpy as np
import pytest

from infovae_jax.evaluation import bias_table


def standard_error(information, count, dims, repeats):
    """Of a mean of log q(z | x) / q(z): its variance is dims * rho^2."""
    rho = bias_table.correlation(information, dims)
    return rho * np.sqrt(dims / (count * repeats))


def test_correlation_gives_the_information_back():
    for nats, dims in ((0.5, 1), (10.0, 4)):
        rho = bias_table.correlation(nats, dims)
        assert -0.5 * dims * np.log(1 - rho**2) == pytest.approx(nats)


@pytest.mark.parametrize("nats", [0.5, 2.0])
def test_bounds_enclose_what_the_examples_can_tell(nats):
    """Within four standard errors, and a tenth of a nat of bias at 2000 examples."""
    row = bias_table.measure(nats, 2000, dims=2, repeats=2)
    error = 4 * standard_error(nats, 2000, 2, 2)
    assert row.lower <= nats + error
    assert row.upper >= nats - error
    assert row.upper >= row.lower
    np.testing.assert_allclose([row.lower, row.upper], nats, atol=error + 0.1)
    np.testing.assert_allclose(row.regression, nats, atol=error)


def test_past_log_n_the_upper_bound_is_refused_and_the_regression_is_not():
    row = bias_table.measure(10.0, 200, dims=2, repeats=2)
    assert row.upper is None
    assert np.log(200) - 0.1 < row.lower <= np.log(200) + 1e-4
    error = 4 * standard_error(10.0, 200, 2, 2)
    np.testing.assert_allclose(row.regression, 10.0, atol=error + 2 / 200)


def test_an_upper_bound_that_says_nothing_is_refused():
    """8 nats from 500 examples: the lower bound stays below log n, yet is near it."""
    row = bias_table.measure(8.0, 500, dims=4, repeats=1)
    assert row.lower < np.log(500)
    assert row.upper is None


def test_the_table_in_markdown():
    rows = [
        bias_table.BiasRow(500, 2.0, 1.9, 2.25, 2.01),
        bias_table.BiasRow(500, 10.0, 6.2, None, 10.0),
    ]
    lines = bias_table.markdown(rows).splitlines()
    assert lines[2] == (
        "| 500 | 6.21 | 2 | 1.90 | -0.10 | 2.25 | +0.25 | 2.01 | +0.01 |"
    )
    assert "| 6.20 | -3.80 | refused | - | 10.00 | +0.00 |" in lines[3]
