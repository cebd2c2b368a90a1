"""Decoders: codes `[..., d]` to the likelihood's outputs `[..., H, W, C]`."""

import math

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from infovae_jax.networks.conv import ConvTranspose, check_sizes, halved_sizes
from infovae_jax.networks.layers import (
    ACTIVATIONS,
    INITIALIZERS,
    choose,
    dense,
    normalize,
    to_network,
)
from infovae_jax.types import Array, Network


def make_decoder(
    config: ConfigDict, shape: tuple[int, int, int], latent_dim: int
) -> Network:
    """`apply(params, z) -> outputs`, linear (logits or means); any leading axes.

    The convolutional form mirrors the encoder and ends at the exact size.

    Args:
      config: the sub-config `config.network`.
      shape: `(H, W, C)`.
      latent_dim: d.

    Raises:
      ConfigError: as for the encoder.
    """
    choose(("mlp", "conv"), config.kind, "kind")
    choose(ACTIVATIONS, config.activation, "activation")
    choose(INITIALIZERS, config.initializer, "initializer")
    # Layer normalisation would take the contrast out of what is decoded.
    normalization = "batch" if config.normalization == "batch" else "none"
    if config.kind == "mlp":
        hidden = tuple(config.decoder_hidden)
        module = _MLPDecoder(
            hidden, tuple(shape), config.activation, normalization, config.initializer
        )
    else:
        check_sizes(shape, len(config.conv_channels))
        module = _ConvDecoder(
            tuple(config.conv_channels),
            config.conv_kernel,
            config.conv_hidden,
            config.conv_form,
            tuple(shape),
            config.activation,
            normalization,
            config.initializer,
        )
    return to_network(module, jnp.zeros(latent_dim))


class _MLPDecoder(nn.Module):
    hidden: tuple[int, ...]
    shape: tuple[int, int, int]
    activation: str
    normalization: str
    initializer: str

    @nn.compact
    def __call__(self, z: Array, train: bool = False) -> Array:
        h = z
        for number, size in enumerate(self.hidden):
            h = dense(size, self.initializer, f"dense_{number}")(h)
            h = normalize(h, self.normalization, train, f"norm_{number}")
            h = ACTIVATIONS[self.activation](h)
        outputs = dense(math.prod(self.shape), self.initializer, "outputs")(h)
        return outputs.reshape(*z.shape[:-1], *self.shape)


class _ConvDecoder(nn.Module):
    channels: tuple[int, ...]
    kernel: int
    hidden: int
    form: str
    shape: tuple[int, int, int]
    activation: str
    normalization: str
    initializer: str

    @nn.compact
    def __call__(self, z: Array, train: bool = False) -> Array:
        activate = ACTIVATIONS[self.activation]
        sizes = halved_sizes(self.shape[:2], len(self.channels))
        height, width = sizes[-1]
        h = z
        if self.hidden:
            h = activate(dense(self.hidden, self.initializer, "dense_0")(z))
        h = dense(height * width * self.channels[-1], self.initializer, "dense_1")(h)
        h = activate(h).reshape(-1, height, width, self.channels[-1])
        outputs = (self.shape[2], *self.channels[:-1])
        for number in reversed(range(len(self.channels))):
            layer = ConvTranspose(
                outputs[number],
                self.kernel,
                2,
                sizes[number],
                self.form,
                name=f"conv_{number}",
            )
            h = layer(h)
            if number:
                h = normalize(h, self.normalization, train, f"norm_{number}")
                h = activate(h)
        return h.reshape(*z.shape[:-1], *self.shape)
