"""p(x | z): what the decoder's outputs mean.

A likelihood maps decoder outputs `[..., H, W, C]` to log p(x | z) in nats, summed
over pixels and channels, and to the mean and samples of x. One that learns its scale
has a parameter of its own, `params["likelihood"]`. A new one is a function and an entry
of LIKELIHOODS, both of this file: config, data, evaluation and report read them here.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax import distributions
from infovae_jax.distributions import columns
from infovae_jax.types import Array, ColumnBlock, DataSpec, Params

# Where |logit| is below this, the continuous Bernoulli is computed by its series.
_SMALL_LOGIT = 0.02
# The learned log-scale is this times its parameter: Adam's steps of 1e-3 then move it
# by a hundredth, and it settles within some hundred of them.
_SCALE_SPEED = 10.0
_DENSITY = "the log-density of continuous values; it depends on their scale"


def as_values(x: Array | np.ndarray) -> Array | np.ndarray:
    """Bytes, as images are stored, as float32 in [0, 1]; other types as they are."""
    # A division, not a product with 1/255: 255 must become exactly 1.
    return x.astype(jnp.float32) / 255.0 if x.dtype == jnp.uint8 else x


class Likelihood(NamedTuple):
    """Functions of decoder outputs `[..., H, W, C]`.

    `params` are those of the whole objective; of them a likelihood reads its own.

    Attributes:
      init: `init() -> params`, `{"likelihood": ...}`, or `{}` where nothing is learned.
      log_prob: `log_prob(params, outputs, x) -> [...]`, nats.
      mean: `mean(outputs) -> [..., H, W, C]`.
      sample: `sample(key, params, outputs) -> [..., H, W, C]`.
      relaxed: `relaxed(key, params, outputs, temperature) -> [..., H, W, C]`, draws
        through which the gradient flows; exact where x is continuous, the nearer to
        the sample the lower the temperature where it is not.
      support: lowest and highest value that it is of.
      is_density: whether its value is a density of continuous values; of others it is
        the probability of `levels` grey levels, or of 0 and 1.
      levels: of grey, where it is a probability of those; else 0.
      meaning: what its nats are, in the words of a printed decision.
      unit: the same in short.
    """

    init: Callable[[], Params]
    log_prob: Callable[[Params, Array, Array], Array]
    mean: Callable[[Array], Array]
    sample: Callable[[Array, Params, Array], Array]
    relaxed: Callable[[Array, Params, Array, float], Array]
    support: tuple[float, float] = (-math.inf, math.inf)
    is_density: bool = True
    levels: int = 0
    meaning: str = _DENSITY
    unit: str = "a log-density, which depends on the scale of the values"


def make_likelihood(spec: DataSpec, scale: float = 1.0) -> Likelihood:
    """The likelihood called `spec.likelihood`.

    - bernoulli: outputs are logits
    - continuous_bernoulli: outputs are logits; a density on [0, 1]
    - gaussian: outputs are means, of standard deviation `scale`
    - learned_gaussian: the same, one standard deviation for all pixels, learned
    - discretized_logistic: outputs are locations, one scale for all, learned; the
      probability of the grey level
    - mixed: of a table, each column by its kind, see `columns`; of images a Gaussian
      whose deviation is learned, for each pixel its own

    Args:
      spec: names the likelihood and, for the discretised one, the number of levels.
      scale: standard deviation, or the scale to start from where it is learned.
    """
    return LIKELIHOODS[spec.likelihood](spec, scale)


def _nothing() -> Params:
    return {}


def _pixels_last(x: Array) -> Array:
    return x.reshape(*x.shape[:-3], -1)


def _bernoulli(spec: DataSpec, scale: float) -> Likelihood:
    del scale

    def log_prob(params, outputs, x):
        del params
        p = distributions.Bernoulli(_pixels_last(outputs))
        return distributions.bernoulli_log_prob(p, _pixels_last(x))

    def sample(key, params, outputs):
        del params
        return jax.random.bernoulli(key, jax.nn.sigmoid(outputs)).astype(jnp.float32)

    def relaxed(key, params, outputs, temperature):
        """Binary concrete (Maddison et al. 2017, arXiv 1611.00712)."""
        del params
        noise = jax.random.logistic(key, outputs.shape)
        return jax.nn.sigmoid((outputs + noise) / temperature)

    unit = "soft cross-entropy of values in [0, 1], not a log-likelihood"
    return Likelihood(
        _nothing,
        log_prob,
        jax.nn.sigmoid,
        sample,
        relaxed,
        support=(0.0, 1.0),
        is_density=False,
        meaning="values between 0 and 1 are no bits, so this is soft cross-entropy, "
        "not a log-likelihood; do not compare it with binarised results",
        unit="a log-likelihood of binary data" if spec.binary else unit,
    )


def _exact(sample):
    """`relaxed` of a likelihood whose samples pass the gradient on as they are."""

    def relaxed(key, params, outputs, temperature):
        del temperature
        return sample(key, params, outputs)

    return relaxed


def continuous_bernoulli_log_normalizer(logits: Array) -> Array:
    """log C of the density C p^x (1 - p)^(1 - x) on [0, 1], p = sigmoid(logits).

    C = l / tanh(l / 2), 2 at l = 0 (Loaiza-Ganem & Cunningham 2019, arXiv 1907.06845,
    written in the logit l). Even in l, and finite for any.
    """
    small = jnp.abs(logits) < _SMALL_LOGIT
    # The unused branch of a `where` must be finite too, or its gradient is NaN.
    size = jnp.where(small, 1.0, jnp.abs(logits))
    return jnp.where(
        small,
        math.log(2.0) + logits**2 / 12.0,
        jnp.log(size) - jnp.log(jnp.tanh(size / 2.0)),
    )


def _continuous_bernoulli(spec: DataSpec, scale: float) -> Likelihood:
    del spec, scale

    def log_prob(params, outputs, x):
        del params
        logits = _pixels_last(outputs)
        p = distributions.Bernoulli(logits)
        unnormalized = distributions.bernoulli_log_prob(p, _pixels_last(x))
        return unnormalized + continuous_bernoulli_log_normalizer(logits).sum(-1)

    def mean(outputs):
        small = jnp.abs(outputs) < _SMALL_LOGIT
        safe = jnp.where(small, 1.0, outputs)
        exact = jax.nn.sigmoid(safe) / jnp.tanh(safe / 2.0) - 1.0 / safe
        return jnp.where(small, 0.5 + outputs / 12.0, exact)

    def sample(key, params, outputs):
        del params
        u = jax.random.uniform(key, outputs.shape)
        small = jnp.abs(outputs) < _SMALL_LOGIT
        size = jnp.where(small, 1.0, jnp.abs(outputs))
        # The inverse distribution function for a positive logit; x -> 1 - x else.
        high = 1.0 + jnp.log(u + (1.0 - u) * jnp.exp(-size)) / size
        value = jnp.where(outputs > 0, high, 1.0 - high)
        return jnp.clip(jnp.where(small, u, value), 0.0, 1.0)

    return Likelihood(
        _nothing,
        log_prob,
        mean,
        sample,
        _exact(sample),
        support=(0.0, 1.0),
        meaning=f"{_DENSITY}, which is [0, 1]",
    )


def _gaussian_log_prob(outputs, x, log_scale):
    mean = _pixels_last(outputs)
    p = distributions.Gaussian(mean, jnp.broadcast_to(2.0 * log_scale, mean.shape))
    return distributions.gaussian_log_prob(p, _pixels_last(x))


def _gaussian(spec: DataSpec, scale: float) -> Likelihood:
    del spec
    log_scale = math.log(scale)

    def log_prob(params, outputs, x):
        del params
        return _gaussian_log_prob(outputs, x, log_scale)

    def sample(key, params, outputs):
        del params
        return outputs + scale * jax.random.normal(key, outputs.shape)

    return Likelihood(
        _nothing,
        log_prob,
        lambda outputs: outputs,
        sample,
        _exact(sample),
        meaning=f"{_DENSITY} and on the fixed standard deviation",
    )


def _learned_scale(scale: float):
    """The start of a learned scale, and the function that reads its logarithm."""

    def init():
        start = jnp.asarray(math.log(scale) / _SCALE_SPEED, jnp.float32)
        return {"likelihood": {"log_scale": start}}

    return init, lambda params: _SCALE_SPEED * params["likelihood"]["log_scale"]


def _learned_gaussian(spec: DataSpec, scale: float) -> Likelihood:
    del spec
    init, log_scale = _learned_scale(scale)

    def log_prob(params, outputs, x):
        return _gaussian_log_prob(outputs, x, log_scale(params))

    def sample(key, params, outputs):
        noise = jax.random.normal(key, outputs.shape)
        return outputs + jnp.exp(log_scale(params)) * noise

    return Likelihood(
        init,
        log_prob,
        lambda outputs: outputs,
        sample,
        _exact(sample),
        meaning=f"{_DENSITY}; one standard deviation for all pixels, learned",
    )


def _discretized_logistic(spec: DataSpec, scale: float) -> Likelihood:
    """Salimans et al. 2017 (PixelCNN++, arXiv 1701.05517), one component."""
    levels = spec.levels
    init, log_scale = _learned_scale(scale)
    half = 0.5 / (levels - 1)

    def log_prob(params, outputs, x):
        inverse = jnp.exp(-log_scale(params))
        upper = (x - outputs + half) * inverse
        lower = (x - outputs - half) * inverse
        # log(sigmoid(upper) - sigmoid(lower)) without the difference of two numbers
        # that round to the same: it is this sum, exactly, and finite in both tails.
        width = 2.0 * half * inverse
        inside = (
            jax.nn.log_sigmoid(upper)
            + jax.nn.log_sigmoid(-lower)
            + jnp.log(-jnp.expm1(-width))
        )
        log_p = jnp.where(
            x < half,
            jax.nn.log_sigmoid(upper),  # the lowest level has all that is below
            jnp.where(x > 1.0 - half, jax.nn.log_sigmoid(-lower), inside),
        )
        return _pixels_last(log_p).sum(-1)

    def mean(outputs):
        return jnp.clip(outputs, 0.0, 1.0)

    def continuous(key, params, outputs, temperature=None):
        del temperature
        noise = jax.random.logistic(key, outputs.shape)
        return jnp.clip(outputs + jnp.exp(log_scale(params)) * noise, 0.0, 1.0)

    def sample(key, params, outputs):
        value = continuous(key, params, outputs)
        return jnp.round(value * (levels - 1)) / (levels - 1)

    return Likelihood(
        init,
        log_prob,
        mean,
        sample,
        continuous,
        support=(0.0, 1.0),
        is_density=False,
        levels=levels,
        meaning=f"the log-probability of {levels} grey levels; one scale for all "
        "pixels, learned",
        unit=f"a log-probability of {levels} grey levels",
    )


def _mixed(spec: DataSpec, scale: float) -> Likelihood:
    """Block after block of the columns; see `distributions.columns`."""
    blocks = spec.blocks or (ColumnBlock("numeric", math.prod(spec.shape)),)
    ends = list(itertools.accumulate(b.columns * b.size for b in blocks))

    def split(x):
        return zip(blocks, jnp.split(_pixels_last(x), ends[:-1], axis=-1), strict=True)

    def init():
        own = {}
        for number, block in enumerate(blocks):
            learned = columns.learned(block, scale)
            if learned is not None:
                start = jnp.full(block.columns, learned.start, jnp.float32)
                own[f"{learned.name}_{number}"] = start
        return {"likelihood": own} if own else {}

    def parameters(params):
        for number, block in enumerate(blocks):
            learned = columns.learned(block)
            own = learned and params["likelihood"][f"{learned.name}_{number}"]
            yield own if learned else None

    def log_prob(params, outputs, x):
        shape = jnp.broadcast_shapes(outputs.shape, x.shape)
        both = (split(jnp.broadcast_to(array, shape)) for array in (outputs, x))
        parts = zip(parameters(params), *both, strict=True)
        return sum(columns.log_prob(b, own, o, v) for own, (b, o), (_, v) in parts)

    def joined(parts, like):
        return jnp.concatenate(list(parts), axis=-1).reshape(like.shape)

    def mean(outputs):
        return joined((columns.mean(b, o) for b, o in split(outputs)), outputs)

    def drawn(draw, key, params, outputs, *more):
        keys = jax.random.split(key, len(blocks))
        parts = zip(keys, parameters(params), split(outputs), strict=True)
        return joined((draw(k, b, own, o, *more) for k, own, (b, o) in parts), outputs)

    def sample(key, params, outputs):
        return drawn(columns.sample, key, params, outputs)

    def relaxed(key, params, outputs, temperature):
        return drawn(columns.relaxed, key, params, outputs, temperature)

    density = any(block.kind == "numeric" for block in blocks)
    meaning = "the log-density of standardised numeric columns plus the log-probability"
    return Likelihood(
        init,
        log_prob,
        mean,
        sample,
        relaxed,
        is_density=density,
        meaning=f"{meaning} of all others, summed over the columns of a row"
        if density
        else "the log-probability of all columns of a row",
        unit="nats of standardised numeric columns and of probabilities of others",
    )


LIKELIHOODS: dict[str, Callable[[DataSpec, float], Likelihood]] = {
    "bernoulli": _bernoulli,
    "continuous_bernoulli": _continuous_bernoulli,
    "gaussian": _gaussian,
    "learned_gaussian": _learned_gaussian,
    "discretized_logistic": _discretized_logistic,
    "mixed": _mixed,
}
