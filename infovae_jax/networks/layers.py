"""What the networks share: activations, normalisation, modules as pure functions."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from infovae_jax.errors import ConfigError, nearest
from infovae_jax.types import STATISTICS, Array, Network

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "softplus": nn.softplus,
    "tanh": jnp.tanh,
    "gelu": nn.gelu,
    "silu": nn.silu,
}
# Types in which a network multiplies. Parameters, inputs and outputs are float32.
PRECISIONS = {"float32": None, "bfloat16": jnp.bfloat16}
NORMALIZATIONS = ("none", "layer", "batch")
# Share of the old running moments that is kept in a step.
MOMENTUM = 0.9


# Initial weights of dense layers; all biases start at zero.
INITIALIZERS = {
    "lecun": nn.initializers.lecun_normal(),
    "glorot": nn.initializers.glorot_uniform(),
    # Deviation sqrt(0.1 / fan-in). Before a batch normalisation the size says nothing
    # but how far a step of Adam turns the weights: here three times as far as lecun.
    "small": nn.initializers.variance_scaling(0.1, "fan_in", "truncated_normal"),
}


def dense(features: int, initializer: str, name: str, dtype=None) -> nn.Dense:
    """A dense layer with initial weights by name, that multiplies in `dtype`."""
    kernel_init = INITIALIZERS[initializer]
    return nn.Dense(features, dtype=dtype, kernel_init=kernel_init, name=name)


def as_rows(x: Array) -> Array:
    """`[..., F]` as `[N, F]`; one leading axis, or none, stays as it is.

    The gradient of a product with several leading axes contracts them all at once,
    and before such a product XLA writes its operands out transposed.
    """
    return x.reshape(-1, x.shape[-1]) if x.ndim > 2 else x


def choose(options, name: str, key: str):
    """`options[name]`, or a ConfigError that names the key and the nearest."""
    if name not in options:
        raise ConfigError(
            f"unknown value '{name}'{nearest(name, options)}",
            f"config.network.{key}",
            f"use one of {', '.join(options)}",
        )
    return options[name] if isinstance(options, dict) else name


def choose_precision(precision: str):
    """The type of PRECISIONS by name, or a ConfigError."""
    if precision not in PRECISIONS:
        raise ConfigError(
            f"unknown value '{precision}'{nearest(precision, PRECISIONS)}",
            "config.train.precision",
            f"use one of {', '.join(PRECISIONS)}",
        )
    return PRECISIONS[precision]


def shared_options(config: ConfigDict, precision: str) -> dict[str, Any]:
    """What the layers of encoders and decoders alike are made with, checked."""
    choose(ACTIVATIONS, config.activation, "activation")
    choose(INITIALIZERS, config.initializer, "initializer")
    return {
        "activation": config.activation,
        "initializer": config.initializer,
        "dtype": choose_precision(precision),
    }


def normalize(h: Array, kind: str, train: bool, name: str, axis: int = -1) -> Array:
    """Batch normalisation, layer normalisation without scale and shift, or nothing.

    The layer's is over `axis` (units, or channels of one position). The next layer
    has weights of its own, so a learned scale would add nothing. The batch's is over
    all others, with a learned scale and shift; to be called inside a flax module.
    Moments are float32 whatever the type of h, and so is what is normalised.

    Args:
      h: `[..., F]`, or with F elsewhere.
      kind: one of NORMALIZATIONS.
      train: batch moments (True) or running ones; of batch normalisation.
      name: of the layer, for its parameters.
      axis: where F stands.
    """
    if kind == "none":
        return h
    if kind == "batch":
        return nn.BatchNorm(
            not train, axis=axis, momentum=MOMENTUM, epsilon=1e-5, name=name
        )(h)
    h = h.astype(jnp.float32)
    centred = h - h.mean(axis, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(axis, keepdims=True) + 1e-5)


def to_network(module: nn.Module, *inputs: Array) -> Network:
    """A flax linen module as pure functions over plain dicts of arrays.

    Running statistics stand in the same dict, under STATISTICS. A module that keeps
    some has an attribute `normalization`, and takes the argument `train`.

    Args:
      module: has parameters, and as other variables running statistics alone.
      inputs: arrays of the shapes that it is to see; their values are not used.
    """
    if getattr(module, "normalization", "none") == "batch":
        return with_running_statistics(module, *inputs)

    def init(key):
        variables = module.init(key, *inputs)
        return variables.get("params", {})

    def apply(params, *arguments):
        return module.apply({"params": params}, *arguments)

    return Network(init, apply, lambda *arguments: (apply(*arguments), {}))


def with_running_statistics(module: nn.Module, *inputs: Array) -> Network:
    """`to_network` of a module with batch normalisation, that takes `train`."""

    def init(key):
        variables = module.init(key, *inputs)
        return {
            **variables.get("params", {}),
            STATISTICS: variables.get("batch_stats", {}),
        }

    def variables_of(params):
        weights = {k: v for k, v in params.items() if k != STATISTICS}
        return {"params": weights, "batch_stats": params[STATISTICS]}

    def apply(params, *arguments):
        return module.apply(variables_of(params), *arguments)

    def train(params, *arguments):
        outputs, changed = module.apply(
            variables_of(params), *arguments, train=True, mutable=["batch_stats"]
        )
        return outputs, {STATISTICS: changed.get("batch_stats", {})}

    return Network(init, apply, train)
