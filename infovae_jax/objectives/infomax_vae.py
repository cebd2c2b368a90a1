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

from infovae_jax import distributions, networks, priors
from infovae_jax.distributions import Gaussian, running_gaussian
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import ConfigError
from infovae_jax.objectives import _gaussian
from infovae_jax.objectives._terms import default_hparams, example_keys, weighted_loss
from infovae_jax.types import STATISTICS, CodePart, DataSpec, Objective

HPARAMS = {"reconstruction": 1.0, "kl_z": 1.0}


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.Config):
    """Static switches; see configs/infomax_vae.py."""

    code_dim: int = 1  # of c, beside the `latent_dim` dims of z
    # Deviation of q(c | x) about c(x), in deviations of c: of the evaluation's bound.
    proposal_scale: float = 0.1

    def check(self) -> None:
        """Raises ConfigError where a value is out of range."""
        super().check()
        _gaussian.require_positive(self.proposal_scale, "proposal_scale")
        if self.code_dim < 0:
            raise ConfigError(
                f"{self.code_dim} is no code size",
                "config.model.code_dim",
                "give at least 0",
            )


def make(config: ConfigDict, spec: DataSpec) -> Objective:
    """Builds the InfomaxVAE of `config` for data of `spec`."""
    options = Config(**config.model)
    dz, dc = options.latent_dim, options.code_dim
    likelihood = make_likelihood(spec, options.scale)
    precision = config.train.precision
    encoder, num_features = networks.make_encoder(config.network, spec.shape, precision)
    head = networks.make_gaussian_head(
        num_features, dz, initializer=config.network.initializer
    )
    code = networks.make_code_head(num_features, dc)
    decoder = networks.make_decoder(config.network, spec.shape, dz + dc, precision)
    prior = priors.make_prior("normal", dz)

    def init(key):
        keys = jax.random.split(key, 4)
        params = {
            "encoder": encoder.init(keys[0]),
            "posterior": head.init(keys[1]),
            "decoder": decoder.init(keys[2]),
            **likelihood.init(),
        }
        if not dc:
            return params
        start = {**code.init(keys[3]), STATISTICS: running_gaussian.init(dc)}
        return {**params, "code": start}

    def heads(params, features):
        q = Gaussian(*head.apply(params["posterior"], features))
        if not dc:
            return q, jnp.zeros((*q.mean.shape[:-1], 0))
        weights = {k: v for k, v in params["code"].items() if k != STATISTICS}
        return q, code.apply(weights, features)

    def moments(params):
        return params["code"][STATISTICS]

    def deviation(params):
        """Of q(c | x) in the evaluation, `[dc]`."""
        if not dc:
            return jnp.zeros(0)
        _, factor = running_gaussian.mean_and_factor(moments(params))
        return options.proposal_scale * jnp.sqrt((factor**2).sum(-1))

    def encode(params, x):
        q, c = heads(params, encoder.apply(params["encoder"], x))
        log_var = jnp.broadcast_to(2.0 * jnp.log(deviation(params)), c.shape)
        return Gaussian(
            jnp.concatenate([q.mean, c], -1), jnp.concatenate([q.log_var, log_var], -1)
        )

    def outputs(params, code_vector):
        return decoder.apply(params["decoder"], code_vector)

    def distortion(params, x, code_vector):
        return -likelihood.log_prob(params, outputs(params, code_vector), x)

    def loss(params, batch, key, hparams):
        features, seen = encoder.train(params["encoder"], batch)
        q, c = heads(params, features)
        z = distributions.gaussian_sample(example_keys(key, batch), q)
        decoded, generated = decoder.train(
            params["decoder"], jnp.concatenate([z, c], -1)
        )
        terms = {
            "reconstruction": -likelihood.log_prob(params, decoded, batch),
            "kl_z": prior.kl(q),
        }
        statistics = {"encoder": seen, "decoder": generated}
        if dc:
            seen_codes = jax.lax.stop_gradient(c)
            updated = running_gaussian.update(moments(params), seen_codes)
            statistics["code"] = {STATISTICS: updated}
        statistics = {name: value for name, value in statistics.items() if value}
        return weighted_loss(terms, hparams, statistics)

    def split(q):
        return Gaussian(q.mean[..., :dz], q.log_var[..., :dz])

    def elbo(params, x, key):
        """With c as noisy as the evaluation's q(c | x), so that the sum is a bound."""
        q = encode(params, x)
        code_vector = distributions.gaussian_sample(key, q)
        terms = {
            "reconstruction": distortion(params, x, code_vector),
            "kl_z": prior.kl(split(q)),
        }
        if dc:
            c = q.mean[..., dz:]
            terms["kl_c"] = running_gaussian.kl(moments(params), c, deviation(params))
        return terms

    def log_prior(params, code_vector):
        log_p = prior.log_prob(code_vector[..., :dz])
        if not dc:
            return log_p
        return log_p + running_gaussian.log_prob(moments(params), code_vector[..., dz:])

    def log_weight(params, x, key, target=None):
        q = encode(params, x)
        code_vector = distributions.gaussian_sample(key, q)
        log_q = distributions.gaussian_log_prob(q, code_vector)
        seen = x if target is None else target
        log_likelihood = -distortion(params, seen, code_vector)
        return log_prior(params, code_vector) + log_likelihood - log_q

    def sample_code(key, params, num, cluster=None):
        del cluster  # one component only
        key_z, key_c = jax.random.split(key)
        z = prior.sample(key_z, (num, dz))
        if not dc:
            return z
        mean, factor = running_gaussian.mean_and_factor(moments(params))
        c = mean[None] + jax.random.normal(key_c, (num, dc)) @ factor.T
        return jnp.concatenate([z, c], -1)

    def sample(key, params, num, cluster=None):
        return decode(params, sample_code(key, params, num, cluster))

    def decode(params, code_vector):
        return likelihood.mean(outputs(params, code_vector))

    def draw(key, params, code_vector):
        return likelihood.sample(key, params, outputs(params, code_vector))

    zeros = jnp.zeros((1, dz + dc))
    return Objective(
        init=init,
        loss=loss,
        elbo=elbo,
        log_weight=log_weight,
        encode=encode,
        classify=None,
        decode=decode,
        sample=sample,
        prior=Gaussian(zeros, zeros),
        hparams=default_hparams(config.weights, HPARAMS),
        latent_dim=dz + dc,
        draw=draw,
        sample_code=sample_code,
        log_densities=lambda params, x, z: (
            log_prior(params, z),
            -distortion(params, x, z),
        ),
        code_parts=(CodePart("z", dz), CodePart("c", dc, "free")) if dc else (),
    )
