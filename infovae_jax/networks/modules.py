"""Networks that the caller brings: flax modules, or pairs of functions of their own.

They see rows: `[n, H, W, C]` or `[n, d]`, whatever the leading axes are elsewhere.
"""

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from infovae_jax.errors import ConfigError
from infovae_jax.networks.layers import to_network, with_running_statistics
from infovae_jax.types import Array, Network

_MADE_OF = "a flax linen module, the class of an nnx module, or a types.Network"


def own_encoder(module: Any, shape: tuple[int, int, int]) -> tuple[Network, int]:
    """As `networks.make_encoder`, of a module that gives features `[n, F]`.

    Args:
      module: see `types.Own`.
      shape: `(H, W, C)` of one image.

    Raises:
      ConfigError: it is no such module, cannot take such images, or gives other
        shapes.
    """
    where = "encoder="
    network = _as_network(module, shape, where)
    outputs = _shape_of_outputs(network, shape, where)
    if len(outputs) != 1:
        what = f"it gives {outputs} for one image of {shape}"
        raise ConfigError(what, where, "give features [n, F] for images [n, H, W, C]")
    return network, outputs[0]


def own_decoder(module: Any, shape: tuple[int, int, int], latent_dim: int) -> Network:
    """As `networks.make_decoder`, of a module that gives outputs `[n, H, W, C]`.

    Args:
      module: see `types.Own`.
      shape: `(H, W, C)` of one image.
      latent_dim: numbers of a code as the system decodes it.

    Raises:
      ConfigError: as for the encoder.
    """
    where = "decoder="
    network = _as_network(module, (latent_dim,), where)
    outputs = _shape_of_outputs(network, (latent_dim,), where)
    if outputs != tuple(shape):
        what = f"it gives {outputs} for one code, and one image is {tuple(shape)}"
        raise ConfigError(what, where, "give [n, H, W, C] for codes [n, d]")
    return network


def _as_network(module: Any, shape: tuple[int, ...], where: str) -> Network:
    if isinstance(module, Network):
        return module
    linen = _as_linen(module, where)
    from_nnx = linen is not module
    row = jnp.zeros((1, *shape))
    try:
        variables = jax.eval_shape(linen.init, jax.random.key(0), row)
    except Exception as error:
        what = f"it fails for inputs of shape {row.shape} ({type(error).__name__})"
        raise ConfigError(what, where, "see the error above this one") from error
    others = set(variables) - {"params", "batch_stats", "nnx"}
    if others:
        what = f"it keeps {', '.join(sorted(others))}"
        raise ConfigError(what, where, "keep parameters, and batch_stats at most")
    if "batch_stats" not in variables:
        network = to_network(linen, row)
        network = _with_text_keys(network) if from_nnx else network
        return _of_rows(network, len(shape))
    arguments = inspect.signature(type(linen).__call__).parameters
    if from_nnx or "train" not in arguments:
        what = "it keeps running statistics and takes no argument `train`"
        fix = "be a linen module with __call__(self, x, train=False)"
        raise ConfigError(what, where, fix)
    return _of_rows(with_running_statistics(linen, row), len(shape))


def _as_linen(module: Any, where: str) -> nn.Module:
    if isinstance(module, nn.Module):
        return module
    from flax import nnx

    if isinstance(module, nnx.Module):
        what = "an nnx module with parameters of its own, which no seed would draw"
        raise ConfigError(what, where, "give its class, or a function of rngs")
    if isinstance(module, type) and issubclass(module, nn.Module):
        what = f"the class {module.__name__} in place of a linen module"
        raise ConfigError(what, where, f"give {module.__name__}(...)")
    if not callable(module):
        raise ConfigError(f"a {type(module).__name__}", where, f"give {_MADE_OF}")
    return nnx.bridge.to_linen(module)


def _of_rows(network: Network, rank: int) -> Network:
    """The network of rows, for one example of so many axes or any leading axes."""

    def leading(x: Array) -> tuple[int, ...]:
        return x.shape[: x.ndim - rank]

    def rows(x: Array) -> Array:
        return x.reshape(-1, *x.shape[x.ndim - rank :])

    def shaped(outputs: Array, x: Array) -> Array:
        return outputs.astype(jnp.float32).reshape(*leading(x), *outputs.shape[1:])

    def apply(params, x):
        return shaped(network.apply(params, rows(x)), x)

    def train(params, x):
        outputs, statistics = network.train(params, rows(x))
        return shaped(outputs, x), statistics

    return Network(network.init, apply, train)


def _with_text_keys(network: Network) -> Network:
    """The network with texts for keys of its parameters, as checkpoints want them.

    nnx numbers the entries of a list. Of networks without running statistics.
    """

    def apply(params, x):
        return network.apply(_renamed(params, _as_number), x)

    return Network(
        lambda key: _renamed(network.init(key), str),
        apply,
        lambda params, x: (apply(params, x), {}),
    )


def _renamed(tree: Any, rename: Callable[[Any], Any]) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {rename(name): _renamed(part, rename) for name, part in tree.items()}


def _as_number(name: str) -> str | int:
    return int(name) if name.isdecimal() else name


def _shape_of_outputs(
    network: Network, shape: tuple[int, ...], where: str
) -> tuple[int, ...]:
    def outputs():
        return network.apply(network.init(jax.random.key(0)), jnp.zeros(shape))

    try:
        found = jax.eval_shape(outputs)
    except Exception as error:
        what = f"it fails for one input of shape {shape} ({type(error).__name__})"
        raise ConfigError(what, where, "see the error above this one") from error
    if not hasattr(found, "shape"):
        what = f"it gives a {type(found).__name__} in place of one array"
        raise ConfigError(what, where, "give one array")
    return tuple(found.shape)
