"""InfoCatVAE: CatVAE plus information about c kept in what the model generates.

    loss = CatVAE loss + w_mi * CE + w_inv * invariance

    CE         = -E log q(c | x'),  c ~ p(c),  z ~ N(mu_c, I),  x' = decoder mean of z
    invariance = E KL(q(c | x) || q(c | x + r)),  r the worst small change of x

q(c | x') is the encoder of the CatVAE itself: no extra network, and no gradient
through a categorical sample, since c comes from the fixed p(c). log K - CE is a
lower bound on I(c; x') (Barber & Agakov 2003). c is stratified: the same number of
draws of every cluster in each step, or of so many of them chosen anew each step.

Pineau & Lelarge, InfoCatVAE, 2018 (arXiv 1806.08240). The authors apply softmax
twice in CE (option `double_softmax`: its smallest value is log(e + K - 1) - 1, 1.461
for K = 10, and its gradient vanishes near one-hot); ours takes the logits.

The invariance term is ours, optional, and needs no network either: without it the
first epochs decide by chance which classes share a cluster. It is the virtual
adversarial term of Miyato et al. 2018 (arXiv 1704.03976), used for clustering by Hu
et al. 2017 (IMSAT, arXiv 1702.08720), here with a radius from the batch itself.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from infovae_jax.errors import ConfigError, nearest
from infovae_jax.objectives import _virtual_adversarial, catvae
from infovae_jax.objectives._terms import weighted_loss
from infovae_jax.types import DataSpec, Objective

HPARAMS = {
    **catvae.HPARAMS,
    "balance": 20.0,
    "reclassification": 1.0,
    "invariance": 10.0,
}
SIGNED_HPARAMS = catvae.SIGNED_HPARAMS
NOT_TERMS = catvae.NOT_TERMS
STOPS = ("none", "encoder", "decoder")
# Apart from the keys of the batch's examples, so that with w_mi = 0 every draw
# equals the CatVAE's.
_PRIOR_STREAM, _CHANGE_STREAM, _CLUSTER_STREAM = 2**31 - 1, 2**31 - 2, 2**31 - 3


@dataclasses.dataclass(frozen=True)
class Config(catvae.Config):
    """Static switches; see configs/infocatvae.py."""

    draws_per_cluster: int = 10  # conditional samples of each cluster in a step
    clusters_per_step: int = 100  # that are drawn from; all where there are no more
    double_softmax: bool = False  # as in the authors' code
    stop_gradient: str = "none"  # network that CE leaves alone: encoder or decoder
    invariance: bool = True  # whether the invariance term is computed at all
    invariance_radius: float = (
        0.25  # |r| as a share of the nearest neighbour's distance
    )
    invariance_probe: float = 20.0  # length of the step that finds the direction of r

    def check(self) -> None:
        """Raises ConfigError where a value is out of range."""
        super().check()
        for key, unit in (
            ("draws_per_cluster", "draws"),
            ("clusters_per_step", "clusters"),
        ):
            if getattr(self, key) < 1:
                raise ConfigError(
                    f"{getattr(self, key)} {unit}",
                    f"config.model.{key}",
                    "give at least 1",
                )
        if self.stop_gradient not in STOPS:
            raise ConfigError(
                f"unknown value '{self.stop_gradient}'"
                f"{nearest(self.stop_gradient, STOPS)}",
                "config.model.stop_gradient",
                f"use one of {', '.join(STOPS)}",
            )
        for key in ("invariance_radius", "invariance_probe"):
            if not getattr(self, key) > 0:
                raise ConfigError(
                    f"{getattr(self, key)} is no length",
                    f"config.model.{key}",
                    "give one above 0",
                )


def reclassification_loss(
    logits: Float[Array, "M K"], labels: Int[Array, " M"], double_softmax: bool = False
) -> Float[Array, ""]:
    """Mean cross-entropy of q(c | x') against the cluster that generated x', nats.

    Args:
      logits: of q(c | x').
      labels: the clusters c.
      double_softmax: feed probabilities as if they were logits (the authors' code).
    """
    if double_softmax:
        logits = jax.nn.softmax(logits)
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(log_probs, labels[:, None], axis=-1).mean()


def make(config: ConfigDict, spec: DataSpec) -> Objective:
    """Builds the InfoCatVAE of `config` for data of `spec`."""
    options = Config(**config.model)
    objective, catvae_terms = catvae.build(options, config, spec, HPARAMS)

    def draw_labels(key):
        clusters = jnp.arange(options.num_clusters)
        if options.clusters_per_step < options.num_clusters:
            shuffled = jax.random.permutation(key, options.num_clusters)
            clusters = shuffled[: options.clusters_per_step]
        return jnp.repeat(clusters, options.draws_per_cluster)

    def reclassification(params, key):
        labels = draw_labels(jax.random.fold_in(key, _CLUSTER_STREAM))
        generating = params
        if options.stop_gradient == "decoder":
            generating = jax.lax.stop_gradient(params)
        x = objective.sample(key, generating, labels.shape[0], labels)
        judging = params
        if options.stop_gradient == "encoder":
            judging = jax.lax.stop_gradient(params)
        logits = objective.classify(judging, x)
        cross_entropy = reclassification_loss(logits, labels, options.double_softmax)
        return cross_entropy, (logits.argmax(-1) == labels).astype(jnp.float32).mean()

    def loss(params, batch, key, hparams):
        terms, logits = catvae_terms(params, batch, key, hparams)
        key_prior = jax.random.fold_in(key, _PRIOR_STREAM)
        cross_entropy, accuracy = reclassification(params, key_prior)
        terms["reclassification"] = cross_entropy
        if options.invariance:
            key_change = jax.random.fold_in(key, _CHANGE_STREAM)
            terms["invariance"] = _virtual_adversarial.divergence(
                objective.classify,
                params,
                batch,
                logits,
                key_change,
                options.invariance_radius,
                options.invariance_probe,
            )
        total, metrics = weighted_loss(terms, hparams)
        metrics |= catvae.cluster_metrics(logits)
        metrics["info/mi_bound"] = math.log(options.num_clusters) - cross_entropy
        metrics["info/sample_accuracy"] = accuracy
        return total, metrics

    return objective._replace(loss=loss)
