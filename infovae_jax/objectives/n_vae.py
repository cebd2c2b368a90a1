"""N-VAE: natural clustering, factors that all classes share and factors of one.

    z = [z_s; z_c],  z_c one block of dims a class,  p(z) = N(0, I),  p(y) = 1/L
    p(x | y, z): the decoder sees z_s and vec(y outer [1, z_c]), so that of z_c only the
    block of class y is left, and beside it y itself

    loss = sum_y r(y) * reconstruction(x | y)                (equation 7 of the paper)
         + w_s * KL(q(z_s | x) || p) + beta_c * KL(q(z_c | x) || p)
         + alpha * (-log q(y | x))                           where the label is known
         + w_y * KL(q(y | x) || p(y))                        where it is not

r(y) is the label where known and q(y | x) elsewhere: the missing label is summed out,
all classes by one `vmap`. The weights are kl_z, kl_class, classification, kl_y. The
KL is over all blocks by default, so that q(z_c | x) is the prior in blocks that x has
no use for; `kl_blocks='active'` counts the block of y alone.

Antoran & Miguel, Disentangling and Learning Robust Representations with Natural
Clustering, 2019 (arXiv 1901.09415). Unlabelled examples are ours, as in Kingma et al.
2014 (M2, arXiv 1406.5298), with optional invariances (see _invariance.py). The code
between encode and decode is [z_s; z_c; y]. Not the choice without any label.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from infovae_jax import distributions
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.distributions import Categorical, Gaussian, categorical_kl_uniform
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import DataError
from infovae_jax.objectives import _assembly, _gaussian, _invariance
from infovae_jax.objectives._terms import as_batch, example_keys, weighted_loss
from infovae_jax.types import BY_CONFIG, Batch, CodePart, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "kl_z": Weight(1.0, "KL of z_s"),
    "kl_class": Weight(1.0, "beta_c: KL of z_c; above 1 pushes what is shared to z_s"),
    "kl_y": Weight(1.0, "KL of q(y | x) to uniform where the label is unknown"),
    "classification": Weight(1.0, "alpha: -log q(y | x) where the label is known"),
    **{name: w._replace(default=1.0) for name, w in _invariance.HPARAMS.items()},
}
# Log-variance of the dims of y in the code, which are certain.
_CERTAIN = -60.0
_STANDARD = Gaussian(np.zeros(1, np.float32), np.zeros(1, np.float32))


@dataclasses.dataclass(frozen=True)
class Config(_assembly.ClassifierConfig, _invariance.Config):
    """Static switches; see configs/n_vae.py."""

    latent_dim: int = knob(10, "dims of z_s, which all classes share", at_least=1)
    class_dim: int = knob(4, "dims of z_c of each class", at_least=0)
    scale: float = knob(1.0, "of a Gaussian likelihood, or its start", above=0)
    kl_blocks: str = knob("all", "z_c whose KL counts", options=("all", "active"))


def gate(
    z_c: Float[Array, "L dc"], y: Int[Array, ""] | Float[Array, " L"]
) -> Float[Array, " L*(1+dc)"]:
    """vec(y outer [1, z_c]), `[y_1, y_1 z_c1, y_2, ...]`; y in 0..L-1 or a simplex."""
    y = jnp.asarray(y)
    if not y.ndim:
        y = jax.nn.one_hot(y, z_c.shape[0])
    ones = jnp.ones((z_c.shape[0], 1))
    return (y[:, None] * jnp.concatenate([ones, z_c], -1)).reshape(-1)


@dataclasses.dataclass(frozen=True, eq=False)
class NVAE(_assembly.Clustering):
    """The system; a code is [z_s; z_c; y], and z alone [z_s; z_c]."""

    num_classes: int
    may_lack_labels: bool  # whether a batch can hold examples of unknown label

    def split(self, code):
        """z_s `[..., ds]`, z_c `[..., L * dc]` and y, empty of z alone."""
        ds, dc = self.options.latent_dim, self.options.class_dim
        return jnp.split(code, [ds, ds + self.num_classes * dc], axis=-1)

    def posterior(self, params, x, classify=None):
        """q(z | x) over [z_s; z_c] and the logits of q(y | x)."""
        h = self.apply(params, "encoder", x)
        q = Gaussian(*self.apply(params, "posterior", h))
        return q, (classify or self.logits)(params, x, h)

    def outputs(self, params, z):
        """Decoder outputs of codes [z_s; z_c; y]."""
        z_s, z_c, y = self.split(z)
        y = y.reshape(-1, self.num_classes)
        blocks = z_c.reshape(y.shape[0], self.num_classes, self.options.class_dim)
        gated = jax.vmap(gate)(blocks, y).reshape(*z.shape[:-1], -1)
        return self.apply(params, "decoder", jnp.concatenate([z_s, gated], -1))

    def log_likelihood_per_class(self, params, x, z):
        """log p(x | y, z) of every class, `[..., L]`; all classes by one vmap."""

        def of_class(y):
            y = jnp.broadcast_to(y, (*z.shape[:-1], self.num_classes))
            return self.log_likelihood(params, x, jnp.concatenate([z, y], -1))

        return jax.vmap(of_class, out_axes=-1)(jnp.eye(self.num_classes))

    def kl_terms(self, q, r):
        """KL of z_s, and of the blocks of z_c that count, in nats."""
        kl_s, kl_c, _ = self.split(distributions.gaussian_kl_per_dim(q, _STANDARD))
        per_block = kl_c.reshape(*r.shape, self.options.class_dim).sum(-1)
        if self.options.kl_blocks == "active":
            per_block = r * per_block
        return kl_s.sum(-1), per_block.sum(-1)

    def loss(self, params, batch, key, hparams):
        batch, others = _invariance.split(batch, self.options)
        x, label = as_batch(batch)
        q, (logits, statistics) = self.posterior(params, x, self.train_logits)
        z = distributions.gaussian_sample(example_keys(key, x), q)
        known = (label >= 0).astype(jnp.float32)
        target = jax.nn.one_hot(label, self.num_classes)  # zeros where unknown
        log_q = jax.nn.log_softmax(logits)
        r = target + (1.0 - known)[:, None] * jnp.exp(log_q)
        if self.may_lack_labels or not isinstance(batch, Batch):
            log_p = (r * self.log_likelihood_per_class(params, x, z)).sum(-1)
        else:  # one pass of the decoder per example is enough
            log_p = self.log_likelihood(params, x, jnp.concatenate([z, r], -1))
        kl_z, kl_class = self.kl_terms(q, r)
        num_known = jnp.maximum(known.sum(), 1.0)
        terms = {
            "reconstruction": -log_p,
            "kl_z": kl_z,
            "kl_class": kl_class,
            "kl_y": (1.0 - known) * categorical_kl_uniform(Categorical(logits)),
            # A mean over the labelled examples, however few of the batch they are.
            "classification": -(target * log_q).sum() / num_known,
        }
        terms |= self.invariances(params, x, logits, key, others)
        total, metrics = weighted_loss(terms, hparams, statistics)
        right = known * (logits.argmax(-1) == label)
        metrics["info/accuracy"] = right.sum() / num_known
        return total, metrics

    def elbo(self, params, x, key):
        """A bound on log p(x): the label is summed out."""
        q, logits = self.posterior(params, x)
        z, r = distributions.gaussian_sample(key, q), jax.nn.softmax(logits)
        kl_z, kl_class = self.kl_terms(q, r)
        log_p = self.log_likelihood_per_class(params, x, z)
        return {
            "reconstruction": -(r * log_p).sum(-1),
            "kl_z": kl_z,
            "kl_class": kl_class,
            "kl_y": categorical_kl_uniform(Categorical(logits)),
        }

    def log_densities(self, params, x, z):
        """log p(z), log sum_y p(x | y, z) / L; the y of a code is not looked at."""
        z = jnp.concatenate(self.split(z)[:2], -1)
        log_p = jax.nn.logsumexp(self.log_likelihood_per_class(params, x, z), axis=-1)
        log_p = log_p - jnp.log(self.num_classes)
        return distributions.gaussian_log_prob(_STANDARD, z), log_p

    def sample_posterior(self, params, x, key):
        q, _ = self.posterior(params, x)
        z = distributions.gaussian_sample(key, q)
        return z, distributions.gaussian_log_prob(q, z)

    def encode(self, params, x):
        q, logits = self.posterior(params, x)
        y = jax.nn.one_hot(logits.argmax(-1), self.num_classes)
        return _assembly.join(q, Gaussian(y, jnp.full_like(y, _CERTAIN)))

    def sample_code(self, key, params, num, cluster=None, sigma=1.0):
        """Codes of class `cluster` (or of any), with z ~ N(0, sigma^2 I)."""
        key_y, key_z = jax.random.split(key)
        c = self.random_clusters(key_y, num, self.num_classes, cluster)
        dims = self.options.latent_dim + self.num_classes * self.options.class_dim
        z = sigma * jax.random.normal(key_z, (num, dims))
        return jnp.concatenate([z, jnp.eye(self.num_classes)[c]], -1)


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the N-VAE of `config` for data of `spec`; one class per label."""
    _assembly.refuse_prior(own, "n_vae", "z_c of the other classes is N(0, I)")
    if spec.num_labels < 1:
        what = "the data carry no labels, and 'n_vae' has a block of code for each"
        raise DataError(what, "config.data.source", "give data with labels")
    options, num_classes = Config(**config.model), spec.num_labels
    ds, dims_c = options.latent_dim, num_classes * options.class_dim
    networks = _assembly.make_clustering_networks(
        config,
        spec,
        options,
        num_classes,
        ds + dims_c,
        ds + dims_c + num_classes,
        own=own,
    )
    likelihood = make_likelihood(spec, options.scale)
    hidden = config.data.labels_per_class is not None or spec.labels_missing
    model = NVAE(options, networks, likelihood, num_classes, may_lack_labels=hidden)
    free, y = jnp.zeros((num_classes, ds + dims_c)), jnp.eye(num_classes)
    certain = Gaussian(y, jnp.full_like(y, _CERTAIN))
    prior = _assembly.join(Gaussian(free, free), certain)
    parts = ("z_s", ds, "prior"), ("z_c", dims_c, "prior"), ("y", num_classes, "class")
    parts = tuple(CodePart(*part) for part in parts)
    return model.objective(config, HPARAMS, prior, code_parts=parts, uses_labels=True)
