"""What every objective with one Gaussian posterior q(z | x) shares.

Encoder, posterior head, decoder, likelihood and prior as pure functions. An objective
adds its loss; see `objectives/vae.py` for the shortest.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from infovae_jax import distributions, networks, schedules
from infovae_jax.distributions import Gaussian, Logistic
from infovae_jax.errors import ConfigError, nearest
from infovae_jax.likelihoods import make_likelihood
from infovae_jax.types import Array, DataSpec, Objective

# Scale of the logistic distribution of unit variance.
UNIT_LOGISTIC = math.sqrt(3.0) / math.pi
PRIORS = ("normal", "logistic")


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches of the shared part."""

    latent_dim: int = 20
    scale: float = 1.0  # standard deviation of a Gaussian likelihood

    def check(self) -> None:
        """Raises ConfigError where a value is out of range."""
        if self.latent_dim < 1:
            raise ConfigError(
                f"{self.latent_dim} is no latent size",
                "config.model.latent_dim",
                "give at least 1",
            )
        require_positive(self.scale, "scale")


def require_positive(value: float, key: str) -> None:
    """Raises ConfigError unless `config.model.<key>` is above 0 and finite."""
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(
            f"{value} is no {key.replace('_', ' ')}",
            f"config.model.{key}",
            "give one above 0",
        )


def require_known(value: str, options: tuple[str, ...], key: str) -> None:
    """Raises ConfigError, with the nearest name, unless the value is an option."""
    if value not in options:
        raise ConfigError(
            f"unknown value '{value}'{nearest(value, options)}",
            f"config.model.{key}",
            f"use one of {', '.join(options)}",
        )


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
        entropy is 0.0144 nats a dim BELOW the normal's; at s = 1 it is above.
    """
    zeros = jnp.zeros(latent_dim)
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
        moments=Gaussian(zeros, jnp.full(latent_dim, math.log(variance))),
        variance=variance,
    )


class Model(NamedTuple):
    """The networks and densities; `x` `[..., H, W, C]`, `z` `[..., d]`.

    Attributes:
      init: `init(key) -> params`.
      encode: `encode(params, x) -> Gaussian`.
      decode: `decode(params, z)`, the mean of p(x | z).
      draw: `draw(key, params, z)`, a sample of p(x | z).
      log_likelihood: `log_likelihood(params, x, z) -> [...]`, nats.
      log_weight: as in `Objective`.
      prior: the `Prior`.
      latent_dim: d.
    """

    init: Callable
    encode: Callable
    decode: Callable
    draw: Callable
    log_likelihood: Callable
    log_weight: Callable
    prior: Prior
    latent_dim: int

    def bound_terms(self, params, x: Array, key: Array):
        """Terms of the negative ELBO, and q and z from which they came.

        Args:
          params: of the networks.
          x: one example, or a batch.
          key: one PRNG key, or one an example.

        Returns:
          `({'reconstruction', 'kl_z'}, q, z)`; terms in nats, z one sample of q.
        """
        q = self.encode(params, x)
        z = distributions.gaussian_sample(key, q)
        terms = {
            "reconstruction": -self.log_likelihood(params, x, z),
            "kl_z": self.prior.kl(q),
        }
        return terms, q, z

    def objective(self, loss: Callable, hparams: dict, config: ConfigDict) -> Objective:
        """The `Objective` with this loss; `hparams` are its default weights."""
        moments = self.prior.moments
        constants = {
            k: v for k, v in config.weights.items() if schedules.is_constant(v)
        }

        def sample(key, params, num, cluster=None):
            del cluster  # one component only
            return self.decode(params, self.prior.sample(key, (num, self.latent_dim)))

        return Objective(
            init=self.init,
            loss=loss,
            elbo=lambda params, x, key: self.bound_terms(params, x, key)[0],
            log_weight=self.log_weight,
            encode=self.encode,
            classify=lambda params, x: None,
            decode=self.decode,
            sample=sample,
            prior=Gaussian(moments.mean[None], moments.log_var[None]),
            hparams={**hparams, **constants},
            latent_dim=self.latent_dim,
        )


def make(
    options: Config, config: ConfigDict, spec: DataSpec, prior: Prior | None = None
) -> Model:
    """Builds the networks of `config` for data of `spec`; the prior is N(0, I)."""
    prior = prior or make_prior("normal", options.latent_dim)
    likelihood = make_likelihood(spec.likelihood, options.scale)
    encoder, num_features = networks.make_encoder(config.network, spec.shape)
    head = networks.make_gaussian_head(num_features, options.latent_dim)
    decoder = networks.make_decoder(config.network, spec.shape, options.latent_dim)

    def init(key):
        keys = jax.random.split(key, 3)
        parts = {"encoder": encoder, "posterior": head, "decoder": decoder}
        return {
            n: part.init(k) for k, (n, part) in zip(keys, parts.items(), strict=True)
        }

    def encode(params, x):
        features = encoder.apply(params["encoder"], x)
        return Gaussian(*head.apply(params["posterior"], features))

    def outputs(params, z):
        return decoder.apply(params["decoder"], z)

    def log_likelihood(params, x, z):
        return likelihood.log_prob(outputs(params, z), x)

    def log_weight(params, x, key):
        q = encode(params, x)
        z = distributions.gaussian_sample(key, q)
        log_joint = log_likelihood(params, x, z) + prior.log_prob(z)
        return log_joint - distributions.gaussian_log_prob(q, z)

    return Model(
        init=init,
        encode=encode,
        decode=lambda params, z: likelihood.mean(outputs(params, z)),
        draw=lambda key, params, z: likelihood.sample(key, outputs(params, z)),
        log_likelihood=log_likelihood,
        log_weight=log_weight,
        prior=prior,
        latent_dim=options.latent_dim,
    )
