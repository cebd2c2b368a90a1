"""A Gaussian of full covariance fitted to codes that have no prior, as they come.

Its parameters are running moments, part of an objective's statistics: the training
codes of about the last hundred batches. By it a code without prior can be sampled and
its likelihood bounded; neither enters a loss.
"""

import jax
import jax.numpy as jnp

from infovae_jax.distributions import LOG_2PI
from infovae_jax.types import Array, Params

# Share of the old moments that is kept in a step.
MOMENTUM = 0.99


def init(size: int) -> Params:
    """Moments before any batch."""
    return {
        "mean": jnp.zeros(size),
        "square": jnp.zeros((size, size)),
        "weight": jnp.zeros(()),
    }


def update(moments: Params, codes: Array) -> Params:
    """Moments after one more batch of codes `[B, c]`.

    An exponential mean that does not remember its start at zero: `weight` is the
    share of it that has been seen, by which both moments are divided when read.
    """
    new = 1.0 - MOMENTUM
    return {
        "mean": MOMENTUM * moments["mean"] + new * codes.mean(0),
        "square": MOMENTUM * moments["square"] + new * codes.T @ codes / len(codes),
        "weight": MOMENTUM * moments["weight"] + new,
    }


def mean_and_factor(moments: Params) -> tuple[Array, Array]:
    """Mean `[c]` and Cholesky factor `[c, c]`; of N(0, I) before any batch."""
    seen = moments["weight"] > 0
    weight = jnp.where(seen, moments["weight"], 1.0)
    mean = moments["mean"] / weight
    covariance = moments["square"] / weight - jnp.outer(mean, mean)
    # A code that never varies must not divide by zero.
    size = len(mean)
    floor = 1e-6 * jnp.maximum(1.0, jnp.trace(covariance) / size)
    covariance = covariance + floor * jnp.eye(size)
    return mean, jnp.linalg.cholesky(jnp.where(seen, covariance, jnp.eye(size)))


def sample(key: Array, moments: Params, num: int) -> Array:
    """Codes `[num, c]` from the fitted Gaussian."""
    mean, factor = mean_and_factor(moments)
    return mean[None] + jax.random.normal(key, (num, len(mean))) @ factor.T


def log_prob(moments: Params, codes: Array) -> Array:
    """log density of codes `[..., c]` in nats, `[...]`."""
    mean, factor = mean_and_factor(moments)
    offset = (codes - jnp.broadcast_to(mean, codes.shape)).reshape(-1, len(mean))
    white = jax.scipy.linalg.solve_triangular(factor, offset.T, lower=True)
    square = (white**2).sum(0).reshape(codes.shape[:-1])
    log_det = jnp.log(jnp.diagonal(factor)).sum()
    return -0.5 * (square + len(mean) * LOG_2PI) - log_det


def kl(moments: Params, mean: Array, deviation: Array) -> Array:
    """KL(N(mean, diag(deviation^2)) || fitted) in nats, `[...]`.

    Args:
      moments: of the fitted Gaussian.
      mean: `[..., c]`.
      deviation: `[c]`.
    """
    _, factor = mean_and_factor(moments)
    spread = jax.scipy.linalg.solve_triangular(factor, jnp.diag(deviation), lower=True)
    entropy = (0.5 * (LOG_2PI + 1.0) + jnp.log(deviation)).sum()
    return -entropy - log_prob(moments, mean) + 0.5 * (spread**2).sum()
