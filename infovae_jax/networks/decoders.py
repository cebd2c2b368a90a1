"""Decoders: codes `[..., d]` to the likelihood's outputs `[..., H, W, C]`."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from infovae_jax.networks import conv_batch_last
from infovae_jax.networks.conv import check_sizes, halved_sizes
from infovae_jax.networks.conv_layers import ConvTranspose
from infovae_jax.networks.layers import (
    ACTIVATIONS,
    as_rows,
    dense,
    normalize,
    shared_options,
    to_network,
)
from infovae_jax.types import Array, Network


def make_mlp(
    config: ConfigDict, shape: tuple[int, int, int], latent_dim: int, precision: str
) -> Network:
    """Dense layers; see `networks.make_decoder`."""
    shared = _shared(config, shape, precision)
    module = _MLPDecoder(tuple(config.decoder_hidden), **shared)
    return to_network(module, np.zeros(latent_dim, np.float32))


def make_conv(
    config: ConfigDict, shape: tuple[int, int, int], latent_dim: int, precision: str
) -> Network:
    """The encoder's mirror image, of the exact size; see `networks.make_decoder`."""
    channels = tuple(config.conv_channels)
    check_sizes(shape, len(channels))
    module = _ConvDecoder(
        channels,
        config.conv_kernel,
        config.conv_hidden,
        config.conv_form,
        **_shared(config, shape, precision),
    )
    return to_network(module, np.zeros(latent_dim, np.float32))


def _shared(config: ConfigDict, shape: tuple[int, int, int], precision: str) -> dict:
    # Layer normalisation would take the contrast out of what is decoded.
    normalization = "batch" if config.normalization == "batch" else "none"
    own = {"shape": tuple(shape), "normalization": normalization}
    return shared_options(config, precision) | own


class _MLPDecoder(nn.Module):
    hidden: tuple[int, ...]
    shape: tuple[int, int, int]
    activation: str
    normalization: str
    initializer: str
    dtype: Any

    @nn.compact
    def __call__(self, z: Array, train: bool = False) -> Array:
        h = as_rows(z)
        for number, size in enumerate(self.hidden):
            h = dense(size, self.initializer, f"dense_{number}", self.dtype)(h)
            h = normalize(h, self.normalization, train, f"norm_{number}")
            h = ACTIVATIONS[self.activation](h)
        size = math.prod(self.shape)
        outputs = dense(size, self.initializer, "outputs", self.dtype)(h)
        return outputs.astype(jnp.float32).reshape(*z.shape[:-1], *self.shape)


class _ConvDecoder(nn.Module):
    channels: tuple[int, ...]
    kernel: int
    hidden: int
    form: str
    shape: tuple[int, int, int]
    activation: str
    normalization: str
    initializer: str
    dtype: Any

    @nn.compact
    def __call__(self, z: Array, train: bool = False) -> Array:
        activate = ACTIVATIONS[self.activation]
        sizes = halved_sizes(self.shape[:2], len(self.channels))
        height, width = sizes[-1]
        h = as_rows(z)
        if self.hidden:
            layer = dense(self.hidden, self.initializer, "dense_0", self.dtype)
            h = activate(layer(h))
        size = height * width * self.channels[-1]
        h = dense(size, self.initializer, "dense_1", self.dtype)(h)
        h = activate(h).reshape(-1, height, width, self.channels[-1])
        batch_last = conv_batch_last.suits(self.form, h)
        parts = (
            conv_batch_last.split(h, self.normalization == "batch")
            if batch_last
            else [h]
        )
        axis = 0 if batch_last else -1
        outputs = (self.shape[2], *self.channels[:-1])
        for number in reversed(range(len(self.channels))):
            layer = ConvTranspose(
                outputs[number],
                self.kernel,
                2,
                sizes[number],
                self.form,
                self.dtype,
                name=f"conv_{number}",
            )
            parts = [layer(part, batch_last) for part in parts]
            if number:
                norm = f"norm_{number}"
                parts = [
                    activate(normalize(part, self.normalization, train, norm, axis))
                    for part in parts
                ]
        h = conv_batch_last.join(parts) if batch_last else parts[0]
        return h.astype(jnp.float32).reshape(*z.shape[:-1], *self.shape)
