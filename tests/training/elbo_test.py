"""The bound of rows beside that of a split."""

import jax
import numpy as np

from infovae_jax.training import elbo
from infovae_jax.training.run import open_run


def test_bounds_of_rows_have_the_mean_of_the_split(make_config):
    """The same terms by other draws: equal up to the error of the mean."""
    config = make_config("vae")
    config.data.test_fraction = 0.5
    run = open_run(config, say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    row_bound = jax.jit(elbo.make_row_bound(run.objective, 20))
    rows = np.asarray(row_bound(params, run.dataset.test_x, jax.random.key(1)))
    whole = elbo.make_bound_evaluator(run)(params)["test/elbo"]
    error = rows.std() / np.sqrt(len(rows))
    assert abs(rows.mean() - whole) < 4 * error + 0.5
    # Rows draw apart: equal noise for all would show in the spread of the means.
    other = np.asarray(row_bound(params, run.dataset.test_x, jax.random.key(2)))
    assert (rows != other).mean() > 0.99


def test_draws_follow_from_the_values_alone(make_config):
    run = open_run(make_config("vae"), say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    x, key = run.dataset.test_x[:8], jax.random.key(1)
    row_bound = jax.jit(elbo.make_row_bound(run.objective, 2))
    rows = np.asarray(row_bound(params, x, key))
    np.testing.assert_array_equal(row_bound(params, x[::-1], key), rows[::-1])
    zero = x * 0.0
    np.testing.assert_array_equal(
        row_bound(params, -zero, key), row_bound(params, zero, key)
    )
    # Bytes and the fractions that they stand for.
    own = np.random.default_rng(0).integers(0, 256, x.shape).astype(np.uint8)
    fractions = (own / 255).astype(np.float32)
    np.testing.assert_allclose(
        row_bound(params, own, key), row_bound(params, fractions, key), rtol=1e-5
    )
    assert len(set(map(int, jax.vmap(elbo._digest)(run.dataset.test_x)))) == len(
        np.unique(run.dataset.test_x, axis=0)
    )
