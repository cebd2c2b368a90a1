"""CatVAE: a VAE whose prior has K modes, one per cluster, with soft assignment.

    p(c) = 1/K,  p(z | c) = N(mu_c, I),  p(x | z)
    q(c | x) = softmax(logits),  q(z | x, c) = N(mean(x, c), exp(log_var(x, c)))

    loss =          reconstruction                          (four readings, below)
         + w_z    * sum_c q(c | x) KL(q(z | x, c) || N(mu_c, I))
         + w_c    * KL(q(c | x) || uniform)                 (per example, the paper's)
         + w_bal  * KL(mean_batch q(c | x) || uniform)      (the aggregate reading)
         + invariances of q(c | x)                          (optional: `_invariance`)

Readings of the reconstruction:
  exact   sum_c q(c | x) E_q(z | x, c) [-log p(x | z)], K decoder passes. With unit
          weights and no balance term the loss is the negative ELBO.
  topk    the same sum without bias from m + S passes: the m most probable clusters,
          and S draws of the others (see `_rao_blackwell`). For many clusters.
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
from collections.abc import Callable

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from infovae_jax import networks, priors
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.distributions import (
    Categorical,
    Gaussian,
    categorical_kl_uniform,
    relaxed_one_hot,
)
from infovae_jax.distributions import cluster_gaussians as clusters
from infovae_jax.distributions.cluster_gaussians import ShiftedGaussians, kl_per_cluster
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import ConfigError
from infovae_jax.information import balance
from infovae_jax.objectives import _invariance
from infovae_jax.objectives._assembly import (
    ClassifierConfig,
    Clustering,
    make_clustering_networks,
)
from infovae_jax.objectives._readings import READINGS, Inferred, measured
from infovae_jax.objectives._terms import cluster_metrics, example_keys, weighted_loss
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

__all__ = ["Config", "HPARAMS", "READINGS", "kl_per_cluster", "make", "relaxed_one_hot"]

HPARAMS = {
    "reconstruction": Weight(1.0, "-log p(x | z)"),
    "kl_z": Weight(1.0, "KL of q(z | x, c) to its mode"),
    # Below 0 it rewards certain assignments; with balance it then maximises I(x; c).
    "kl_c": Weight(1.0, "KL of q(c | x) to uniform, per example", signed=True),
    "balance": Weight(0.0, "KL of the batch's mean q(c | x) to uniform"),
    "temperature": Weight(1.0, "of gumbel, no weight", is_term=False),
    **_invariance.HPARAMS,
}
HEADS = ("linear", "mlp")


@dataclasses.dataclass(frozen=True)
class Config(ClassifierConfig, _invariance.Config):
    """Static switches; see configs/catvae.py."""

    num_clusters: int = knob(
        10, "K, clusters of the prior; 1, a VAE, from Python alone", at_least=1
    )
    latent_dim: int = knob(20, "d, a multiple of K", at_least=2)
    separation: float = knob(4.0, "lambda, the entries of mu_c; paper: 2", at_least=0)
    reconstruction: str = knob("exact", "its reading", options=tuple(READINGS))
    top_clusters: int = knob(2, "topk: m, summed exactly", at_least=0)
    rest_samples: int = knob(1, "topk: S, draws of the others", at_least=0)
    straight_through: bool = knob(False, "gumbel: one-hot forward, relaxed backward")
    head: str = knob("linear", "q(z | x, c) on [h; c]; paper: linear", options=HEADS)
    detached: bool = knob(
        False, "reconstruction and kl_z do not move q(c | x), its own terms alone do"
    )
    scale: float = knob(1.0, "of a Gaussian likelihood", above=0)

    def check(self) -> None:
        """Raises ConfigError where values do not fit together."""
        k, d, m = self.num_clusters, self.latent_dim, self.top_clusters
        if d % k:
            near = f"{d // k * k} or {-(-d // k) * k}" if d > k else f"{k}"
            what = f"latent size {d} is not a multiple of the {k} clusters"
            raise ConfigError(what, "config.model.latent_dim", f"give {near}")
        if self.reconstruction != "topk":
            return
        if m > k:
            what = f"{m} most probable of {k} clusters"
            raise ConfigError(what, "config.model.top_clusters", f"give 0 to {k}")
        if m < k and not self.rest_samples:
            what = f"0 draws for the {k - m} clusters not summed exactly"
            raise ConfigError(what, "config.model.rest_samples", "give at least 1")


@dataclasses.dataclass(frozen=True, eq=False)
class CatVAE(Clustering):
    """The system; `prior` holds the K modes, `[K, d]`, `mixture_log_prob` their sum."""

    prior: Gaussian
    mixture_log_prob: Callable

    def posterior(self, params, h, c=None):
        """q(z | x, c), at any point c of the simplex."""
        return Gaussian(*self.apply(params, "posterior", h, c))

    def infer(self, params, x, classify=None) -> Inferred:
        """q(c | x) and all K of q(z | x, c)."""
        h = self.apply(params, "encoder", x)
        if self.options.head == "linear":
            shifts = Gaussian(*networks.cluster_shifts(params["posterior"]))
            q = ShiftedGaussians(self.posterior(params, h), shifts)
        else:
            every_c = jnp.arange(self.options.num_clusters)
            q = jax.vmap(self.posterior, (None, None, 0), -2)(params, h, every_c)
        return Inferred(h, (classify or self.logits)(params, x, h), q)

    def bound_terms(self, params, x, key, temperature, reading, inferred):
        """Terms of one example, or of a batch with one key per example."""
        _, logits, q = weighing = inferred
        if self.options.detached:
            weighing = inferred._replace(logits=jax.lax.stop_gradient(logits))
        reconstruction = reading(self, params, x, key, weighing, temperature)
        q_c = jax.nn.softmax(weighing.logits)
        return {
            "reconstruction": reconstruction,
            # All K clusters at once.
            "kl_z": (q_c * kl_per_cluster(q, self.prior)).sum(-1),
            "kl_c": categorical_kl_uniform(Categorical(logits)),
        }

    def batch_terms(self, params, batch, key, hparams):
        """Unweighted terms of the loss, logits `[B, K]` and running statistics."""
        inferred = self.infer(params, batch, self.train_logits)
        logits, statistics = inferred.logits
        inferred = inferred._replace(logits=logits)
        reading = READINGS[self.options.reconstruction]
        keys, temperature = example_keys(key, batch), hparams["temperature"]
        terms = self.bound_terms(params, batch, keys, temperature, reading, inferred)
        return {**terms, "balance": balance(logits)}, logits, statistics

    def loss(self, params, batch, key, hparams):
        batch, others = _invariance.split(batch, self.options)
        terms, logits, statistics = self.batch_terms(params, batch, key, hparams)
        terms |= self.invariances(params, batch, logits, key, others)
        total, metrics = weighted_loss(terms, hparams, statistics)
        return total, metrics | cluster_metrics(logits)

    def elbo(self, params, x, key):
        reading, _ = measured(self.options.num_clusters)
        return self.bound_terms(params, x, key, 1.0, reading, self.infer(params, x))

    def encode(self, params, x):
        """q(z | x, c) of the most probable c."""
        h = self.apply(params, "encoder", x)
        c = jnp.argmax(self.logits(params, x, h), -1)
        return self.posterior(params, h, c)

    def sample_posterior(self, params, x, key):
        _, logits, q = self.infer(params, x)
        return clusters.sample_mixture(key, logits, q)

    def log_prior(self, params, z):
        return self.mixture_log_prob(z)

    def sample_code(self, key, params, num, cluster=None):
        key_c, key_z = jax.random.split(key)
        num_clusters = self.options.num_clusters
        c = self.random_clusters(key_c, num, num_clusters, cluster)
        mean, log_var = self.prior.mean[c], self.prior.log_var[c]
        return mean + jnp.exp(0.5 * log_var) * jax.random.normal(key_z, mean.shape)


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the CatVAE of `config` for data of `spec`."""
    return build(CatVAE, Config(**config.model), config, spec, HPARAMS, own)


def build(system, options: Config, config, spec, weights: dict, own: Own) -> Objective:
    """The `Objective` of a CatVAE, or of a system that adds terms to it."""
    k, d = options.num_clusters, options.latent_dim
    parts = make_clustering_networks(
        config,
        spec,
        options,
        k,
        d,
        d,
        num_clusters=k,
        num_hidden=int(options.head == "mlp"),
        own=own,
    )
    prior = own.prior or priors.clusters(k, d // k, options.separation)
    if not isinstance(prior, Gaussian) or prior.mean.shape != (k, d):
        what = "the prior of its clusters has another shape, or is no Gaussian"
        raise ConfigError(what, "prior=", f"give a Gaussian [{k}, {d}]")
    likelihood = make_likelihood(spec, options.scale)
    mixture_log_prob = clusters.mixture_log_prob(prior)
    model = system(options, parts, likelihood, prior, mixture_log_prob)
    return model.objective(config, weights, prior, bound_recipe=measured(k)[1])
