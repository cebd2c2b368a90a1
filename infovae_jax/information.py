"""Divergences between samples, and bounds on mutual information."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infovae_jax.distributions import Categorical, categorical_kl_uniform

KERNELS = ("imq_multi", "imq", "rbf")
# Multiples of the base width 2 d v (Tolstikhin et al. 2018, arXiv 1711.01558, code).
_WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def balance(logits: Float[Array, "B K"]) -> Float[Array, ""]:
    """KL(mean_batch q(c | x) || uniform) in nats: 0 where clusters are used alike."""
    log_probs = jax.nn.log_softmax(logits)
    log_mean = jax.nn.logsumexp(log_probs, axis=0) - math.log(logits.shape[0])
    return categorical_kl_uniform(Categorical(log_mean))


def mmd(
    x: Float[Array, "n d"],
    y: Float[Array, "m d"],
    kernel: str = "imq_multi",
    prior_variance: float = 1.0,
    bandwidth: float | None = None,
    unbiased: bool = True,
) -> Float[Array, ""]:
    """Squared maximum mean discrepancy of two samples (Gretton et al. 2012).

    mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j)

    Args:
      x: `[n, d]`.
      y: `[m, d]`.
      kernel: with r the distance, d the dims and v the prior's variance per dim,
        'imq_multi' sum over t in {.1, .2, .5, 1, 2, 5, 10} of C / (C + r^2) with
        C = 2 t d v; 'imq' the one with t = 1; 'rbf' exp(-r^2 / (2 h^2)).
      prior_variance: v.
      bandwidth: h of 'rbf' (default: h^2 = d v), or C of 'imq' (default: 2 d v).
      unbiased: leave the pairs (i, i) out (the U-statistic: unbiased, may be
        negative) or keep them (the V-statistic: never negative).

    Returns:
      A scalar; no unit.

    Raises:
      ValueError: unknown kernel, or fewer than two points for the U-statistic.
    """
    if kernel not in KERNELS:
        raise ValueError(f"unknown kernel '{kernel}': use one of {', '.join(KERNELS)}")
    if unbiased and min(x.shape[0], y.shape[0]) < 2:
        raise ValueError("the U-statistic needs two points of each sample")

    def k(a, b):
        squares = _square_distances(a, b)
        dim = a.shape[-1]
        if kernel == "rbf":
            variance = bandwidth**2 if bandwidth is not None else dim * prior_variance
            return jnp.exp(-squares / (2.0 * variance))
        base = 2.0 * dim * prior_variance
        if kernel == "imq":
            base = bandwidth if bandwidth is not None else base
            return base / (base + squares)
        return sum(t * base / (t * base + squares) for t in _WIDTHS)

    def within(a):
        values = k(a, a)
        if not unbiased:
            return values.mean()
        n = a.shape[0]
        off_diagonal = jnp.where(jnp.eye(n, dtype=bool), 0.0, values)
        return off_diagonal.sum() / (n * (n - 1))

    return within(x) + within(y) - 2.0 * k(x, y).mean()


def _square_distances(
    a: Float[Array, "n d"], b: Float[Array, "m d"]
) -> Float[Array, "n m"]:
    """|a_i - b_j|^2; rounding may leave a small negative square, hence the clamp."""
    squares = (a**2).sum(-1)[:, None] + (b**2).sum(-1)[None] - 2.0 * a @ b.T
    return jnp.maximum(squares, 0.0)
