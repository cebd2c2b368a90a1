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

from infovae_jax import distributions, information, networks, priors
from infovae_jax.distributions import Gaussian
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import ConfigError, nearest
from infovae_jax.objectives._terms import default_hparams, example_keys, weighted_loss
from infovae_jax.types import Array, CodePart, DataSpec, Metrics, Objective

ENCODERS = ("gaussian", "deterministic")
# Streams apart from the keys of the batch's examples: of draws from the prior, by the
# batch's key, and of the encoder's input noise, by each example's.
PRIOR_STREAM = _NOISE_STREAM = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches of the shared part."""

    latent_dim: int = 20
    scale: float = 1.0  # of a Gaussian likelihood; the start of a learned one

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


def refuse_batch_normalization(network: ConfigDict, objective: str) -> None:
    """Raises ConfigError where an objective that has no place for it asks for it.

    It needs one pass of the whole batch, of which the moments are meant.
    """
    if network.normalization == "batch":
        raise ConfigError(
            f"'{objective}' passes more than one kind of batch through its networks",
            "config.network.normalization",
            "use 'none' or 'layer'",
        )


class Model(NamedTuple):
    """The networks and densities; `x` `[..., H, W, C]`, `z` `[..., d]`.

    Attributes:
      init: `init(key) -> params`.
      encode: `encode(params, x) -> Gaussian`.
      decode: `decode(params, z)`, the mean of p(x | z).
      draw: `draw(key, params, z)`, a sample of p(x | z).
      relaxed_draw: `relaxed_draw(key, params, z, temperature)`, one that passes the
        gradient on; see `Likelihood.relaxed`.
      log_likelihood: `log_likelihood(params, x, z) -> [...]`, nats.
      log_weight: as in `Objective`.
      training_pass: `training_pass(params, batch, keys) -> (log_likelihood, q, z,
        statistics)`, with the batch moments of a batch normalisation.
      prior: the `Prior`.
      latent_dim: d.
    """

    init: Callable
    encode: Callable
    decode: Callable
    draw: Callable
    relaxed_draw: Callable
    log_likelihood: Callable
    log_weight: Callable
    training_pass: Callable
    prior: priors.Prior
    latent_dim: int

    def elbo(self, params, x: Array, key: Array) -> Metrics:
        """Terms of the negative ELBO of one example in nats, from one sample of q."""
        q = self.encode(params, x)
        z = distributions.gaussian_sample(key, q)
        return {
            "reconstruction": -self.log_likelihood(params, x, z),
            "kl_z": self.prior.kl(q),
        }

    def training_terms(self, params, batch: Array, key: Array):
        """The terms of `elbo` of a batch in training, and from what they came.

        Args:
          params: of the networks.
          batch: `[B, H, W, C]`.
          key: one PRNG key.

        Returns:
          `({'reconstruction', 'kl_z'}, q, z, statistics)`: terms `[B]` in nats, z the
          sample of q, and the running statistics after the batch.
        """
        keys = example_keys(key, batch)
        log_likelihood, q, z, statistics = self.training_pass(params, batch, keys)
        terms = {"reconstruction": -log_likelihood, "kl_z": self.prior.kl(q)}
        return terms, q, z, statistics

    def bound_loss(self, params, batch: Array, key: Array, hparams: Metrics):
        """A loss of the two terms of the bound: reconstruction + w_z * rate."""
        terms, _, _, statistics = self.training_terms(params, batch, key)
        return weighted_loss(terms, hparams, statistics)

    def make_matching_loss(self, kernel: str) -> Callable:
        """The bound's terms and `mmd`, MMD^2 of the codes to as many prior draws."""

        def loss(params, batch, key, hparams):
            terms, _, z, statistics = self.training_terms(params, batch, key)
            draws = self.prior.sample(jax.random.fold_in(key, PRIOR_STREAM), z.shape)
            terms["mmd"] = information.mmd(z, draws, kernel, self.prior.variance)
            return weighted_loss(terms, hparams, statistics)

        return loss

    def objective(
        self,
        loss: Callable,
        hparams: dict,
        config: ConfigDict,
        code_parts: tuple[CodePart, ...] = (),
    ) -> Objective:
        """The `Objective` with this loss; `hparams` are its default weights."""
        moments = self.prior.moments

        def sample_code(key, params, num, cluster=None):
            del params, cluster  # one component only
            return self.prior.sample(key, (num, self.latent_dim))

        def sample(key, params, num, cluster=None):
            return self.decode(params, sample_code(key, params, num, cluster))

        return Objective(
            init=self.init,
            loss=loss,
            elbo=self.elbo,
            log_weight=self.log_weight,
            encode=self.encode,
            classify=None,
            decode=self.decode,
            sample=sample,
            prior=Gaussian(moments.mean[None], moments.log_var[None]),
            hparams=default_hparams(config.weights, hparams),
            latent_dim=self.latent_dim,
            draw=self.draw,
            sample_code=sample_code,
            log_densities=lambda params, x, z: (
                self.prior.log_prob(z),
                self.log_likelihood(params, x, z),
            ),
            code_parts=code_parts,
        )


