"""IWAE: the importance-weighted bound of k samples, which tightens as k grows.

    loss = -E log (1/k) sum_s w_s,    w_s = p(x | z_s) p(z_s) / q(z_s | x)
         = reconstruction + KL(q(z | x) || N(0, I)) + tightening

    tightening = mean_s log w_s - log mean_s w_s  <=  0

The reconstruction is the mean over the k samples and the KL in closed form: its
difference from mean_s log q(z_s | x) / p(z_s) has mean zero, so value and gradient of
the bound are unbiased, and k = 1 is the VAE to the last bit. Units: nats.

Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, 2016 (arXiv
1509.00519). Not the choice for a good encoder: the encoder's gradient loses its
signal as k grows (Rainforth et al. 2018, arXiv 1802.04537).
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from infovae_jax import distributions
from infovae_jax.config.checks import refuse_batch_normalization
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.objectives import _gaussian
from infovae_jax.objectives._assembly import refuse_statistics
from infovae_jax.objectives._terms import example_keys, weighted_loss
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "kl_z": _gaussian.KL_Z,
    "tightening": Weight(1.0, "what k samples gain over one"),
}


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.Config):
    """Static switches; see configs/iwae.py."""

    num_samples: int = knob(5, "k, importance samples per example", at_least=1)


def tightening(log_weights: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
    """mean_s log w_s - log mean_s w_s in nats, never above 0 and 0 at k = 1."""
    log_mean = jax.nn.logsumexp(log_weights, axis=-1) - math.log(log_weights.shape[-1])
    return log_weights.mean(-1) - log_mean


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the IWAE of `config` for data of `spec`."""
    options = Config(**config.model)
    model = _gaussian.make(options, config, spec, own=own)
    refuse_batch_normalization(config.network, config.objective)
    refuse_statistics(model.networks, config.objective)

    def sample_keys(keys):
        """`[B, k]` keys; the first of each example is its own, as in the VAE."""
        numbers = jnp.arange(1, options.num_samples)
        more = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))
        return jnp.concatenate([keys[:, None], more(keys, numbers)], axis=1)

    def loss(params, batch, key, hparams):
        keys = sample_keys(example_keys(key, batch))
        q = model.encode(params, batch)
        noise = jax.vmap(jax.vmap(lambda k: jax.random.normal(k, q.mean.shape[1:])))
        # Codes [B, k, d]: k samples of each posterior.
        samples = jax.tree.map(lambda a: a[:, None], q)
        z = samples.mean + jnp.exp(0.5 * samples.log_var) * noise(keys)
        log_likelihood = model.log_likelihood(params, batch[:, None], z)
        log_ratio = distributions.gaussian_log_prob(samples, z)
        log_ratio = log_ratio - model.prior.log_prob(z)
        terms = {
            "reconstruction": -log_likelihood.mean(-1),
            "kl_z": model.prior.kl(q),
            "tightening": tightening(log_likelihood - log_ratio),
        }
        return weighted_loss(terms, hparams)

    return model.objective(config, HPARAMS, loss)
