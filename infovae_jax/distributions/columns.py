"""p(x | z) of the columns of a table, block by block of one kind.

A row is `[W]`: blocks of columns side by side (`types.ColumnBlock`). What stands in it,
and what the decoder's outputs there mean:

    numeric      standardised value     mean of a Gaussian, its deviation learned
    binary       0 or 1                 logit
    categorical  one-hot                logits
    count        log(1 + count)         log of the mean over that in training, of a
                                        negative binomial whose dispersion is learned
    poisson      log(1 + count)         the same, of a Poisson distribution

Every function takes the numbers of one block, `[..., columns * size]`, and is in nats;
a numeric column's are of its standardised values, all others are of probabilities.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from infovae_jax import distributions
from infovae_jax.types import Array, ColumnBlock

KINDS = ("numeric", "binary", "categorical", "count", "poisson")
COUNTS = ("count", "poisson")
# A learned deviation never falls below this part of the column's own: the density of a
# column that repeats its values would have no bound.
SMALLEST_SCALE = 0.01
# exp of more is beyond what a count may be; of less, no different from 0.
_LOG_RATE = 20.0
# A learned logarithm is this times its parameter, which moves by Adam's small steps.
_SPEED = 10.0


class Learned(NamedTuple):
    """What is learned beside the decoder, one number a column of a block.

    Attributes:
      name: in the parameters.
      start: its first value.
    """

    name: str
    start: float


def learned(block: ColumnBlock, scale: float = 1.0) -> Learned | None:
    """The parameter that a block has, `[columns]`; None where it has none.

    `scale`: the first deviation of numeric columns.
    """
    if block.kind == "numeric":
        return Learned("log_scale", math.log(scale) / _SPEED)
    if block.kind == "count":
        return Learned("log_dispersion", 0.0)
    return None


def log_prob(block: ColumnBlock, own: Array | None, outputs: Array, x: Array) -> Array:
    """log p(x | outputs), summed over the columns of the block, `[...]`.

    Args:
      block: says what they are.
      own: the parameter that `learned` names.
      outputs: of the decoder.
      x: as stored.
    """
    if block.kind == "numeric":
        return _numeric_log_prob(own, outputs, x)
    if block.kind == "binary":
        return distributions.bernoulli_log_prob(distributions.Bernoulli(outputs), x)
    if block.kind == "categorical":
        log_p = jax.nn.log_softmax(_grouped(block, outputs))
        return (_grouped(block, x) * log_p).sum((-2, -1))
    log_rate, count = _log_rate(block, outputs), counts_of(x)
    if block.kind == "poisson":
        log_p = count * log_rate - jnp.exp(log_rate) - jax.lax.lgamma(count + 1.0)
        return log_p.sum(-1)
    return _negative_binomial_log_prob(_dispersion(own, outputs), log_rate, count)


def counts_of(x: Array) -> Array:
    """Whole counts of log(1 + count)."""
    return jnp.round(jnp.expm1(x))


def mean(block: ColumnBlock, outputs: Array) -> Array:
    """The mean of p(x | z) as a row has it: of counts, log(1 + their mean)."""
    if block.kind == "numeric":
        return outputs
    if block.kind == "binary":
        return jax.nn.sigmoid(outputs)
    if block.kind == "categorical":
        return jax.nn.softmax(_grouped(block, outputs)).reshape(outputs.shape)
    return distributions.softplus(_log_rate(block, outputs))


def sample(key: Array, block: ColumnBlock, own: Array | None, outputs: Array) -> Array:
    """Draws of p(x | z)."""
    if block.kind == "numeric":
        return outputs + _scale(own, outputs) * jax.random.normal(key, outputs.shape)
    if block.kind == "binary":
        return jax.random.bernoulli(key, jax.nn.sigmoid(outputs)).astype(jnp.float32)
    if block.kind == "categorical":
        logits = _grouped(block, outputs)
        drawn = jax.random.categorical(key, logits)
        return jax.nn.one_hot(drawn, block.size).reshape(outputs.shape)
    rate = jnp.exp(_log_rate(block, outputs))
    key_rate, key_count = jax.random.split(key)
    if block.kind == "count":
        r = _dispersion(own, outputs)
        rate = rate * jax.random.gamma(key_rate, r) / r
    return jnp.log1p(jax.random.poisson(key_count, rate).astype(jnp.float32))


def relaxed(
    key: Array,
    block: ColumnBlock,
    own: Array | None,
    outputs: Array,
    temperature: float,
) -> Array:
    """Draws through which the gradient flows.

    Binary concrete and Gumbel-softmax (Maddison et al. 2017, arXiv 1611.00712; Jang et
    al. 2017, arXiv 1611.01144); of counts the normal of equal mean and variance of
    log(1 + count), by the delta method, cut at 0.
    """
    if block.kind == "numeric":
        return sample(key, block, own, outputs)
    if block.kind == "binary":
        noise = jax.random.logistic(key, outputs.shape)
        return jax.nn.sigmoid((outputs + noise) / temperature)
    if block.kind == "categorical":
        soft = distributions.relaxed_one_hot(
            key, _grouped(block, outputs), temperature, False
        )
        return soft.reshape(outputs.shape)
    log_rate = _log_rate(block, outputs)
    rate = jnp.exp(log_rate)
    variance = rate
    if block.kind == "count":
        variance = rate + rate**2 / _dispersion(own, outputs)
    noise = jax.random.normal(key, outputs.shape)
    drawn = distributions.softplus(log_rate) + noise * jnp.sqrt(variance) / (1.0 + rate)
    return jnp.maximum(drawn, 0.0)


def _grouped(block: ColumnBlock, values: Array) -> Array:
    """`[..., columns * size]` as `[..., columns, size]`."""
    return values.reshape(*values.shape[:-1], block.columns, block.size)


def _scale(own: Array, like: Array) -> Array:
    log_scale = jnp.logaddexp(_SPEED * own, math.log(SMALLEST_SCALE))
    return jnp.broadcast_to(jnp.exp(log_scale), like.shape)


def _numeric_log_prob(own: Array, outputs: Array, x: Array) -> Array:
    log_var = 2.0 * jnp.log(_scale(own, outputs))
    p = distributions.Gaussian(outputs, log_var)
    return distributions.gaussian_log_prob(p, x)


def _log_rate(block: ColumnBlock, outputs: Array) -> Array:
    start = jnp.broadcast_to(jnp.asarray(block.log_means), outputs.shape)
    return jnp.clip(outputs + start, -_LOG_RATE, _LOG_RATE)


def _dispersion(own: Array, like: Array) -> Array:
    """r of a variance m + m^2 / r."""
    log_r = jnp.clip(_SPEED * own, -_LOG_RATE, _LOG_RATE / 2)
    return jnp.broadcast_to(jnp.exp(log_r), like.shape)


def _negative_binomial_log_prob(r: Array, log_rate: Array, count: Array) -> Array:
    """Of a mean exp(log_rate) and a variance m + m^2 / r."""
    # log(r / (r + m)) and log(m / (r + m)), stable for any m.
    difference = log_rate - jnp.log(r)
    log_fail = -distributions.softplus(difference)
    log_success = -distributions.softplus(-difference)
    ways = jax.lax.lgamma(count + r) - jax.lax.lgamma(r) - jax.lax.lgamma(count + 1.0)
    return (ways + r * log_fail + count * log_success).sum(-1)
