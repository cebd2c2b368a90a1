"""What an objective is assembled from, and what follows from that alone.

A system is a subclass of `Assembly`: a page of mathematics that reads like its paper.
It gives `encode`, `sample_posterior`, `log_prior`, `sample_code`, `loss` and `elbo`;
parameters, decoding, samples, densities and importance weights are derived here.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from ml_collections import ConfigDict

from infovae_jax import networks
from infovae_jax.config.checks import refuse_batch_normalization
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.distributions import Gaussian
from infovae_jax.distributions.likelihoods import Likelihood, as_values
from infovae_jax.errors import ConfigError
from infovae_jax.networks.layers import INITIALIZERS, NORMALIZATIONS
from infovae_jax.objectives import _invariance
from infovae_jax.objectives._terms import default_hparams
from infovae_jax.types import (
    BY_CONFIG,
    STATISTICS,
    Array,
    Batch,
    DataSpec,
    HParams,
    Metrics,
    Network,
    Objective,
    Own,
    Params,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Assembly:
    """Networks, a likelihood, and what is derived from them.

    `x` is `[..., H, W, C]`, a code `z` `[..., d]`; log-densities are in nats.

    Attributes:
      options: the objective's `Config`.
      networks: by name, in the order in which their parameters are drawn; among them
        'encoder' and 'decoder'.
      likelihood: p(x | z) of the decoder's outputs.
    """

    options: Any
    networks: dict[str, Network]
    likelihood: Likelihood

    classify = None  # `classify(params, x) -> logits`, where there are clusters

    def encode(self, params: Params, x: ArrayLike) -> Gaussian:
        """The posterior q(z | x), `[..., d]`."""
        raise NotImplementedError

    def sample_posterior(
        self, params: Params, x: ArrayLike, key: Array
    ) -> tuple[Array, Array]:
        """z ~ q(z | x) of one example, and log q(z | x)."""
        raise NotImplementedError

    def log_prior(self, params: Params, z: ArrayLike) -> Array:
        """log p(z) of one code."""
        raise NotImplementedError

    def sample_code(self, key: Array, params: Params, num: int, cluster=None) -> Array:
        """Codes `[num, d]` from the prior, or from one cluster of it."""
        raise NotImplementedError

    def loss(self, params: Params, batch: ArrayLike, key: Array, hparams: HParams):
        """See `types.Objective`."""
        raise NotImplementedError

    def elbo(self, params: Params, x: ArrayLike, key: Array) -> Metrics:
        """See `types.Objective`."""
        raise NotImplementedError

    def apply(self, params: Params, name: str, *inputs) -> Any:
        """Outputs of the network called `name`."""
        return self.networks[name].apply(params[name], *inputs)

    def train(self, params: Params, name: str, *inputs) -> tuple[Any, Params]:
        """Outputs for a whole batch in training, and its running statistics if any."""
        outputs, statistics = self.networks[name].train(params[name], *inputs)
        return outputs, {name: statistics} if statistics else {}

    def init(self, key: Array) -> Params:
        """Parameters of all networks and of the likelihood."""
        keys = jax.random.split(key, len(self.networks))
        named = zip(keys, self.networks.items(), strict=True)
        params = {name: network.init(k) for k, (name, network) in named}
        return {**params, **self.likelihood.init()}

    def outputs(self, params: Params, z: ArrayLike) -> Array:
        """What the decoder says of codes, the likelihood's parameters."""
        return self.apply(params, "decoder", z)

    def log_likelihood(self, params: Params, x: ArrayLike, z: ArrayLike) -> Array:
        """log p(x | z), summed over pixels; leading axes broadcast."""
        return self.likelihood.log_prob(params, self.outputs(params, z), x)

    def decode(self, params: Params, z: ArrayLike) -> Array:
        """The mean of p(x | z)."""
        return self.likelihood.mean(self.outputs(params, z))

    def draw(self, key: Array, params: Params, z: ArrayLike) -> Array:
        """Samples of p(x | z)."""
        return self.likelihood.sample(key, params, self.outputs(params, z))

    def sample(self, key: Array, params: Params, num: int, cluster=None, **options):
        """Decoder means of `sample_code`."""
        return self.decode(
            params, self.sample_code(key, params, num, cluster, **options)
        )

    def log_densities(
        self, params: Params, x: ArrayLike, z: ArrayLike
    ) -> tuple[Array, Array]:
        """log p(z) and log p(x | z) of one example."""
        return self.log_prior(params, z), self.log_likelihood(params, x, z)

    def log_weight(
        self, params: Params, x: ArrayLike, key: Array, target=None
    ) -> Array:
        """log p(t, z) - log q(z | x) of one z ~ q(z | x); t is the target, or x."""
        z, log_q = self.sample_posterior(params, x, key)
        log_prior, log_likelihood = self.log_densities(
            params, x if target is None else target, z
        )
        return log_prior + log_likelihood - log_q

    def objective(
        self,
        config: ConfigDict,
        weights: dict[str, Weight],
        prior: Gaussian,
        loss: Callable | None = None,
        **more: Any,
    ) -> Objective:
        """The system as pure functions.

        Args:
          config: gives the weights of this run.
          weights: the module's HPARAMS.
          prior: components `[K, d]`, for pictures and conditional samples.
          loss: in place of the method.
          more: further fields of `Objective`.
        """
        return Objective(
            init=self.init,
            loss=_of_values(loss or self.loss),
            elbo=_of_values(self.elbo),
            log_weight=_of_values(self.log_weight),
            encode=_of_values(self.encode),
            classify=self.classify and _of_values(self.classify),
            decode=self.decode,
            sample=self.sample,
            prior=prior,
            hparams=default_hparams(config.weights, weights),
            latent_dim=prior.mean.shape[-1],
            draw=self.draw,
            sample_code=self.sample_code,
            log_densities=_of_values(self.log_densities),
            **more,
        )


