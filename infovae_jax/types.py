"""The vocabulary: what passes between the parts, as NamedTuples.

Axis names used in the signatures: `B` batch, `K` clusters, `d` latent dims,
`H W C` image height, width and channels, `n` examples.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array
Params = Any
Metrics = dict[str, Array]
# Weights of a loss by name, traced or not.
HParams = Mapping[str, float | Array]

# Key of parameters that are measured, not trained; and of their new values among
# the metrics of a loss.
STATISTICS = "statistics"
MODEL_STATE = "model_state"


class Network(NamedTuple):
    """A pure pair of functions; works on one example or any leading axes.

    Attributes:
      init: `init(key) -> params`.
      apply: `apply(params, *inputs) -> outputs`, as in evaluation.
      train: `train(params, *inputs) -> (outputs, statistics)`, as in training: a
        batch normalisation takes the moments of this batch, and the updated running
        ones come back as `statistics` (`{}` where the network keeps none). The inputs
        must be a whole batch.
    """

    init: Callable[..., Params]
    apply: Callable[..., Any]
    train: Callable[..., tuple[Any, Params]]


class Own(NamedTuple):
    """Parts of a system that the caller brings; None: by the config.

    Attributes:
      encoder: images `[n, H, W, C]` -> features `[n, F]`, any F. A flax linen module;
        the class of an nnx module, or a function of `rngs` that makes one; or a
        `Network`. A classifier with a trunk of its own has another of the same kind.
      decoder: codes `[n, d]` -> the likelihood's outputs `[n, H, W, C]`, unbounded.
      prior: of a system with one Gaussian posterior a `priors.Prior` over `[d]`; of
        CatVAE and InfoCatVAE the Gaussian `[K, d]` of its clusters.
    """

    encoder: Any = None
    decoder: Any = None
    prior: Any = None


BY_CONFIG = Own()


class Batch(NamedTuple):
    """Examples with labels, some of which may be unknown.

    Attributes:
      x: `[B, H, W, C]`.
      label: `[B]` int32, -1 where the label is unknown.
    """

    x: Array
    label: Array


class CodePart(NamedTuple):
    """A run of dims of the code that belong together.

    Attributes:
      name: as in the paper, such as 'z' or 'c'.
      size: number of dims.
      kind: 'prior' (regularised towards the prior), 'free' (no term of the loss but
        the reconstruction) or 'class' (probabilities of classes).
    """

    name: str
    size: int
    kind: str = "prior"


class Neighbours(NamedTuple):
    """Nearest training examples of those of a batch, which come behind them.

    Of each kind one for each of the B examples, `[B + ..., ...]` in all.

    Attributes:
      drawn_from: k, where one drawn from the k nearest comes; 0: none.
      rank: k, where the k-th nearest itself comes, last; 0: none.
    """

    drawn_from: int = 0
    rank: int = 0


class DataSpec(NamedTuple):
    """What the data are, decided and printed before anything compiles.

    Attributes:
      shape: `(H, W, C)` of one example.
      dtype: storage type, 'uint8' (scaled by 1/255 on the device) or 'float32'.
      likelihood: a name of `distributions.likelihoods.LIKELIHOODS`.
      num_examples: training examples.
      num_labels: number of classes, 0 where the data carry no labels.
      binary: whether the model sees values in {0, 1} only, so that a Bernoulli
        likelihood is a true one (otherwise it is "soft" cross-entropy).
      levels: number of grey levels 0, 1 / (levels - 1), ..., 1, for a likelihood
        of discrete values.
      labels_missing: whether the source itself has examples of unknown label, -1.
    """

    shape: tuple[int, int, int]
    dtype: str
    likelihood: str
    num_examples: int
    num_labels: int
    binary: bool
    levels: int = 256
    labels_missing: bool = False


class Dataset(NamedTuple):
    """Two splits held as arrays (possibly memory-mapped) and their spec.

    Attributes:
      train_x: `[n, H, W, C]`, uint8 or float32.
      train_y: `[n]` int32 labels, -1 where unknown, or None.
      test_x: `[m, H, W, C]`; m is 0 where nothing is held out in memory.
      test_y: `[m]` int32 labels, or None.
      spec: the `DataSpec`.
      label_names: one name per label (possibly empty).
      decision: the lines to print about range, shape and likelihood.
      factors: name -> (`[n]`, `[m]`), known causes of the images in both splits, for
        evaluation alone.
      origin: (`[n]`, `[m]`), where each example is in its source: paths of files
        within a folder, or rows; None: its row in its split.
    """

    train_x: np.ndarray
    train_y: np.ndarray | None
    test_x: np.ndarray
    test_y: np.ndarray | None
    spec: DataSpec
    label_names: tuple[str, ...]
    decision: str
    factors: dict[str, tuple[np.ndarray, np.ndarray]] | None = None
    origin: tuple[np.ndarray, np.ndarray] | None = None


class Objective(NamedTuple):
    """A system: its networks and its loss, as pure functions.

    `x` is `[H, W, C]` or has any leading axes, in the range of the likelihood.

    Attributes:
      init: `init(key) -> params`.
      loss: `loss(params, batch, key, hparams) -> (scalar, metrics)`; `batch` is
        `[B, H, W, C]`, or a `Batch` where `uses_labels`. Metrics hold every
        unweighted term in nats, and under MODEL_STATE the running statistics after
        this batch where the networks keep any.
      elbo: `elbo(params, x, key) -> {'reconstruction', 'kl_...'}` of one example,
        in nats; their sum is the negative evidence lower bound (no weights).
      log_weight: `log_weight(params, x, key, target=None) -> scalar`, one importance
        sample log p(t, z) - log q(z | x) with z ~ q(z | x), for one example; t is
        the target, or x. With x as it was in training, noise on t does not make the
        proposal worse.
      encode: `encode(params, x) -> Gaussian`, the posterior (no key).
      classify: `classify(params, x) -> logits [..., K]`;
        None where nothing is assigned to clusters or classes.
      decode: `decode(params, z) -> [..., H, W, C]`, the mean of p(x | z).
      sample: `sample(key, params, num, cluster=None) -> [num, H, W, C]`, decoder
        means of draws from the prior, or from one cluster of it.
      prior: Gaussian `[K, d]`, the components of the prior (K = 1 for a VAE).
      hparams: default of every scalar that may be scheduled, swept or vmapped.
      latent_dim: d.
      draw: `draw(key, params, z) -> [..., H, W, C]`, samples of p(x | z).
      log_densities: `log_densities(params, x, z) -> (log p(z), log p(x | z))` of one
        example, nats; dims of classes in the code are summed out.
      sample_code: `sample_code(key, params, num, cluster=None) -> [num, d]`, codes
        from the prior; `sample` decodes them.
      code_parts: of the code in order, of `latent_dim` dims in all; empty
        where it is one.
      uses_labels: whether the loss takes a `Batch`, and cluster k means class k.
      neighbours: which ones the loss takes behind the examples of a batch.
      divergences: `divergences(params, batch, key) -> (logits [B, K], {name: [B]})`, of
        q(c | x) to that of each change of x that the loss holds against, nats, as in
        evaluation, of a batch as the loss takes it; None where it holds against none.
      bound_recipe: how `elbo` samples, for the record.
    """

    init: Callable[..., Params]
    loss: Callable[..., tuple[Array, Metrics]]
    elbo: Callable[..., Metrics]
    log_weight: Callable[..., Array]
    encode: Callable[..., Any]
    classify: Callable[..., Array] | None
    decode: Callable[..., Array]
    sample: Callable[..., Array]
    prior: Any
    hparams: dict[str, float]
    latent_dim: int
    draw: Callable[..., Array]
    sample_code: Callable[..., Array]
    log_densities: Callable[..., tuple[Array, Array]]
    code_parts: tuple[CodePart, ...] = ()
    uses_labels: bool = False
    neighbours: Neighbours = Neighbours()
    divergences: Callable[..., tuple[Array, Metrics]] | None = None
    bound_recipe: str = "1 sample per example"


class TrainState(NamedTuple):
    """All that training carries from step to step; one pytree.

    Attributes:
      step: int32 scalar, steps done.
      params: the objective's parameters that are trained.
      model_state: those that are not: running statistics. The objective's functions
        take both together, see
        `train_step.merge_statistics`.
      opt_state: the optax state.
      hparams: constant weights as float32 scalars (scheduled ones are computed
        from `step`), kept in the state so that a population is a vmap; and the
        multipliers of terms that are held at a target.
      key: the run's PRNG key; step t uses `fold_in(key, t)`.
    """

    step: Array
    params: Params
    model_state: Params
    opt_state: Any
    hparams: dict[str, Array]
    key: Array
