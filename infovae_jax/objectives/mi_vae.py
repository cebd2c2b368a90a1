"""MI-VAE: a VAE that keeps chosen code dims readable from what it generates.

    loss = reconstruction + w_z * KL(q(z | x) || N(0, I)) - lambda * I_hat

    I_hat = H(z_m) + E log q(z_m | x'),  z ~ N(0, I),  x' = decoder(z)

over the chosen dims m, with the encoder as the auxiliary distribution: the bound of
Barber & Agakov (2003) on I(z_m; x'), in nats since H(z_m) is in it. The term
`information` is -I_hat; lambda is its weight. One z per example of the batch.

Ducau & Trenous, Mutual Information in Variational Autoencoders, 2017 (poster and
report). As in their code x' is the decoder's mean, under which I(z; x') is infinite
and the bound is limited by q alone; `generated='sample'` draws x' from p(x | z),
straight through, and 'relaxed' from a continuous neighbour of it. I_hat speaks of
prior samples: it is not I_q(x; z) of the data, which the rate caps. For continuous
codes it may exceed the differential entropy H(z_m).
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from infovae_jax import distributions
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.distributions import LOG_2PI, Gaussian
from infovae_jax.errors import ConfigError
from infovae_jax.objectives import _gaussian
from infovae_jax.objectives._assembly import refuse_prior
from infovae_jax.objectives._terms import weighted_loss
from infovae_jax.types import BY_CONFIG, CodePart, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "kl_z": _gaussian.KL_Z,
    "information": Weight(1.0, "lambda: minus the bound on I(z_m; x')"),
}
GENERATED = ("mean", "sample", "relaxed")


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.Config):
    """Static switches; see configs/mi_vae.py."""

    informative_dims: int = knob(10, "m, the last dims of the code", at_least=0)
    generated: str = knob("mean", "x' of the bound; authors: mean", options=GENERATED)
    temperature: float = knob(0.5, "of generated='relaxed'", above=0)

    def check(self) -> None:
        """Raises ConfigError where values do not fit together."""
        if self.informative_dims > self.latent_dim:
            raise ConfigError(
                f"{self.informative_dims} informative dims of {self.latent_dim}",
                "config.model.informative_dims",
                f"give 0 to {self.latent_dim}",
            )


def information_per_dim(q: Gaussian, z: Float[Array, "n d"]) -> Float[Array, " d"]:
    """The bound on I(z_j; x') of every dim in nats, `[d]`; it is additive over dims.

    Args:
      q: q(z | x') `[n, d]`, of what was generated.
      z: the codes `[n, d]` from N(0, I) that generated it.
    """
    each = jax.vmap(distributions.gaussian_log_prob, in_axes=-1, out_axes=-1)
    single = Gaussian(q.mean[..., None, :], q.log_var[..., None, :])
    return 0.5 * (LOG_2PI + 1.0) + each(single, z[..., None, :]).mean(0)


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the MI-VAE of `config` for data of `spec`."""
    options = Config(**config.model)
    refuse_prior(own, "mi_vae", "its bound holds the entropy of N(0, I)")
    model = _gaussian.make(options, config, spec, own=own)
    num_free = options.latent_dim - options.informative_dims

    def generate(key, params, z):
        if options.generated == "relaxed":
            return model.relaxed_draw(key, params, z, options.temperature)
        x = model.decode(params, z)
        if options.generated == "mean":
            return x
        return x + jax.lax.stop_gradient(model.draw(key, params, z) - x)

    def loss(params, batch, key, hparams):
        terms, q_data, z, statistics = model.training_terms(params, batch, key)
        key_z, key_x = jax.random.split(jax.random.fold_in(key, _gaussian.PRIOR_STREAM))
        z = model.prior.sample(key_z, z.shape)
        q = model.encode(params, generate(key_x, params, z))
        per_dim = information_per_dim(q, z)
        enforced = per_dim[num_free:].sum()
        terms["information"] = -enforced
        total, metrics = weighted_loss(terms, hparams, statistics)
        metrics["info/mi_enforced"] = enforced
        metrics["info/mi_free"] = jnp.sum(per_dim[:num_free])
        rate = distributions.gaussian_kl_per_dim(q_data, model.prior.moments).mean(0)
        for dim in range(options.latent_dim):
            metrics[f"dim/mi_{dim}"] = per_dim[dim]
            metrics[f"dim/rate_{dim}"] = rate[dim]
        return total, metrics

    parts = (CodePart("z", num_free), CodePart("c", options.informative_dims))
    parts = tuple(part for part in parts if part.size)
    return model.objective(config, HPARAMS, loss, parts)
