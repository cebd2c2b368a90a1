"""What the networks share: activations, normalisation, modules as pure functions."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from infovae_jax.errors import ConfigError, nearest
from infovae_jax.types import Array, Network

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "softplus": nn.softplus,
    "tanh": jnp.tanh,
    "gelu": nn.gelu,
    "silu": nn.silu,
}
NORMALIZATIONS = ("none", "layer")


def choose(options, name: str, key: str):
    """`options[name]`, or a ConfigError that names the config key and the nearest."""
    if name not in options:
        raise ConfigError(
            f"unknown value '{name}'{nearest(name, options)}",
            f"config.network.{key}",
            f"use one of {', '.join(options)}",
        )
    return options[name] if isinstance(options, dict) else name


def normalize(h: Array, kind: str) -> Array:
    """Layer normalisation without scale and shift, or nothing.

    Over the last axis (units, or channels of one position). The next layer has
    weights of its own, so a learned scale would add nothing.
    """
    if kind == "none":
        return h
    centred = h - h.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def to_network(module: nn.Module, *inputs: Array) -> Network:
    """A flax module as a pair of pure functions over plain dicts of arrays."""

    def init(key):
        variables = module.init(key, *inputs)
        return variables.get("params", {})

    def apply(params, *arguments):
        return module.apply({"params": params}, *arguments)

    return Network(init, apply)