def _of_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(params, x, ...)` that takes bytes, as data are stored, by 1/255."""

    @functools.wraps(function)
    def scaled(params, x, *arguments, **named):
        if isinstance(x, Batch):
            x = jax.tree.map(as_values, x)
        else:
            x = as_values(jnp.asarray(x))
        return function(params, x, *arguments, **named)

    return scaled


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """Static switches of q(c | x)."""

    trunk: str = knob(
        "shared",
        "features that q(c | x) reads: the encoder's, or those of a trunk of its own",
        options=("shared", "own"),
    )
    trunk_normalization: str = knob(
        "batch", "of a trunk of its own", options=NORMALIZATIONS
    )
    trunk_initializer: str = knob(
        "lecun", "weights of a trunk of its own", options=tuple(INITIALIZERS)
    )
    logits_scale: float = knob(
        1.0, "factor of the classifier's initial weights; near 0: no prejudice", above=0
    )


class Clustering(Assembly):
    """With a classifier q(c | x), of the features that the posterior reads too or of
    a network of its own, called 'trunk'."""

    @property
    def trunk(self) -> str:
        """The network whose features the classifier reads."""
        return "trunk" if "trunk" in self.networks else "encoder"

    def classify(self, params: Params, x: ArrayLike) -> Array:
        """Logits of q(c | x), `[..., K]`."""
        return self.logits(params, x)

    def logits(self, params: Params, x: ArrayLike, h: Array | None = None) -> Array:
        """Logits of q(c | x), `[..., K]`; h are the encoder's features, if known."""
        if h is None or self.trunk != "encoder":
            h = self.apply(params, self.trunk, x)
        return self.apply(params, "classifier", h)

    def train_logits(
        self, params: Params, x: ArrayLike, h: Array | None = None
    ) -> tuple[Array, Params]:
        """As `logits`, of a batch in training, with the trunk's running statistics.

        Its batch normalisation takes the moments of this very batch.
        """
        if self.trunk == "encoder":
            return self.logits(params, x, h), {}
        h, statistics = self.train(params, self.trunk, x)
        return self.apply(params, "classifier", h), statistics

    def invariances(
        self,
        params: Params,
        batch: ArrayLike,
        logits: Array,
        key: Array,
        others: _invariance.Others,
    ) -> Metrics:
        """The terms of `_invariance` that are switched on; moments of each its own."""
        return _invariance.terms(
            lambda params, x: self.train_logits(params, x)[0],
            params,
            batch,
            logits,
            key,
            self.options,
            others,
        )

    def divergences(
        self, params: Params, batch: ArrayLike, key: Array
    ) -> tuple[Array, Metrics]:
        """See `types.Objective`."""
        x, others = _invariance.split(batch, self.options)
        logits = self.classify(params, x)
        parts = (params, x, logits, key, self.options, others)
        return logits, _invariance.terms(self.classify, *parts)

    def objective(self, *arguments: Any, **more: Any) -> Objective:
        """As of every system; batches come with what neighbours a term asks for."""
        if _invariance.is_on(self.options):
            more["divergences"] = self.divergences
        neighbours = _invariance.needed_neighbours(self.options)
        return super().objective(*arguments, neighbours=neighbours, **more)

    def random_clusters(self, key: Array, num: int, num_clusters: int, cluster=None):
        """`num` clusters from p(c) = 1/K, or the given one or ones, `[num]`."""
        if cluster is None:
            return jax.random.randint(key, (num,), 0, num_clusters)
        return jnp.broadcast_to(cluster, (num,))


def make_backbone(
    config: ConfigDict, spec: DataSpec, code_dim: int, own: Own = BY_CONFIG
) -> tuple[Network, int, Network]:
    """Encoder, its number of features, and decoder for codes of `code_dim` numbers.

    Raises:
      ConfigError: one of the caller's own does not fit the data.
    """
    precision = config.train.precision
    if own.encoder is None:
        encoder, features = networks.make_encoder(config.network, spec.shape, precision)
    else:
        encoder, features = networks.own_encoder(own.encoder, spec.shape)
    if own.decoder is None:
        decoder = networks.make_decoder(config.network, spec.shape, code_dim, precision)
    else:
        decoder = networks.own_decoder(own.decoder, spec.shape, code_dim)
    return encoder, features, decoder


def refuse_statistics(parts: dict[str, Network], objective: str) -> None:
    """`refuse_batch_normalization`, of networks that the caller brought.

    Raises:
      ConfigError: one keeps running statistics, and the objective has no place for it.
    """
    for name in ("encoder", "decoder"):
        found = jax.eval_shape(parts[name].init, jax.random.key(0))
        if STATISTICS in found:
            what = f"'{objective}' passes more than one kind of batch through it"
            raise ConfigError(what, f"{name}=", "keep no running statistics")


def refuse_prior(own: Own, objective: str, why: str) -> None:
    """Raises ConfigError where a prior came to a system whose own is fixed."""
    if own.prior is not None:
        what = f"'{objective}' takes no prior: {why}"
        raise ConfigError(what, "prior=", "leave it out")


def make_clustering_networks(
    config: ConfigDict,
    spec: DataSpec,
    options: ClassifierConfig,
    num_classes: int,
    posterior_dim: int,
    code_dim: int,
    num_hidden: int = 0,
    own: Own = BY_CONFIG,
    **head: Any,
) -> dict[str, Network]:
    """Encoder, classifier, posterior and decoder, and a trunk where it is asked for.

    Args:
      config: the whole config.
      spec: of the data.
      options: of the classifier.
      num_classes: of the classifier.
      posterior_dim: dims of the Gaussian head.
      code_dim: numbers that the decoder takes.
      num_hidden: layers of the head between, as wide as the features.
      own: encoder, also of the trunk, and decoder in place of the config's.
      head: further arguments of `networks.make_gaussian_head`.
    """
    encoder, features, decoder = make_backbone(config, spec, code_dim, own)
    head |= {
        "initializer": config.network.initializer,
        "hidden": (features,) * num_hidden,
    }
    trunk, read = None, features
    if options.trunk == "own":
        trunk, read = _make_trunk(config, spec, options, own)
    scale = options.logits_scale
    parts = {
        "encoder": encoder,
        "classifier": networks.make_classifier(read, num_classes, scale=scale),
        "posterior": networks.make_gaussian_head(features, posterior_dim, **head),
        "decoder": decoder,
    }
    if trunk is not None:
        parts["trunk"] = trunk
    refuse_batch_normalization(config.network, config.objective)
    if own is not BY_CONFIG:
        refuse_statistics(parts, config.objective)
    return parts


def _make_trunk(
    config: ConfigDict, spec: DataSpec, options: ClassifierConfig, own: Own
) -> tuple[Network, int]:
    """A trunk of the classifier's own, and its number of features."""
    if own.encoder is not None:
        return networks.own_encoder(own.encoder, spec.shape)
    network = config.network.copy_and_resolve_references()
    network.normalization = options.trunk_normalization
    network.initializer = options.trunk_initializer
    return networks.make_encoder(network, spec.shape, config.train.precision)


def join(q: Gaussian, r: Gaussian) -> Gaussian:
    """The Gaussian of two independent codes, one after the other."""
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], -1), q, r)


def with_statistics(network: Network, init: Callable[[], Params]) -> Network:
    """The network with running statistics beside its parameters, which it ignores."""

    def weights(params):
        return {name: value for name, value in params.items() if name != STATISTICS}

    return Network(
        init=lambda key: {**network.init(key), STATISTICS: init()},
        apply=lambda params, *inputs: network.apply(weights(params), *inputs),
        train=lambda params, *inputs: network.train(weights(params), *inputs),
    )
