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
2014 (M2, arXiv 1406.5298), with an optional invariance term (see
_virtual_adversarial.py). The code between encode and decode is [z_s; z_c; y]. Not the
choice without any label.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict

from infovae_jax import distributions, networks
from infovae_jax.distributions import Categorical, Gaussian
from infovae_jax.distributions.likelihoods import make_likelihood
from infovae_jax.errors import ConfigError, DataError
from infovae_jax.objectives import _gaussian, _virtual_adversarial
from infovae_jax.objectives._terms import default_hparams, example_keys, weighted_loss
from infovae_jax.types import Batch, CodePart, DataSpec, Objective

HPARAMS = {
    "reconstruction": 1.0,
    "kl_z": 1.0,
    "kl_class": 1.0,
    "kl_y": 1.0,
    "classification": 1.0,
    "invariance": 1.0,
}
KL_BLOCKS = ("all", "active")
# Log-variance of the dims of y in the code, which are certain.
_CERTAIN = -60.0
_CHANGE_STREAM = 2**31 - 2


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches; see configs/n_vae.py."""

    latent_dim: int = 10  # of z_s
    class_dim: int = 4  # of z_c, a class
    scale: float = 1.0  # of a Gaussian likelihood; the start of a learned one
    kl_blocks: str = "all"
    invariance: bool = False  # whether the invariance term is computed at all
    invariance_radius: float = 0.25  # |r|, share of the nearest neighbour's distance
    invariance_probe: float = 20.0  # length of the step that finds the direction of r

    def check(self) -> None:
        """Raises ConfigError where a value is out of range."""
        for key in ("latent_dim", "class_dim"):
            if getattr(self, key) < (key == "latent_dim"):
                raise ConfigError(
                    f"{getattr(self, key)} is no latent size",
                    f"config.model.{key}",
                    "give more",
                )
        _gaussian.require_known(self.kl_blocks, KL_BLOCKS, "kl_blocks")
        for key in ("scale", "invariance_radius", "invariance_probe"):
            _gaussian.require_positive(getattr(self, key), key)


def gate(
    z_c: Float[Array, "L dc"], y: Int[Array, ""] | Float[Array, " L"]
) -> Float[Array, " L*(1+dc)"]:
    """vec(y outer [1, z_c]), class-major: `[y_1, y_1 z_c1, y_2, y_2 z_c2, ...]`.

    Args:
      z_c: the blocks of all classes, of one example.
      y: the class as an integer, or any point of the simplex.
    """
    y = jnp.asarray(y)
    if not y.ndim:
        y = jax.nn.one_hot(y, z_c.shape[0])
    ones = jnp.ones((z_c.shape[0], 1))
    return (y[:, None] * jnp.concatenate([ones, z_c], -1)).reshape(-1)


def as_batch(batch: Batch | Float[Array, "B H W C"]) -> Batch:
    """Images alone are a batch of unknown labels."""
    if isinstance(batch, Batch):
        return batch
    return Batch(batch, jnp.full(batch.shape[0], -1, jnp.int32))


def make(config: ConfigDict, spec: DataSpec) -> Objective:
    """Builds the N-VAE of `config` for data of `spec`; one class a label."""
    options = Config(**config.model)
    _gaussian.refuse_batch_normalization(config.network, config.objective)
    if spec.num_labels < 1:
        raise DataError(
            "the data carry no labels, and 'n_vae' has a block of code for each",
            "config key data.source",
            "give data with labels",
        )
    num_classes, ds, dc = spec.num_labels, options.latent_dim, options.class_dim
    own = num_classes * dc
    may_lack_labels = config.data.labels_per_class is not None
    likelihood = make_likelihood(spec, options.scale)
    precision = config.train.precision
    encoder, features = networks.make_encoder(config.network, spec.shape, precision)
    networks_by_name = {
        "encoder": encoder,
        "classifier": networks.make_classifier(features, num_classes),
        "posterior": networks.make_gaussian_head(
            features, ds + own, initializer=config.network.initializer
        ),
        "decoder": networks.make_decoder(
            config.network, spec.shape, ds + num_classes * (1 + dc), precision
        ),
    }
    standard = Gaussian(jnp.zeros(1), jnp.zeros(1))
    one_hots = jnp.eye(num_classes)

    def apply(name, params, *inputs):
        return networks_by_name[name].apply(params[name], *inputs)

    def init(key):
        keys = jax.random.split(key, len(networks_by_name))
        named = zip(keys, networks_by_name.items(), strict=True)
        params = {name: network.init(k) for k, (name, network) in named}
        return {**params, **likelihood.init()}

    def posterior(params, x):
        """q(z | x) over [z_s; z_c] and the logits of q(y | x)."""
        h = apply("encoder", params, x)
        return Gaussian(*apply("posterior", params, h)), apply("classifier", params, h)

    def outputs(params, z, y):
        """Decoder outputs for z `[..., ds + L * dc]` and y `[..., L]`."""
        y = y.reshape(-1, num_classes)
        gated = jax.vmap(gate)(z[..., ds:].reshape(len(y), num_classes, dc), y)
        gated = gated.reshape(*z.shape[:-1], -1)
        return apply("decoder", params, jnp.concatenate([z[..., :ds], gated], -1))

    def log_likelihood(params, x, z, y):
        return likelihood.log_prob(params, outputs(params, z, y), x)

    def log_likelihood_per_class(params, x, z):
        """log p(x | y, z) of every class, `[..., L]`."""

        def of_class(y):
            y = jnp.broadcast_to(y, (*z.shape[:-1], num_classes))
            return log_likelihood(params, x, z, y)

        return jax.vmap(of_class, out_axes=-1)(one_hots)

    def kl_terms(q, r):
        """KL of z_s, and of the blocks of z_c that count, in nats."""
        per_dim = distributions.gaussian_kl_per_dim(q, standard)
        per_block = per_dim[..., ds:].reshape(*r.shape, dc).sum(-1)
        if options.kl_blocks == "active":
            per_block = r * per_block
        return per_dim[..., :ds].sum(-1), per_block.sum(-1)

    def loss(params, batch, key, hparams):
        # Without a missing label one pass of the decoder an example is enough.
        enumerate_classes = may_lack_labels or not isinstance(batch, Batch)
        x, label = as_batch(batch)
        q, logits = posterior(params, x)
        z = distributions.gaussian_sample(example_keys(key, x), q)
        known = (label >= 0).astype(jnp.float32)
        target = jax.nn.one_hot(label, num_classes)  # zeros where unknown
        log_q = jax.nn.log_softmax(logits)
        r = target + (1.0 - known)[:, None] * jnp.exp(log_q)
        if enumerate_classes:
            log_p = (r * log_likelihood_per_class(params, x, z)).sum(-1)
        else:
            log_p = log_likelihood(params, x, z, r)
        kl_z, kl_class = kl_terms(q, r)
        kl_y = distributions.categorical_kl_uniform(Categorical(logits))
        num_known = jnp.maximum(known.sum(), 1.0)
        right = known * (logits.argmax(-1) == label)
        terms = {
            "reconstruction": -log_p,
            "kl_z": kl_z,
            "kl_class": kl_class,
            "kl_y": (1.0 - known) * kl_y,
            # A mean over the labelled examples, however few of the batch they are.
            "classification": -(target * log_q).sum() / num_known,
        }
        if options.invariance:
            terms["invariance"] = _virtual_adversarial.divergence(
                classify,
                params,
                x,
                logits,
                jax.random.fold_in(key, _CHANGE_STREAM),
                options.invariance_radius,
                options.invariance_probe,
            )
        total, metrics = weighted_loss(terms, hparams)
        metrics["info/accuracy"] = right.sum() / num_known
        return total, metrics

    def elbo(params, x, key):
        """A bound on log p(x): the label is summed out."""
        q, logits = posterior(params, x)
        z = distributions.gaussian_sample(key, q)
        r = jax.nn.softmax(logits)
        kl_z, kl_class = kl_terms(q, r)
        return {
            "reconstruction": -(r * log_likelihood_per_class(params, x, z)).sum(-1),
            "kl_z": kl_z,
            "kl_class": kl_class,
            "kl_y": distributions.categorical_kl_uniform(Categorical(logits)),
        }

    def log_densities(params, x, code):
        """log p(z) and log p(x | z) = log sum_y p(x | y, z) / L; y of the code is not
        looked at."""
        z = code[..., : ds + own]
        log_p = jax.nn.logsumexp(log_likelihood_per_class(params, x, z), axis=-1)
        log_prior = distributions.gaussian_log_prob(standard, z)
        return log_prior, log_p - jnp.log(num_classes)

    def log_weight(params, x, key, target=None):
        """One z, with y summed out: log p(x | z) + log p(z) - log q(z | x)."""
        q, _ = posterior(params, x)
        z = distributions.gaussian_sample(key, q)
        log_q = distributions.gaussian_log_prob(q, z)
        seen = x if target is None else target
        return sum(log_densities(params, seen, z)) - log_q

    def classify(params, x):
        return apply("classifier", params, apply("encoder", params, x))

    def encode(params, x):
        q, logits = posterior(params, x)
        y = jax.nn.one_hot(logits.argmax(-1), num_classes)
        certain = jnp.full_like(y, _CERTAIN)
        return Gaussian(
            jnp.concatenate([q.mean, y], -1), jnp.concatenate([q.log_var, certain], -1)
        )

    def parts(code):
        return code[..., : ds + own], code[..., ds + own :]

    def decode(params, code):
        return likelihood.mean(outputs(params, *parts(code)))

    def draw(key, params, code):
        return likelihood.sample(key, params, outputs(params, *parts(code)))

    def sample_code(key, params, num, cluster=None, sigma=1.0):
        """Codes of class `cluster` (or of any), with z ~ N(0, sigma^2 I)."""
        del params
        key_y, key_z = jax.random.split(key)
        if cluster is None:
            cluster = jax.random.randint(key_y, (num,), 0, num_classes)
        y = one_hots[jnp.broadcast_to(cluster, (num,))]
        z = sigma * jax.random.normal(key_z, (num, ds + own))
        return jnp.concatenate([z, y], -1)

    def sample(key, params, num, cluster=None, sigma=1.0):
        return decode(params, sample_code(key, params, num, cluster, sigma))

    free = jnp.zeros((num_classes, ds + own))
    prior = Gaussian(
        jnp.concatenate([free, one_hots], -1),
        jnp.concatenate([free, jnp.full_like(one_hots, _CERTAIN)], -1),
    )
    return Objective(
        init=init,
        loss=loss,
        elbo=elbo,
        log_weight=log_weight,
        encode=encode,
        classify=classify,
        decode=decode,
        sample=sample,
        prior=prior,
        hparams=default_hparams(config.weights, HPARAMS),
        latent_dim=ds + own + num_classes,
        draw=draw,
        sample_code=sample_code,
        log_densities=log_densities,
        code_parts=(
            CodePart("z_s", ds),
            CodePart("z_c", own),
            CodePart("y", num_classes, "class"),
        ),
        uses_labels=True,
    )
