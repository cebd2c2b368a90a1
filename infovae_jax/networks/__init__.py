"""Networks over plain dicts of parameters; the only folder that imports flax.linen."""

from typing import Any

from ml_collections import ConfigDict

from infovae_jax.networks import decoders, encoders, own
from infovae_jax.networks.heads import (
    cluster_shifts,
    make_classifier,
    make_code_head,
    make_gaussian_head,
)
from infovae_jax.networks.layers import choose, to_network
from infovae_jax.networks.modules import own_decoder, own_encoder
from infovae_jax.types import Network

__all__ = [
    "KINDS",
    "cluster_shifts",
    "kind_of",
    "make_classifier",
    "make_code_head",
    "make_decoder",
    "make_encoder",
    "make_gaussian_head",
    "own_decoder",
    "own_encoder",
    "to_network",
]
# config.network.kind -> functions that make its encoder and its decoder.
KINDS = {
    "mlp": (encoders.make_mlp, decoders.make_mlp),
    "conv": (encoders.make_conv, decoders.make_conv),
}


def kind_of(encoder: Any, decoder: Any, base: str) -> str:
    """The kind of network with these parts of one's own; see `own`.

    Args:
      encoder: a Flax module, a pair `(init, apply)`, or None: that of the kind `base`.
      decoder: likewise.
      base: of KINDS.
    """
    return own.kind_of(encoder, decoder, base, KINDS)


def make_encoder(
    config: ConfigDict, shape: tuple[int, int, int], precision: str = "float32"
) -> tuple[Network, int]:
    """`(network, F)` with `apply(params, x) -> features [..., F]`; any leading axes.

    Args:
      config: the sub-config `config.network`.
      shape: `(H, W, C)`; odd and non-square sizes too.
      precision: of the products, one of `layers.PRECISIONS`; features are float32.

    Raises:
      ConfigError: unknown kind, activation or normalisation, or an image too small
        for the number of stride-2 layers.
    """
    return choose(KINDS, config.kind, "kind")[0](config, shape, precision)


def make_decoder(
    config: ConfigDict,
    shape: tuple[int, int, int],
    latent_dim: int,
    precision: str = "float32",
) -> Network:
    """`apply(params, z) -> outputs`, linear (logits or means); any leading axes.

    Args:
      config: the sub-config `config.network`.
      shape: `(H, W, C)`.
      latent_dim: d.
      precision: of the products, one of `layers.PRECISIONS`; outputs are float32.

    Raises:
      ConfigError: as for the encoder.
    """
    make = choose(KINDS, config.kind, "kind")[1]
    return make(config, shape, latent_dim, precision)
