"""Priors over the latent code, as Gaussians with one row per component."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from infovae_jax.distributions import Gaussian


def standard_normal(latent_dim: int) -> Gaussian:
    """N(0, I) as one component, `[1, d]`."""
    return Gaussian(jnp.zeros((1, latent_dim)), jnp.zeros((1, latent_dim)))


def cluster_means(
    num_clusters: int, sub_dim: int, separation: float
) -> Float[Array, "K d"]:
    """Means of the K-modal prior, `[K, K * sub_dim]` (CatVAE, arXiv 1806.08240).

    Row c holds `separation` in its own block of `sub_dim` dims and 0 elsewhere, so
    the means are orthogonal and equidistant: separation * sqrt(2 * sub_dim).
    """
    return separation * jnp.repeat(jnp.eye(num_clusters), sub_dim, axis=1)


def clusters(num_clusters: int, sub_dim: int, separation: float) -> Gaussian:
    """The K components N(mu_c, I) of the CatVAE prior, each `[K, d]`."""
    means = cluster_means(num_clusters, sub_dim, separation)
    return Gaussian(means, jnp.zeros_like(means))
