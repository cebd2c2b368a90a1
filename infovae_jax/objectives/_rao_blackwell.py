"""sum_c q(c) f(c) over many clusters from a few evaluations of f, without bias.

    sum over the m most probable clusters, exactly
    + (1/S) sum_s w_s (f(c_s) - b_s) + Q b_s,    c_s ~ r = q restricted to the others

Q is the probability of the others, w_s = q(c_s) / r(c_s) with no gradient through r,
and b_s a baseline without gradient that does not depend on c_s: the mean f of all
other clusters evaluated. As E_r[w grad] = sum over the others, value and gradient are
unbiased, through q as through f, whatever m, S and b. Under r the weight is Q: never
above 1, however unlikely the cluster.

Liu et al. 2019, Rao-Blackwellized Stochastic Gradients for Discrete Distributions
(arXiv 1810.04777); the baseline of the other draws as in Kool et al. 2019.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from infovae_jax import distributions


class Chosen(NamedTuple):
    """The clusters to evaluate of each example.

    Attributes:
      clusters: `[..., m + S]`, the m most probable and then the S draws.
      top_weights: q(c) of the first, `[..., m]`.
      drawn_weights: q(c) / r(c) of the draws, `[..., S]`; Q, with the gradient of q.
      rest: Q `[...]`.
    """

    clusters: Int[Array, "*batch n"]
    top_weights: Float[Array, "*batch m"]
    drawn_weights: Float[Array, "*batch S"]
    rest: Float[Array, "*batch"]


def choose(
    key: Array, logits: Float[Array, "*batch K"], num_top: int, num_draws: int
) -> Chosen:
    """Chooses clusters of q = softmax(logits).

    Args:
      key: one PRNG key, or one for every entry of the first axis of `logits`.
      logits: of q.
      num_top: m, from 0 to K - 1.
      num_draws: S, at least 1; with replacement.
    """
    log_q = jax.nn.log_softmax(logits)
    _, top = jax.lax.top_k(jax.lax.stop_gradient(logits), num_top)

    def others(values):
        return jnp.put_along_axis(values, top, -jnp.inf, axis=-1, inplace=False)

    # From the logits: those of q would have lost their digits where q is certain.
    log_r = jax.nn.log_softmax(others(jax.lax.stop_gradient(logits)))
    shape = (*logits.shape[:-1], num_draws, logits.shape[-1])
    gumbel = distributions.draw(jax.random.gumbel, key, shape)
    drawn = jnp.argmax(gumbel + log_r[..., None, :], axis=-1)

    def at(values, c):
        return jnp.take_along_axis(values, c, axis=-1)

    return Chosen(
        clusters=jnp.concatenate([top, drawn], axis=-1),
        top_weights=jnp.exp(at(log_q, top)),
        drawn_weights=importance_weights(at(log_q, drawn), at(log_r, drawn)),
        rest=jnp.exp(jax.nn.logsumexp(others(log_q), axis=-1)),
    )


def importance_weights(
    log_q: Float[Array, "*batch S"], log_r: Float[Array, "*batch S"]
) -> Float[Array, "*batch S"]:
    """q / r, with the gradient of q alone."""
    return jnp.exp(log_q - jax.lax.stop_gradient(log_r))


def estimate(
    chosen: Chosen, values: Float[Array, "*batch n"]
) -> Float[Array, "*batch"]:
    """The unbiased sum from `values` = f(chosen.clusters) `[..., m + S]`."""
    top, drawn = jnp.split(values, [chosen.top_weights.shape[-1]], axis=-1)
    others = values.sum(-1, keepdims=True) - drawn
    baseline = jax.lax.stop_gradient(others / max(values.shape[-1] - 1, 1))
    rest = chosen.drawn_weights * (drawn - baseline) + chosen.rest[..., None] * baseline
    return (chosen.top_weights * top).sum(-1) + rest.mean(-1)
