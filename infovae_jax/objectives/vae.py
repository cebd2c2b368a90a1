"""VAE: the variational autoencoder.

    loss = reconstruction + w_z * KL(q(z | x) || N(0, I))

with reconstruction = -E_q log p(x | z), one reparameterised sample. Units: nats,
summed over pixels and latent dims, averaged over the batch.

Kingma & Welling, Auto-Encoding Variational Bayes, 2014 (arXiv 1312.6114). Not the
choice where the code must carry information: the KL is free to switch dims off.
"""

import dataclasses

import jax
from ml_collections import ConfigDict

from infovae_jax import distributions, networks, priors
from infovae_jax.distributions import Gaussian
from infovae_jax.errors import ConfigError
from infovae_jax.likelihoods import make_likelihood
from infovae_jax.objectives import default_hparams
from infovae_jax.terms import example_keys, weighted_loss
from infovae_jax.types import DataSpec, Objective

HPARAMS = {"reconstruction": 1.0, "kl_z": 1.0}


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches; see configs/vae.py."""

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
        if not self.scale > 0:
            raise ConfigError(
                f"{self.scale} is no scale", "config.model.scale", "give one above 0"
            )


def make(config: ConfigDict, spec: DataSpec) -> Objective:
    """Builds the VAE of `config` for data of `spec`."""
    options = Config(**config.model)
    likelihood = make_likelihood(spec.likelihood, options.scale)
    encoder, num_features = networks.make_encoder(config.network, spec.shape)
    head = networks.make_gaussian_head(num_features, options.latent_dim)
    decoder = networks.make_decoder(config.network, spec.shape, options.latent_dim)
    prior = priors.standard_normal(options.latent_dim)
    p_z = Gaussian(prior.mean[0], prior.log_var[0])

    def init(key):
        keys = jax.random.split(key, 3)
        parts = {"encoder": encoder, "posterior": head, "decoder": decoder}
        return {
            n: part.init(k) for k, (n, part) in zip(keys, parts.items(), strict=True)
        }

    def encode(params, x):
        features = encoder.apply(params["encoder"], x)
        return Gaussian(*head.apply(params["posterior"], features))

    def log_likelihood(params, x, z):
        return likelihood.log_prob(decoder.apply(params["decoder"], z), x)

    def elbo(params, x, key):
        q = encode(params, x)
        z = distributions.gaussian_sample(key, q)
        return {
            "reconstruction": -log_likelihood(params, x, z),
            "kl_z": distributions.gaussian_kl(q, p_z),
        }

    def loss(params, batch, key, hparams):
        terms = elbo(params, batch, example_keys(key, batch))
        return weighted_loss(terms, hparams)

    def log_weight(params, x, key):
        q = encode(params, x)
        z = distributions.gaussian_sample(key, q)
        log_joint = log_likelihood(params, x, z) + distributions.gaussian_log_prob(
            p_z, z
        )
        return log_joint - distributions.gaussian_log_prob(q, z)

    def decode(params, z):
        return likelihood.mean(decoder.apply(params["decoder"], z))

    def sample(key, params, num, cluster=None):
        del cluster  # one component only
        return decode(params, jax.random.normal(key, (num, options.latent_dim)))

    return Objective(
        init=init,
        loss=loss,
        elbo=elbo,
        log_weight=log_weight,
        encode=encode,
        classify=lambda params, x: None,
        decode=decode,
        sample=sample,
        prior=prior,
        hparams=default_hparams(config, HPARAMS),
        latent_dim=options.latent_dim,
    )
