"""What every objective with one Gaussian posterior q(z | x) shares.

An objective adds its loss; see `objectives/vae.py` for the shortest.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from infovae_jax import distributions, information, networks, priors
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.distributions import Gaussian, gaussian_sample
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import ConfigError
from infovae_jax.objectives._assembly import Assembly, join, make_backbone
from infovae_jax.objectives._terms import example_keys, weighted_loss
from infovae_jax.types import (
    BY_CONFIG,
    Array,
    CodePart,
    DataSpec,
    HParams,
    Objective,
    Own,
)

ENCODERS = ("gaussian", "deterministic")
# Streams apart from the keys of the batch's examples: of draws from the prior, by the
# batch's key, and of the encoder's input noise, by each example's.
PRIOR_STREAM = _NOISE_STREAM = 2**31 - 1

RECONSTRUCTION = Weight(1.0, "-log p(x | z)")
KL_Z = Weight(1.0, "the rate, KL of q(z | x) to the prior")


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches of the shared part."""

    latent_dim: int = knob(20, "d, dims of the code", at_least=1)
    scale: float = knob(
        1.0, "of a Gaussian likelihood; the start of a learned one", above=0
    )

    def check(self) -> None:
        """Raises ConfigError where values do not fit together."""


@dataclasses.dataclass(frozen=True)
class EncoderConfig(Config):
    """Static switches where the encoder may be without noise (WAE, VIMAE)."""

    encoder: str = knob("gaussian", "whether the code has noise", options=ENCODERS)
    input_noise: float = knob(
        0.0, "standard deviation of what is added to the encoder's x", at_least=0
    )
    # By it the evaluation bounds the likelihood. Training does not use it.
    proposal_scale: float = knob(
        0.1, "deterministic: standard deviation of q(z | x) about the code", above=0
    )


def is_deterministic(options: Config) -> bool:
    """Whether training takes the code without noise."""
    return isinstance(options, EncoderConfig) and options.encoder == "deterministic"


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianVAE(Assembly):
    """q(z | x) Gaussian, or a point with a proposal about it; `prior` factorised."""

    prior: priors.Prior

    def posterior(self, params, h) -> Gaussian:
        """q(z | x) of features h."""
        outputs = self.apply(params, "posterior", h)
        if not is_deterministic(self.options):
            return Gaussian(*outputs)
        log_var = 2.0 * math.log(self.options.proposal_scale)
        return Gaussian(outputs, jnp.full_like(outputs, log_var))

    def encode(self, params, x):
        return self.posterior(params, self.apply(params, "encoder", x))

    def sample_posterior(self, params, x, key):
        q = self.encode(params, x)
        z = gaussian_sample(key, q)
        return z, distributions.gaussian_log_prob(q, z)

    def log_prior(self, params, z):
        return self.prior.log_prob(z)

    def sample_code(self, key, params, num, cluster=None):
        return self.prior.sample(key, (num, self.options.latent_dim))

    def elbo(self, params, x, key):
        """Terms of the negative ELBO of one example in nats, from one sample of q."""
        q = self.encode(params, x)
        z = gaussian_sample(key, q)
        return {
            "reconstruction": -self.log_likelihood(params, x, z),
            "kl_z": self.prior.kl(q),
        }

    def relaxed_draw(self, key, params, z, temperature: float) -> Array:
        """A sample of p(x | z) that passes the gradient on; `Likelihood.relaxed`."""
        outputs = self.outputs(params, z)
        return self.likelihood.relaxed(key, params, outputs, temperature)

    def training_terms(self, params, batch: ArrayLike, key: Array):
        """The terms of `elbo` of a batch in training, and from what they came.

        Args:
          params: of the networks.
          batch: `[B, H, W, C]`.
          key: one PRNG key.

        Returns:
          `({'reconstruction', 'kl_z'}, q, z, statistics)`: terms `[B]` in nats, z the
          sample of q, and the running statistics after the batch, which is normalised
          by its own moments.
        """
        keys = example_keys(key, batch)
        inputs = self.encoder_input(batch, keys)
        h, encoder_statistics = self.train(params, "encoder", inputs)
        q = self.posterior(params, h)
        noisy = not is_deterministic(self.options)
        z = gaussian_sample(keys, q) if noisy else q.mean
        outputs, decoder_statistics = self.train(params, "decoder", z)
        log_likelihood = self.likelihood.log_prob(params, outputs, batch)
        terms = {"reconstruction": -log_likelihood, "kl_z": self.prior.kl(q)}
        return terms, q, z, encoder_statistics | decoder_statistics

    def encoder_input(self, batch: ArrayLike, keys: Array) -> Array:
        """What the encoder sees in training: the batch, with noise where asked."""
        if not isinstance(self.options, EncoderConfig) or not self.options.input_noise:
            return batch
        noise_keys = jax.vmap(jax.random.fold_in, (0, None))(keys, _NOISE_STREAM)
        noise = distributions.draw(jax.random.normal, noise_keys, batch.shape)
        return batch + self.options.input_noise * noise

    def loss(self, params, batch: ArrayLike, key: Array, hparams: HParams):
        """The two terms of the bound: reconstruction + w_z * rate."""
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
        config: ConfigDict,
        weights: dict[str, Weight],
        loss: Callable | None = None,
        code_parts: tuple[CodePart, ...] = (),
    ) -> Objective:
        """The `Objective` with these default weights, and this loss or the bound's."""
        free = jnp.zeros(sum(part.size for part in code_parts if part.kind == "free"))
        prior = jax.tree.map(
            lambda a: a[None], join(self.prior.moments, Gaussian(free, free))
        )
        return super().objective(config, weights, prior, loss, code_parts=code_parts)


def make(
    options: Config,
    config: ConfigDict,
    spec: DataSpec,
    prior: priors.Prior | None = None,
    system: type[GaussianVAE] = GaussianVAE,
    own: Own = BY_CONFIG,
) -> GaussianVAE:
    """Builds the system for data of `spec`; the prior is N(0, I) by default."""
    d = options.latent_dim
    encoder, features, decoder = make_backbone(config, spec, d, own)
    head = networks.make_gaussian_head(
        features, d, initializer=config.network.initializer
    )
    if is_deterministic(options):
        head = networks.make_code_head(features, d)
    parts = {"encoder": encoder, "posterior": head, "decoder": decoder}
    likelihood = make_likelihood(spec, options.scale)
    prior = own_prior(own, d) or prior or priors.make_prior("normal", d)
    return system(options, parts, likelihood, prior)


def own_prior(own: Own, latent_dim: int) -> priors.Prior | None:
    """The caller's prior, or None.

    Raises:
      ConfigError: it is no `Prior`, or one of another number of dims.
    """
    prior = own.prior
    if prior is None:
        return None
    if not isinstance(prior, priors.Prior):
        what = f"a {type(prior).__name__} in place of a priors.Prior"
        raise ConfigError(what, "prior=", "make it by priors.factorised")
    if prior.moments.mean.shape != (latent_dim,):
        what = f"a prior over {prior.moments.mean.shape}, the code is ({latent_dim},)"
        raise ConfigError(what, "prior=", f"make it for {latent_dim} dims")
    return prior