@dataclasses.dataclass(frozen=True)
class EncoderConfig(Config):
    """Static switches where the encoder may be without noise (WAE, VIMAE)."""

    encoder: str = "gaussian"  # gaussian | deterministic
    input_noise: float = 0.0  # standard deviation of what is added to the encoder's x
    # deterministic only: standard deviation of the q(z | x) about the code, by which
    # the evaluation bounds the likelihood. Training does not use it.
    proposal_scale: float = 0.1

    def check(self) -> None:
        """Raises ConfigError where a value is out of range."""
        super().check()
        require_known(self.encoder, ENCODERS, "encoder")
        require_positive(self.proposal_scale, "proposal_scale")
        if not (self.input_noise >= 0 and math.isfinite(self.input_noise)):
            raise ConfigError(
                f"{self.input_noise} is no standard deviation",
                "config.model.input_noise",
                "give at least 0",
            )


def make(
    options: Config,
    config: ConfigDict,
    spec: DataSpec,
    prior: priors.Prior | None = None,
) -> Model:
    """Builds the networks of `config` for data of `spec`; the prior is N(0, I)."""
    prior = prior or priors.make_prior("normal", options.latent_dim)
    likelihood = make_likelihood(spec, options.scale)
    precision = config.train.precision
    encoder, num_features = networks.make_encoder(config.network, spec.shape, precision)
    deterministic, input_noise = False, 0.0
    if isinstance(options, EncoderConfig):
        deterministic = options.encoder == "deterministic"
        input_noise = options.input_noise
    if deterministic:
        head = networks.make_code_head(num_features, options.latent_dim)
    else:
        initializer = config.network.initializer
        head = networks.make_gaussian_head(
            num_features, options.latent_dim, initializer=initializer
        )
    decoder = networks.make_decoder(
        config.network, spec.shape, options.latent_dim, precision
    )

    def init(key):
        keys = jax.random.split(key, 3)
        parts = {"encoder": encoder, "posterior": head, "decoder": decoder}
        params = {
            n: part.init(k) for k, (n, part) in zip(keys, parts.items(), strict=True)
        }
        return {**params, **likelihood.init()}

    def posterior(params, features):
        outputs = head.apply(params["posterior"], features)
        if not deterministic:
            return Gaussian(*outputs)
        log_var = 2.0 * math.log(options.proposal_scale)
        return Gaussian(outputs, jnp.full_like(outputs, log_var))

    def encode(params, x):
        return posterior(params, encoder.apply(params["encoder"], x))

    def training_pass(params, batch, keys):
        seen = batch
        if input_noise:
            noise_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, _NOISE_STREAM)
            seen = batch + input_noise * distributions.draw(
                jax.random.normal, noise_keys, batch.shape
            )
        features, encoder_statistics = encoder.train(params["encoder"], seen)
        q = posterior(params, features)
        z = q.mean if deterministic else distributions.gaussian_sample(keys, q)
        outputs, decoder_statistics = decoder.train(params["decoder"], z)
        statistics = {"encoder": encoder_statistics, "decoder": decoder_statistics}
        statistics = {name: value for name, value in statistics.items() if value}
        return likelihood.log_prob(params, outputs, batch), q, z, statistics

    def outputs(params, z):
        return decoder.apply(params["decoder"], z)

    def log_likelihood(params, x, z):
        return likelihood.log_prob(params, outputs(params, z), x)

    def log_weight(params, x, key, target=None):
        q = encode(params, x)
        z = distributions.gaussian_sample(key, q)
        seen = x if target is None else target
        log_joint = log_likelihood(params, seen, z) + prior.log_prob(z)
        return log_joint - distributions.gaussian_log_prob(q, z)

    return Model(
        init=init,
        encode=encode,
        decode=lambda params, z: likelihood.mean(outputs(params, z)),
        draw=lambda key, params, z: likelihood.sample(key, params, outputs(params, z)),
        relaxed_draw=lambda key, params, z, temperature: likelihood.relaxed(
            key, params, outputs(params, z), temperature
        ),
        log_likelihood=log_likelihood,
        log_weight=log_weight,
        training_pass=training_pass,
        prior=prior,
        latent_dim=options.latent_dim,
    )
