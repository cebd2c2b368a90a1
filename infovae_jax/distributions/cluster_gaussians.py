"""K Gaussians that differ by constant shifts, all of them at once as products.

    q_c = N(mean + shift_mean_c, exp(log_var + shift_log_var_c)),  c = 1..K

Mean and log-variance `[..., d]` belong to the example, the shifts `[K, d]` to the
cluster, as a linear head on [h; one-hot c] gives them. What is summed over the d dims
then splits into products of something of the example with something of the cluster:
matrix products `[B, d] x [d, K]`, never an array `[B, K, d]`.

Both factors are taken about the mean shift, which changes no result but keeps the
terms that cancel small; no gradient is lost by it for the same reason.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from infovae_jax.distributions import (
    LOG_2PI,
    Gaussian,
    gaussian_kl,
    gaussian_log_prob,
    gaussian_sample,
)

# Clusters from which on sums over latent dims are matrix products: below, `[K, d]` an
# example is as quick, and free of the rounding of products.
EXPANDED_CLUSTERS = 32


class ShiftedGaussians(NamedTuple):
    """The K Gaussians of each example.

    Attributes:
      shared: what the example gives, `[..., d]` each.
      shifts: what each cluster adds to mean and log-variance, `[K, d]` each.
    """

    shared: Gaussian
    shifts: Gaussian


def components(q: ShiftedGaussians) -> Gaussian:
    """All K, `[..., K, d]` each: for few clusters."""
    lead = (1,) * (q.shared.mean.ndim - 1)
    return jax.tree.map(
        lambda own, shift: own[..., None, :] + shift.reshape(*lead, *shift.shape),
        q.shared,
        q.shifts,
    )


def component(q: ShiftedGaussians, c: Int[Array, "*batch n"]) -> Gaussian:
    """Those numbered `c` of each example, `[..., n, d]` each."""
    return jax.tree.map(
        lambda own, shift: own[..., None, :] + shift[c], q.shared, q.shifts
    )


def _centred(
    own: Float[Array, "*batch d"], shift: Float[Array, "K d"]
) -> tuple[Float[Array, "*batch d"], Float[Array, "K d"]]:
    centre = jax.lax.stop_gradient(shift.mean(0))
    own = own + jnp.broadcast_to(centre, own.shape)
    return own, shift - jnp.broadcast_to(centre, shift.shape)


def _outer_sum(
    own: Float[Array, "*batch"], cluster: Float[Array, " K"]
) -> Float[Array, "*batch K"]:
    shape = (*own.shape, *cluster.shape)
    return own[..., None] + jnp.broadcast_to(cluster, shape)


def kl_to_unit_variance(
    q: ShiftedGaussians, means: Float[Array, "K d"]
) -> Float[Array, "*batch K"]:
    """KL(q_c || N(means_c, I)) of all K in nats, `[..., K]`; two products.

    With a, b the log-variances of example and cluster, exp(a + b) - 1 is
    expm1(a) expm1(b) + expm1(a) + expm1(b): the dims that say nothing, of
    log-variance near 0, then add nothing instead of a difference of ones.
    """
    mean, shift = _centred(q.shared.mean, q.shifts.mean - means)
    a, b = _centred(q.shared.log_var, q.shifts.log_var)
    grow_a, grow_b = jnp.expm1(a), jnp.expm1(b)
    squares = _outer_sum((mean**2).sum(-1), (shift**2).sum(-1))
    alone = _outer_sum((grow_a - a).sum(-1), (grow_b - b).sum(-1))
    return 0.5 * (squares + 2.0 * mean @ shift.T + grow_a @ grow_b.T + alone)


def log_probs(
    q: ShiftedGaussians, z: Float[Array, "*batch d"]
) -> Float[Array, "*batch K"]:
    """log q_c(z) of all K in nats, `[..., K]`; three products.

    A difference of large numbers where z is many standard deviations from the mean
    of the K: exact to about 1e-6 of the squared distance in standard deviations.
    """
    mean, shift = _centred(q.shared.mean, q.shifts.mean)
    a, b = _centred(q.shared.log_var, q.shifts.log_var)
    away, own, cluster = z - mean, jnp.exp(-a), jnp.exp(-b)
    squares = (
        (away**2 * own) @ cluster.T
        - 2.0 * (away * own) @ (shift * cluster).T
        + own @ (shift**2 * cluster).T
    )
    return -0.5 * (squares + _outer_sum((a + LOG_2PI).sum(-1), b.sum(-1)))


def take(q: Gaussian | ShiftedGaussians, c: Int[Array, "*batch n"]) -> Gaussian:
    """Those numbered `c` of each example, of either form, `[..., n, d]` each."""
    if isinstance(q, ShiftedGaussians):
        return component(q, c)
    return jax.tree.map(lambda a: jnp.take_along_axis(a, c[..., None], -2), q)


def all_components(q: Gaussian | ShiftedGaussians) -> Gaussian:
    """All K of either form, `[..., K, d]` each."""
    return q if isinstance(q, Gaussian) else components(q)


def _expands(q: Gaussian | ShiftedGaussians) -> bool:
    """Whether sums over dims are to be matrix products."""
    if isinstance(q, Gaussian):
        return False
    return q.shifts.mean.shape[0] >= EXPANDED_CLUSTERS


def kl_per_cluster(
    q: Gaussian | ShiftedGaussians, prior: Gaussian
) -> Float[Array, "*batch K"]:
    """KL(q(z | x, c) || p(z | c)) of all K clusters at once, `[..., K]` nats.

    One vmap; or matrix products, in which no `[..., K, d]` occurs, for many clusters
    that differ by constant shifts, against a prior known to have unit variances.

    Args:
      q: the K posteriors of one example, `[K, d]` each, or of any leading axes.
      prior: the K prior components, `[K, d]` each.
    """
    traced = isinstance(prior.log_var, jax.core.Tracer)
    if _expands(q) and not traced and not np.asarray(prior.log_var).any():
        return kl_to_unit_variance(q, prior.mean)
    q = all_components(q)
    return jax.vmap(gaussian_kl, in_axes=-2, out_axes=-1)(q, prior)


def log_prob_per_cluster(
    q: Gaussian | ShiftedGaussians, z: Float[Array, "*batch d"]
) -> Float[Array, "*batch K"]:
    """log q(z | x, c) of all K clusters at one z per example, `[..., K]` nats."""
    if _expands(q):
        return log_probs(q, z)
    log_prob = jax.vmap(gaussian_log_prob, (-2, None), -1)
    return log_prob(all_components(q), z)


def sample_mixture(
    key: Array, logits: Float[Array, " K"], q: Gaussian | ShiftedGaussians
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """z from sum_c softmax(logits)_c q_c(z) of one example, and its log density."""
    key_c, key_z = jax.random.split(key)
    c = jax.random.categorical(key_c, logits)
    q_c = jax.tree.map(lambda a: a[0], take(q, c[None]))
    z = gaussian_sample(key_z, q_c)
    # The cluster that made z matters most: its density without the rounding of
    # matrix products.
    is_c = jnp.arange(len(logits)) == c
    log_probs = jnp.where(is_c, gaussian_log_prob(q_c, z), log_prob_per_cluster(q, z))
    return z, jax.nn.logsumexp(jax.nn.log_softmax(logits) + log_probs)


def mixture_log_prob(prior: Gaussian) -> Callable:
    """`log_prob(z [d])`: log (1/K) sum_c p(z | c) in nats.

    Args:
      prior: the K components, `[K, d]` each; quick where all variances are 1.
    """
    num_clusters = len(prior.mean)
    expands = num_clusters >= EXPANDED_CLUSTERS and not np.asarray(prior.log_var).any()
    # Not traced: XLA would fold a constant of K x d numbers in every program.
    half_squares = 0.5 * (prior.mean**2).sum(-1) if expands else None

    def log_prob(z):
        if not expands:
            log_probs = jax.vmap(gaussian_log_prob, (0, None))(prior, z)
            return jax.nn.logsumexp(log_probs) - math.log(num_clusters)
        # log N(z; mu_c, I) as one product; the part without c stands outside.
        shared = 0.5 * (z**2 + LOG_2PI).sum(-1) + math.log(num_clusters)
        return jax.nn.logsumexp(prior.mean @ z - half_squares) - shared

    return log_prob
