"""CatVAE: a VAE whose prior has K modes, one per cluster, with soft assignment.

    p(c) = 1/K,  p(z | c) = N(mu_c, I),  p(x | z)
    q(c | x) = softmax(logits),  q(z | x, c) = N(mean(x, c), exp(log_var(x, c)))

    loss =          reconstruction                          (three readings, below)
         + w_z    * sum_c q(c | x) KL(q(z | x, c) || N(mu_c, I))
         + w_c    * KL(q(c | x) || uniform)                 (per example, the paper's)
         + w_bal  * KL(mean_batch q(c | x) || uniform)      (the aggregate reading)

Readings of the reconstruction:
  exact   sum_c q(c | x) E_q(z | x, c) [-log p(x | z)], K decoder passes. With unit
          weights and no balance term the loss is the negative ELBO.
  topk    the same sum without bias from m + S passes: the m most probable clusters,
          and S draws of the others (see `cluster_sums`). For many clusters.
  soft    the authors' code: the heads are fed q(c | x) itself, one pass. One
          Gaussian of averaged parameters, not the mixture; not a bound.
  gumbel  one pass on a relaxed one-hot sample, optionally straight-through.

Pineau & Lelarge, InfoCatVAE, 2018 (arXiv 1806.08240); the balance term is ours.
Differences from the authors' code: exact log-softmax instead of log(a + 0.001),
log K included, no dropout, means over the batch. With K in the hundreds take topk or
soft, and the linear head: the exact reading is K decoder passes, an mlp head K passes
of its own.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from infovae_jax import distributions, networks, priors
from infovae_jax.distributions import Categorical, Gaussian, cluster_gaussians
from infovae_jax.distributions.cluster_gaussians import (
    EXPANDED_CLUSTERS,
    ShiftedGaussians,
    all_components,
    kl_per_cluster,
    log_prob_per_cluster,
)
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import ConfigError
from infovae_jax.information import balance
from infovae_jax.objectives import _rao_blackwell
from infovae_jax.objectives._gaussian import refuse_batch_normalization
from infovae_jax.objectives._terms import (
    default_hparams,
    example_keys,
    split_keys,
    weighted_loss,
)
from infovae_jax.types import DataSpec, Objective

HPARAMS = {
    "reconstruction": 1.0,
    "kl_z": 1.0,
    "kl_c": 1.0,
    "balance": 0.0,
    "temperature": 1.0,
}
# A negative weight of KL(q(c | x) || uniform) rewards certain assignments; together
# with the balance term it then maximises I(x; c).
SIGNED_HPARAMS = ("kl_c",)
NOT_TERMS = ("temperature",)
READINGS = ("exact", "topk", "soft", "gumbel")
HEADS = ("linear", "mlp")
# Most clusters whose decodings the bound of an evaluation sums one by one; with more
# it takes the sum of `cluster_sums`, from so many of both kinds.
ENUMERATED_CLUSTERS = 100
EVALUATION_CLUSTERS = 10


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches; see configs/catvae.py."""

    num_clusters: int = 10
    latent_dim: int = 20
    separation: float = 4.0  # lambda, the norm of mu_c is separation * sqrt(delta)
    reconstruction: str = "exact"
    top_clusters: int = 2  # topk only: m, the most probable, summed exactly
    rest_samples: int = 1  # topk only: S, draws of the other clusters
    straight_through: bool = False  # gumbel only: one-hot forward, relaxed backward
    head: str = "linear"  # q(z | x, c) on [h; c]: linear (the paper) or mlp
    scale: float = 1.0  # standard deviation of a Gaussian likelihood

    def check(self) -> None:
        """Raises ConfigError where a value is out of range."""

        def require(valid, what, key, fix):
            if not valid:
                raise ConfigError(what, f"config.model.{key}", fix)

        k, d = self.num_clusters, self.latent_dim
        require(k >= 2, f"{k} clusters", "num_clusters", "give at least 2")
        lower, upper = d // k * k, -(-d // k) * k
        near = upper if lower < k else f"{lower} or {upper}"
        require(
            d >= k and d % k == 0,
            f"latent size {d} is not a multiple of the {k} clusters",
            "latent_dim",
            f"give {near}",
        )
        require(
            math.isfinite(self.separation) and self.separation >= 0,
            f"{self.separation} is no separation",
            "separation",
            "give a number of at least 0",
        )
        require(self.scale > 0, f"{self.scale} is no scale", "scale", "above 0")
        for key, options in (("reconstruction", READINGS), ("head", HEADS)):
            value = getattr(self, key)
            fix = f"use one of {', '.join(options)}"
            require(value in options, f"unknown value '{value}'", key, fix)
        if self.reconstruction == "topk":
            self._check_topk(require)

    def _check_topk(self, require) -> None:
        k, m, samples = self.num_clusters, self.top_clusters, self.rest_samples
        require(
            0 <= m <= k,
            f"{m} most probable of {k} clusters",
            "top_clusters",
            f"give 0 to {k}",
        )
        require(
            samples >= (m < k),
            f"{samples} draws for the {k - m} clusters not summed exactly",
            "rest_samples",
            "give at least 1",
        )


