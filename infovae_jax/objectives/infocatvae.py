"""InfoCatVAE: CatVAE plus information about c kept in what the model generates.

    loss = CatVAE loss + w_mi * CE

    CE = -E log q(c | x'),  c ~ p(c),  z ~ N(mu_c, I),  x' = decoder mean of z

q(c | x') is the encoder of the CatVAE itself: no extra network, and no gradient
through a categorical sample, since c comes from the fixed p(c). log K - CE is a
lower bound on I(c; x') (Barber & Agakov 2003). c is stratified: the same number of
draws of every cluster in each step, or of so many of them chosen anew each step.

Pineau & Lelarge, InfoCatVAE, 2018 (arXiv 1806.08240). The authors apply softmax
twice in CE (option `double_softmax`: its smallest value is log(e + K - 1) - 1, 1.461
for K = 10, and its gradient vanishes near one-hot); ours takes the logits.

The invariances of q(c | x) (`_invariance`) are ours, optional, and need no network
either: without the adversarial one, on by default, the first epochs decide by chance
which classes share a cluster; without the affine one 4 and 9 of handwriting share two.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from infovae_jax.config.knobs import Weight, knob
from infovae_jax.objectives import _invariance, catvae
from infovae_jax.objectives._terms import cluster_metrics, weighted_loss
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

HPARAMS = {
    **catvae.HPARAMS,
    "balance": catvae.HPARAMS["balance"]._replace(default=20.0),
    "reclassification": Weight(1.0, "-log q(c | x') of what cluster c generated"),
}
STOPS = ("none", "encoder", "decoder")
# Apart from the keys of the batch's examples, so that with w_mi = 0 every draw
# equals the CatVAE's.
_PRIOR_STREAM, _CLUSTER_STREAM = 2**31 - 1, 2**31 - 3


@dataclasses.dataclass(frozen=True)
class Config(catvae.Config):
    """Static switches; see configs/infocatvae.py."""

    draws_per_cluster: int = knob(
        10, "conditional samples of each cluster in a step", at_least=1
    )
    clusters_per_step: int = knob(
        100, "clusters drawn from in a step; all where there are no more", at_least=1
    )
    double_softmax: bool = knob(False, "softmax twice, as in the authors' code")
    stop_gradient: str = knob("none", "network that CE leaves alone", options=STOPS)
    invariance: bool = knob(True, "whether the invariance term is computed at all")


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


class InfoCatVAE(catvae.CatVAE):
    """The system: a CatVAE with two terms more."""

    def draw_labels(self, key):
        """The clusters that a step draws from, as often as each is drawn."""
        options, every_c = self.options, jnp.arange(self.options.num_clusters)
        if options.clusters_per_step < options.num_clusters:
            shuffled = jax.random.permutation(key, options.num_clusters)
            every_c = shuffled[: options.clusters_per_step]
        return jnp.repeat(every_c, options.draws_per_cluster)

    def reclassification(self, params, key):
        """CE of conditional samples, and the share that is classified right."""
        stop = self.options.stop_gradient
        fixed = jax.lax.stop_gradient(params)
        labels = self.draw_labels(jax.random.fold_in(key, _CLUSTER_STREAM))
        generating = fixed if stop == "decoder" else params
        x = self.sample(key, generating, len(labels), labels)
        logits, _ = self.train_logits(fixed if stop == "encoder" else params, x)
        double = self.options.double_softmax
        cross_entropy = reclassification_loss(logits, labels, double)
        return cross_entropy, (logits.argmax(-1) == labels).astype(jnp.float32).mean()

    def loss(self, params, batch, key, hparams):
        batch, others = _invariance.split(batch, self.options)
        terms, logits, statistics = self.batch_terms(params, batch, key, hparams)
        key_prior = jax.random.fold_in(key, _PRIOR_STREAM)
        cross_entropy, accuracy = self.reclassification(params, key_prior)
        terms["reclassification"] = cross_entropy
        terms |= self.invariances(params, batch, logits, key, others)
        total, metrics = weighted_loss(terms, hparams, statistics)
        metrics |= cluster_metrics(logits)
        metrics["info/mi_bound"] = math.log(self.options.num_clusters) - cross_entropy
        metrics["info/sample_accuracy"] = accuracy
        return total, metrics


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the InfoCatVAE of `config` for data of `spec`."""
    return catvae.build(InfoCatVAE, Config(**config.model), config, spec, HPARAMS, own)
