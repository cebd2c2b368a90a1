"""The vocabulary: what passes between the parts, as NamedTuples.

Axis names used in the signatures: `B` batch, `K` clusters, `d` latent dims,
`H W C` image height, width and channels, `n` examples.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array
Params = Any
Metrics = dict[str, Array]


class Network(NamedTuple):
    """A pure pair of functions; works on one example or any leading axes.

    Attributes:
      init: `init(key) -> params`.
      apply: `apply(params, *inputs) -> outputs`.
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]


class DataSpec(NamedTuple):
    """What the data are, decided and printed before anything compiles.

    Attributes:
      shape: `(H, W, C)` of one example.
      dtype: storage type, 'uint8' (scaled by 1/255 on the device) or 'float32'.
      likelihood: 'bernoulli' or 'gaussian'.
      num_examples: training examples.
      num_labels: number of classes, 0 where the data carry no labels.
      binary: whether the model sees values in {0, 1} only, so that a Bernoulli
        likelihood is a true one (otherwise it is "soft" cross-entropy).
    """

    shape: tuple[int, int, int]
    dtype: str
    likelihood: str
    num_examples: int
    num_labels: int
    binary: bool


class Dataset(NamedTuple):
    """Two splits held as arrays (possibly memory-mapped) and their spec.

    Attributes:
      train_x: `[n, H, W, C]`, uint8 or float32.
      train_y: `[n]` int32 labels, or None.
      test_x: `[m, H, W, C]`.
      test_y: `[m]` int32 labels, or None.
      spec: the `DataSpec`.
      label_names: one name a label (possibly empty).
      decision: the lines to print about range, shape and likelihood.
    """

    train_x: np.ndarray
    train_y: np.ndarray | None
    test_x: np.ndarray
    test_y: np.ndarray | None
    spec: DataSpec
    label_names: tuple[str, ...]
    decision: str


class Objective(NamedTuple):
    """A system: its networks and its loss, as pure functions.

    `x` is `[H, W, C]` or has any leading axes, in the range of the likelihood.

    Attributes:
      init: `init(key) -> params`.
      loss: `loss(params, batch, key, hparams) -> (scalar, metrics)`; `batch` is
        `[B, H, W, C]`. Metrics hold every unweighted term in nats.
      elbo: `elbo(params, x, key) -> {'reconstruction', 'kl_...'}` of one example,
        in nats; their sum is the negative evidence lower bound (no weights).
      log_weight: `log_weight(params, x, key) -> scalar`, one importance sample
        log p(x, z) - log q(z | x) with z ~ q(z | x), for one example.
      encode: `encode(params, x) -> Gaussian`, the posterior (no key).
      classify: `classify(params, x) -> logits [..., K]`, or None.
      decode: `decode(params, z) -> [..., H, W, C]`, the mean of p(x | z).
      sample: `sample(key, params, num, cluster=None) -> [num, H, W, C]`, decoder
        means of draws from the prior, or from one cluster of it.
      prior: Gaussian `[K, d]`, the components of the prior (K = 1 for a VAE).
      hparams: default of every scalar that may be scheduled, swept or vmapped.
      latent_dim: d.
    """

    init: Callable[..., Params]
    loss: Callable[..., tuple[Array, Metrics]]
    elbo: Callable[..., Metrics]
    log_weight: Callable[..., Array]
    encode: Callable[..., Any]
    classify: Callable[..., Array | None]
    decode: Callable[..., Array]
    sample: Callable[..., Array]
    prior: Any
    hparams: dict[str, float]
    latent_dim: int


class TrainState(NamedTuple):
    """All that training carries from step to step; one pytree.

    Attributes:
      step: int32 scalar, steps done.
      params: the objective's parameters.
      opt_state: the optax state.
      hparams: constant weights as float32 scalars (scheduled ones are computed
        from `step`), kept in the state so that a population is a vmap.
      key: the run's PRNG key; step t uses `fold_in(key, t)`.
    """

    step: Array
    params: Params
    opt_state: Any
    hparams: dict[str, Array]
    key: Array