def relaxed_one_hot(
    key: Array, logits: Float[Array, "*batch K"], temperature, straight_through: bool
) -> Float[Array, "*batch K"]:
    """A Gumbel-softmax draw on the simplex (Jang et al. 2017, arXiv 1611.01144)."""
    gumbel = distributions.draw(jax.random.gumbel, key, logits.shape)
    soft = jax.nn.softmax((jax.nn.log_softmax(logits) + gumbel) / temperature)
    if not straight_through:
        return soft
    hard = jax.nn.one_hot(jnp.argmax(soft, -1), logits.shape[-1])
    return soft + jax.lax.stop_gradient(hard - soft)


def make(config: ConfigDict, spec: DataSpec) -> Objective:
    """Builds the CatVAE of `config` for data of `spec`."""
    return build(Config(**config.model), config, spec, HPARAMS)[0]


def build(options: Config, config: ConfigDict, spec: DataSpec, hparams: dict):
    """The CatVAE objective, and the function of its unweighted terms.

    Returns:
      `(objective, batch_terms)`, where `batch_terms(params, batch, key, hparams)`
      gives the terms of the loss and the logits `[B, K]` of q(c | x).
    """
    num_clusters, latent_dim = options.num_clusters, options.latent_dim
    refuse_batch_normalization(config.network, config.objective)
    likelihood = make_likelihood(spec, options.scale)
    precision = config.train.precision
    encoder, features = networks.make_encoder(config.network, spec.shape, precision)
    hidden = (features,) if options.head == "mlp" else ()
    networks_by_name = {
        "encoder": encoder,
        "classifier": networks.make_classifier(features, num_clusters),
        "posterior": networks.make_gaussian_head(
            features, latent_dim, num_clusters, hidden, config.network.initializer
        ),
        "decoder": networks.make_decoder(
            config.network, spec.shape, latent_dim, precision
        ),
    }
    sub_dim = latent_dim // num_clusters
    prior = priors.clusters(num_clusters, sub_dim, options.separation)
    numbers = jnp.arange(num_clusters)
    # Not traced: XLA would fold a constant of K x d numbers in every program.
    half_squares = 0.5 * (prior.mean**2).sum(-1)

    def apply(name, params, *inputs):
        return networks_by_name[name].apply(params[name], *inputs)

    def init(key):
        keys = jax.random.split(key, len(networks_by_name))
        named = zip(keys, networks_by_name.items(), strict=True)
        params = {name: network.init(k) for k, (name, network) in named}
        return {**params, **likelihood.init()}

    def posterior(params, h, c=None):
        return Gaussian(*apply("posterior", params, h, c))

    def posteriors(params, x):
        """h, logits of q(c | x) and all K of q(z | x, c)."""
        h = apply("encoder", params, x)
        if options.head == "linear":
            shifts = Gaussian(*networks.cluster_shifts(params["posterior"]))
            q = ShiftedGaussians(posterior(params, h), shifts)
        else:
            q = jax.vmap(posterior, (None, None, 0), -2)(params, h, numbers)
        return h, apply("classifier", params, h), q

    def posteriors_of(q, c):
        """q(z | x, c) of clusters `c` `[..., n]` of each example, `[..., n, d]`."""
        if isinstance(q, ShiftedGaussians):
            return cluster_gaussians.component(q, c)
        return jax.tree.map(lambda a: jnp.take_along_axis(a, c[..., None], -2), q)

    def distortion(params, x, z):
        return -likelihood.log_prob(params, apply("decoder", params, z), x)

    def exact(params, x, key, h, logits, q, temperature):
        z = distributions.gaussian_sample(key, all_components(q))
        per_cluster = distortion(params, x[..., None, :, :, :], z)
        return (jax.nn.softmax(logits) * per_cluster).sum(-1)

    def topk(num_top, num_draws):
        if num_top >= num_clusters:
            return exact

        def reading(params, x, key, h, logits, q, temperature):
            key_c, key_z = split_keys(key)
            chosen = _rao_blackwell.choose(key_c, logits, num_top, num_draws)
            q = posteriors_of(q, chosen.clusters)
            z = distributions.gaussian_sample(key_z, q)
            per_cluster = distortion(params, x[..., None, :, :, :], z)
            return _rao_blackwell.estimate(chosen, per_cluster)

        return reading

    def soft(params, x, key, h, logits, q, temperature):
        mixed = posterior(params, h, jax.nn.softmax(logits))
        return distortion(params, x, distributions.gaussian_sample(key, mixed))

    def gumbel(params, x, key, h, logits, q, temperature):
        key_c, key_z = split_keys(key)
        c = relaxed_one_hot(key_c, logits, temperature, options.straight_through)
        mixed = posterior(params, h, c)
        return distortion(params, x, distributions.gaussian_sample(key_z, mixed))

    def bound_terms(params, x, key, temperature, reading):
        """Terms and logits of one example, or of a batch with a key an example."""
        h, logits, q = posteriors(params, x)
        terms = {
            "reconstruction": reading(params, x, key, h, logits, q, temperature),
            "kl_z": (jax.nn.softmax(logits) * kl_per_cluster(q, prior)).sum(-1),
            "kl_c": distributions.categorical_kl_uniform(Categorical(logits)),
        }
        return terms, logits

    chosen = {
        "exact": exact,
        "topk": topk(options.top_clusters, options.rest_samples),
        "soft": soft,
        "gumbel": gumbel,
    }[options.reconstruction]
    enumerated = num_clusters <= ENUMERATED_CLUSTERS
    measured = exact if enumerated else topk(EVALUATION_CLUSTERS, EVALUATION_CLUSTERS)
    bound_recipe = f"1 sample an example of each of {num_clusters} clusters"
    if not enumerated:
        bound_recipe = (
            f"1 sample an example of its {EVALUATION_CLUSTERS} most probable clusters "
            f"and of {EVALUATION_CLUSTERS} drawn from the others, unbiased"
        )

    def batch_terms(params, batch, key, hparams):
        keys = example_keys(key, batch)
        terms, logits = bound_terms(params, batch, keys, hparams["temperature"], chosen)
        return {**terms, "balance": balance(logits)}, logits

    def loss(params, batch, key, hparams):
        terms, logits = batch_terms(params, batch, key, hparams)
        total, metrics = weighted_loss(terms, hparams)
        return total, metrics | cluster_metrics(logits)

    def elbo(params, x, key):
        return bound_terms(params, x, key, 1.0, measured)[0]

    def log_prior(z):
        if num_clusters < EXPANDED_CLUSTERS:
            log_probs = jax.vmap(distributions.gaussian_log_prob, (0, None))(prior, z)
            return jax.nn.logsumexp(log_probs) - math.log(num_clusters)
        # log N(z; mu_c, I) as one product; the part without c stands outside.
        shared = 0.5 * (z**2 + distributions.LOG_2PI).sum(-1) + math.log(num_clusters)
        return jax.nn.logsumexp(prior.mean @ z - half_squares) - shared

    def log_weight(params, x, key, target=None):
        _, logits, q = posteriors(params, x)
        key_c, key_z = jax.random.split(key)
        c = jax.random.categorical(key_c, logits)
        own = jax.tree.map(lambda a: a[0], posteriors_of(q, c[None]))
        z = distributions.gaussian_sample(key_z, own)
        # The cluster that made z matters most: its density without the rounding of
        # matrix products.
        own_log_prob = distributions.gaussian_log_prob(own, z)
        per_cluster = jnp.where(numbers == c, own_log_prob, log_prob_per_cluster(q, z))
        log_q = jax.nn.logsumexp(jax.nn.log_softmax(logits) + per_cluster)
        seen = x if target is None else target
        return log_prior(z) - distortion(params, seen, z) - log_q

    def classify(params, x):
        return apply("classifier", params, apply("encoder", params, x))

    def encode(params, x):
        h = apply("encoder", params, x)
        c = jnp.argmax(apply("classifier", params, h), -1)
        return posterior(params, h, c)

    def decode(params, z):
        return likelihood.mean(apply("decoder", params, z))

    def draw(key, params, z):
        return likelihood.sample(key, params, apply("decoder", params, z))

    def sample_code(key, params, num, cluster=None):
        del params
        key_c, key_z = jax.random.split(key)
        if cluster is None:
            cluster = jax.random.randint(key_c, (num,), 0, num_clusters)
        mean = prior.mean[jnp.broadcast_to(cluster, (num,))]
        return mean + jax.random.normal(key_z, mean.shape)

    def sample(key, params, num, cluster=None):
        return decode(params, sample_code(key, params, num, cluster))

    objective = Objective(
        init=init,
        loss=loss,
        elbo=elbo,
        log_weight=log_weight,
        encode=encode,
        classify=classify,
        decode=decode,
        sample=sample,
        prior=prior,
        hparams=default_hparams(config.weights, hparams),
        latent_dim=latent_dim,
        draw=draw,
        sample_code=sample_code,
        log_densities=lambda params, x, z: (log_prior(z), -distortion(params, x, z)),
        bound_recipe=bound_recipe,
    )
    return objective, batch_terms


def cluster_metrics(logits: Float[Array, "B K"]) -> dict[str, Float[Array, ""]]:
    """`cluster/usage` (effective number of clusters) and `cluster/entropy` (nats)."""
    num_clusters = logits.shape[-1]
    entropy = distributions.categorical_entropy(Categorical(logits))
    return {
        "cluster/usage": num_clusters * jnp.exp(-balance(logits)),
        "cluster/entropy": entropy.mean(),
    }
