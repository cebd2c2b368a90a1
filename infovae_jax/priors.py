"""Priors over the latent code: factorised ones, and the K modes of CatVAE."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infovae_jax import distributions
from infovae_jax.distributions import Gaussian, Logistic

# Scale of the logistic distribution of unit variance.
UNIT_LOGISTIC = math.sqrt(3.0) / math.pi
PRIORS = ("normal", "logistic")


class Prior(NamedTuple):
    """A factorised prior p(z) over `[d]`.

    Attributes:
      kl: `kl(q) -> [...]`, KL(q || p) in nats, for a Gaussian q `[..., d]`.
      log_prob: `log_prob(z) -> [...]`, nats.
      sample: `sample(key, (..., d)) -> z`.
      moments: the Gaussian of equal mean and variance, `[d]`; for pictures.
      variance: of one dim.
    """

    kl: Callable[[Gaussian], Array]
    log_prob: Callable[[Array], Array]
    sample: Callable[[Array, tuple[int, ...]], Array]
    moments: Gaussian
    variance: float


def make_prior(name: str, latent_dim: int, scale: float = UNIT_LOGISTIC) -> Prior:
    """The prior called `name`.

    Args:
      name: 'normal', N(0, I), or 'logistic', a product of logistic distributions.
      latent_dim: d.
      scale: s of the logistic, of variance s^2 pi^2 / 3. At s = sqrt(3) / pi its
        entropy is 0.0144 nats per dim BELOW the normal's; at s = 1 it is above.
    """
    zeros = _constant(0.0, latent_dim)
    if name == "normal":
        p = Gaussian(zeros, zeros)
        return Prior(
            kl=lambda q: distributions.gaussian_kl(q, p),
            log_prob=lambda z: distributions.gaussian_log_prob(p, z),
            sample=jax.random.normal,
            moments=p,
            variance=1.0,
        )
    variance = (scale * math.pi) ** 2 / 3.0

    def sample(key, shape):
        one = Logistic(jnp.zeros(shape), jnp.full(shape, scale))
        return distributions.logistic_sample(key, one, shape)

    def log_prob(z):
        p = Logistic(jnp.zeros_like(z), jnp.full_like(z, scale))
        return distributions.logistic_log_prob(p, z)

    return Prior(
        kl=lambda q: distributions.gaussian_logistic_kl(
            q, Logistic(jnp.zeros_like(q.mean), jnp.full_like(q.mean, scale))
        ),
        log_prob=log_prob,
        sample=sample,
        moments=Gaussian(zeros, _constant(math.log(variance), latent_dim)),
        variance=variance,
    )


def _constant(values, *shape: int) -> Array:
    """float32, without a program of its own, as jnp.zeros or jnp.eye would compile."""
    values = np.asarray(values, np.float32)
    return jnp.asarray(np.broadcast_to(values, shape or values.shape))


def factorised(
    log_prob: Callable[[Array], Array],
    sample: Callable[[Array, tuple[int, ...]], Array],
    latent_dim: int,
    variance: float,
    mean: float = 0.0,
) -> Prior:
    """A prior of one's own: a product of equal densities, its KL by quadrature.

    Args:
      log_prob: log-density in nats of each number of an array, normalised.
      sample: `sample(key, shape)`, draws of it.
      latent_dim: d.
      variance: of one dim.
      mean: of one dim.
    """
    log_var = _constant(math.log(variance), latent_dim)
    moments = Gaussian(_constant(mean, latent_dim), log_var)
    return Prior(
        kl=lambda q: distributions.gaussian_kl_by_quadrature(q, log_prob),
        log_prob=lambda z: log_prob(z).sum(-1),
        sample=sample,
        moments=moments,
        variance=variance,
    )


def cluster_means(
    num_clusters: int, sub_dim: int, separation: float
) -> Float[Array, "K d"]:
    """Means of the K-modal prior, `[K, K * sub_dim]` (CatVAE, arXiv 1806.08240).

    Row c holds `separation` in its own block of `sub_dim` dims and 0 elsewhere, so
    the means are orthogonal and equidistant: separation * sqrt(2 * sub_dim).
    """
    return _constant(separation * np.repeat(np.eye(num_clusters), sub_dim, axis=1))


def clusters(num_clusters: int, sub_dim: int, separation: float) -> Gaussian:
    """The K components N(mu_c, I) of the CatVAE prior, each `[K, d]`."""
    means = cluster_means(num_clusters, sub_dim, separation)
    return Gaussian(means, _constant(0.0, *means.shape))
