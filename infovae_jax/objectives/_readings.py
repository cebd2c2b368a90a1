"""How CatVAE's expected distortion under q(c | x) q(z | x, c) is read.

Each is `reading(model, params, x, key, inferred, temperature) -> [...]` in nats, for
one example or a batch with one key per example; see the docstring of `catvae`.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax

from infovae_jax.distributions import Gaussian, gaussian_sample, relaxed_one_hot
from infovae_jax.distributions import cluster_gaussians as clusters
from infovae_jax.distributions.cluster_gaussians import ShiftedGaussians
from infovae_jax.objectives import _rao_blackwell
from infovae_jax.objectives._terms import split_keys
from infovae_jax.types import Array

# Most clusters whose decodings the bound of an evaluation sums one by one; with more
# it takes the sum of `_rao_blackwell`, from so many of both kinds.
ENUMERATED_CLUSTERS = 100
EVALUATION_CLUSTERS = 10


class Inferred(NamedTuple):
    """Features h, logits of q(c | x) and all K of q(z | x, c)."""

    h: Array
    logits: Array
    q: Gaussian | ShiftedGaussians


def exact(model, params, x, key, inferred: Inferred, temperature):
    """sum_c q(c | x) E_q(z | x, c) [-log p(x | z)], one z per cluster."""
    z = gaussian_sample(key, clusters.all_components(inferred.q))
    per_cluster = -model.log_likelihood(params, x[..., None, :, :, :], z)
    return (jax.nn.softmax(inferred.logits) * per_cluster).sum(-1)


def topk(model, params, x, key, inferred: Inferred, temperature, sizes=None):
    """The sum of `exact` without bias, from `sizes` = (m, S) clusters of each kind."""
    num_top, num_draws = sizes or (
        model.options.top_clusters,
        model.options.rest_samples,
    )
    if num_top >= model.options.num_clusters:
        return exact(model, params, x, key, inferred, temperature)
    key_c, key_z = split_keys(key)
    chosen = _rao_blackwell.choose(key_c, inferred.logits, num_top, num_draws)
    q = clusters.take(inferred.q, chosen.clusters)
    z = gaussian_sample(key_z, q)
    per_cluster = -model.log_likelihood(params, x[..., None, :, :, :], z)
    return _rao_blackwell.estimate(chosen, per_cluster)


def soft(model, params, x, key, inferred: Inferred, temperature):
    """-log p(x | z) of one z, from the heads at q(c | x) itself."""
    q = model.posterior(params, inferred.h, jax.nn.softmax(inferred.logits))
    return -model.log_likelihood(params, x, gaussian_sample(key, q))


def gumbel(model, params, x, key, inferred: Inferred, temperature):
    """-log p(x | z) of one z, from the heads at a relaxed one-hot sample."""
    key_c, key_z = split_keys(key)
    c = relaxed_one_hot(
        key_c, inferred.logits, temperature, model.options.straight_through
    )
    q = model.posterior(params, inferred.h, c)
    return -model.log_likelihood(params, x, gaussian_sample(key_z, q))


def measured(num_clusters: int) -> tuple[Callable, str]:
    """The reading of the bound in an evaluation, and how it samples, in words."""
    if num_clusters <= ENUMERATED_CLUSTERS:
        return exact, f"1 sample per example of each of {num_clusters} clusters"
    n = EVALUATION_CLUSTERS
    recipe = (
        f"1 sample per example of its {n} most probable clusters and of {n} drawn from "
        "the others, unbiased"
    )
    return functools.partial(topk, sizes=(n, n)), recipe


READINGS = {"exact": exact, "topk": topk, "soft": soft, "gumbel": gumbel}
