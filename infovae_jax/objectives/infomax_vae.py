"""InfomaxVAE: a regularised code z and a free code c, decoded together.

    loss = reconstruction + w_z * KL(q(z | x) || N(0, I))

    reconstruction = -E_q(z | x) log p(x | [z; c(x)]),    c(x) linear, without noise

c has no term of its own: what is cheap to say in few numbers goes there, free of
charge. The argument: an ELBO on [z; c] minus I(x; c), of which KL(q(c | x) || p(c)) is
an upper bound. That bound also holds the match of q(c) to p(c), so c has no prior
afterwards; for samples and for the likelihood one is fitted to the training codes, a
Gaussian of full covariance from running moments, and its name is `kl_c` in the bound.

Bachmann, InfomaxVAE, 2018 (github.com/bacdavid/InfomaxVAE), where the reconstruction
is the squared error: a Gaussian likelihood of scale sqrt(1/2), in nats up to the
constant (D / 2) log pi. Not the choice for compression: c is unbounded, and its
information about x limited by rounding alone.
"""

import dataclasses

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from infovae_jax import networks, priors
from infovae_jax.config.knobs import knob
from infovae_jax.distributions import Gaussian, gaussian_sample, running_gaussian
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.objectives import _assembly, _gaussian
from infovae_jax.objectives._terms import example_keys, weighted_loss
from infovae_jax.types import BY_CONFIG, STATISTICS, CodePart, DataSpec, Objective, Own

HPARAMS = {"reconstruction": _gaussian.RECONSTRUCTION, "kl_z": _gaussian.KL_Z}


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.Config):
    """Static switches; see configs/infomax_vae.py."""

    code_dim: int = knob(1, "dims of c, beside those of z; 0: a VAE", at_least=0)
    # The evaluation's bound needs a q(c | x) with a density; training does not.
    proposal_scale: float = knob(
        0.1, "deviation of q(c | x) about c(x), in deviations of c", above=0
    )


class InfomaxVAE(_gaussian.GaussianVAE):
    """The system; its code is [z; c]."""

    def heads(self, params, h):
        """q(z | x) and c(x) of features h."""
        q = Gaussian(*self.apply(params, "posterior", h))
        return q, self.apply(params, "code", h)

    def loss(self, params, batch, key, hparams):
        h, seen = self.train(params, "encoder", batch)
        q, c = self.heads(params, h)
        z = gaussian_sample(example_keys(key, batch), q)
        code = jnp.concatenate([z, c], -1)
        outputs, generated = self.train(params, "decoder", code)
        terms = {
            "reconstruction": -self.likelihood.log_prob(params, outputs, batch),
            "kl_z": self.prior.kl(q),
        }
        moments = params["code"][STATISTICS]
        moments = running_gaussian.update(moments, jax.lax.stop_gradient(c))
        fitted = {"code": {STATISTICS: moments}}
        return weighted_loss(terms, hparams, seen | generated | fitted)

    def deviation(self, params):
        """Of q(c | x) in the evaluation, `[dc]`."""
        _, factor = running_gaussian.mean_and_factor(params["code"][STATISTICS])
        return self.options.proposal_scale * jnp.sqrt((factor**2).sum(-1))

    def encode(self, params, x):
        q, c = self.heads(params, self.apply(params, "encoder", x))
        log_var = jnp.broadcast_to(2.0 * jnp.log(self.deviation(params)), c.shape)
        return _assembly.join(q, Gaussian(c, log_var))

    def elbo(self, params, x, key):
        """With c as noisy as the evaluation's q(c | x), so that the sum is a bound."""
        q, dz = self.encode(params, x), self.options.latent_dim
        code, moments = gaussian_sample(key, q), params["code"][STATISTICS]
        q_z = Gaussian(q.mean[..., :dz], q.log_var[..., :dz])
        deviation = self.deviation(params)
        return {
            "reconstruction": -self.log_likelihood(params, x, code),
            "kl_z": self.prior.kl(q_z),
            "kl_c": running_gaussian.kl(moments, q.mean[..., dz:], deviation),
        }

    def log_prior(self, params, z):
        z, c = jnp.split(z, [self.options.latent_dim], axis=-1)
        log_p = self.prior.log_prob(z)
        return log_p + running_gaussian.log_prob(params["code"][STATISTICS], c)

    def sample_code(self, key, params, num, cluster=None):
        key_z, key_c = jax.random.split(key)
        z = self.prior.sample(key_z, (num, self.options.latent_dim))
        moments = params["code"][STATISTICS]
        return jnp.concatenate([z, running_gaussian.sample(key_c, moments, num)], -1)


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the InfomaxVAE of `config` for data of `spec`."""
    options = Config(**config.model)
    dz, dc = options.latent_dim, options.code_dim
    if not dc:
        return _gaussian.make(options, config, spec, own=own).objective(config, HPARAMS)
    encoder, features, decoder = _assembly.make_backbone(config, spec, dz + dc, own)
    initializer = config.network.initializer
    head = networks.make_gaussian_head(features, dz, initializer=initializer)
    code = networks.make_code_head(features, dc)
    code = _assembly.with_statistics(code, lambda: running_gaussian.init(dc))
    parts = {"encoder": encoder, "posterior": head, "decoder": decoder, "code": code}
    prior = _gaussian.own_prior(own, dz) or priors.make_prior("normal", dz)
    model = InfomaxVAE(options, parts, make_likelihood(spec, options.scale), prior)
    return model.objective(
        config, HPARAMS, code_parts=(CodePart("z", dz), CodePart("c", dc, "free"))
    )
