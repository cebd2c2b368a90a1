"""Encoders: images `[..., H, W, C]` to features `[..., F]`."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from infovae_jax.networks import conv_batch_last
from infovae_jax.networks.conv import check_sizes, halved_sizes
from infovae_jax.networks.conv_layers import Conv
from infovae_jax.networks.layers import (
    ACTIVATIONS,
    NORMALIZATIONS,
    as_rows,
    choose,
    dense,
    normalize,
    shared_options,
    to_network,
)
from infovae_jax.types import Array, Network


def make_mlp(
    config: ConfigDict, shape: tuple[int, int, int], precision: str
) -> tuple[Network, int]:
    """Dense layers on the flattened image; see `networks.make_encoder`."""
    hidden = tuple(config.encoder_hidden)
    module = _MLPEncoder(hidden, **_shared(config, precision))
    network = to_network(module, np.zeros(shape, np.float32))
    return network, hidden[-1] if hidden else math.prod(shape)


def make_conv(
    config: ConfigDict, shape: tuple[int, int, int], precision: str
) -> tuple[Network, int]:
    """Convolutions of stride 2 and a dense layer; see `networks.make_encoder`."""
    channels = tuple(config.conv_channels)
    check_sizes(shape, len(channels))
    module = _ConvEncoder(
        channels,
        config.conv_kernel,
        config.conv_hidden,
        config.conv_form,
        **_shared(config, precision),
    )
    height, width = halved_sizes(shape[:2], len(channels))[-1]
    features = config.conv_hidden or height * width * (*shape[2:], *channels)[-1]
    return to_network(module, np.zeros(shape, np.float32)), features


def _shared(config: ConfigDict, precision: str) -> dict[str, Any]:
    choose(NORMALIZATIONS, config.normalization, "normalization")
    return shared_options(config, precision) | {"normalization": config.normalization}


class _MLPEncoder(nn.Module):
    hidden: tuple[int, ...]
    activation: str
    normalization: str
    initializer: str
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        leading = x.shape[:-3]
        h = as_rows(x.reshape(*leading, -1))
        for number, size in enumerate(self.hidden):
            h = dense(size, self.initializer, f"dense_{number}", self.dtype)(h)
            h = normalize(h, self.normalization, train, f"norm_{number}")
            h = ACTIVATIONS[self.activation](h)
        return h.astype(jnp.float32).reshape(*leading, h.shape[-1])


class _ConvEncoder(nn.Module):
    channels: tuple[int, ...]
    kernel: int
    hidden: int
    form: str
    activation: str
    normalization: str
    initializer: str
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        activate = ACTIVATIONS[self.activation]
        leading = x.shape[:-3]
        h = x.reshape(-1, *x.shape[-3:])
        batch_last = conv_batch_last.suits(self.form, h)
        parts = (
            conv_batch_last.split(h, self.normalization == "batch")
            if batch_last
            else [h]
        )
        axis = 0 if batch_last else -1
        for number, channels in enumerate(self.channels):
            name, norm = f"conv_{number}", f"norm_{number}"
            layer = Conv(channels, self.kernel, 2, self.form, self.dtype, name=name)
            parts = [layer(part, batch_last) for part in parts]
            parts = [
                activate(normalize(part, self.normalization, train, norm, axis))
                for part in parts
            ]
        h = conv_batch_last.join(parts) if batch_last else parts[0]
        h = h.reshape(h.shape[0], -1)
        if self.hidden:
            h = dense(self.hidden, self.initializer, "dense", self.dtype)(h)
            h = activate(normalize(h, self.normalization, train, "norm_dense"))
        return h.astype(jnp.float32).reshape(*leading, h.shape[-1])
