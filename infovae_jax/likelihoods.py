"""p(x | z): what the decoder's outputs mean.

A likelihood maps decoder outputs `[..., H, W, C]` to log p(x | z) in nats, summed
over pixels and channels, and to the mean and samples of x.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from infovae_jax import distributions
from infovae_jax.types import Array


class Likelihood(NamedTuple):
    """Functions of decoder outputs `[..., H, W, C]`.

    Attributes:
      log_prob: `log_prob(outputs, x) -> [...]`, nats.
      mean: `mean(outputs) -> [..., H, W, C]`.
      sample: `sample(key, outputs) -> [..., H, W, C]`.
    """

    log_prob: Callable[[Array, Array], Array]
    mean: Callable[[Array], Array]
    sample: Callable[[Array, Array], Array]


def make_likelihood(name: str, scale: float) -> Likelihood:
    """The likelihood called `name`.

    Args:
      name: 'bernoulli' (outputs are logits) or 'gaussian' (outputs are means).
      scale: standard deviation of the Gaussian; unused by the Bernoulli.
    """
    return {"bernoulli": _bernoulli, "gaussian": _gaussian}[name](scale)


def _pixels_last(x: Array) -> Array:
    return x.reshape(*x.shape[:-3], -1)


def _bernoulli(scale: float) -> Likelihood:
    del scale

    def log_prob(outputs, x):
        p = distributions.Bernoulli(_pixels_last(outputs))
        return distributions.bernoulli_log_prob(p, _pixels_last(x))

    def sample(key, outputs):
        return jax.random.bernoulli(key, jax.nn.sigmoid(outputs)).astype(jnp.float32)

    return Likelihood(log_prob, jax.nn.sigmoid, sample)


def _gaussian(scale: float) -> Likelihood:
    log_var = 2.0 * math.log(scale)

    def log_prob(outputs, x):
        mean = _pixels_last(outputs)
        p = distributions.Gaussian(mean, jnp.full_like(mean, log_var))
        return distributions.gaussian_log_prob(p, _pixels_last(x))

    def sample(key, outputs):
        return outputs + scale * jax.random.normal(key, outputs.shape)

    return Likelihood(log_prob, lambda outputs: outputs, sample)
