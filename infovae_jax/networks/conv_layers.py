"""Convolutions with their parameters, in either layout of a batch."""

from typing import Any

import flax.linen as nn
from flax.linen.dtypes import promote_dtype

from infovae_jax.networks import conv_batch_last
from infovae_jax.networks.conv import conv2d, conv_transpose2d
from infovae_jax.types import Array


class Conv(nn.Module):
    """A convolution and a bias, of images `[B, H, W, C]` or planes `[C, H, W, B]`."""

    features: int
    kernel_size: int
    stride: int
    form: str
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, batch_last: bool = False) -> Array:
        x, kernel, bias = _with_parameters(self, x, batch_last)
        if batch_last:
            return conv_batch_last.conv(x, kernel, self.stride) + bias
        return conv2d(x, kernel, self.stride, self.form) + bias


class ConvTranspose(nn.Module):
    """A transposed convolution and a bias, in the layouts of `Conv`."""

    features: int
    kernel_size: int
    stride: int
    out_size: tuple[int, int]
    form: str
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, batch_last: bool = False) -> Array:
        x, kernel, bias = _with_parameters(self, x, batch_last)
        if batch_last:
            return (
                conv_batch_last.conv_transpose(x, kernel, self.stride, self.out_size)
                + bias
            )
        y = conv_transpose2d(x, kernel, self.stride, self.out_size, self.form)
        return y + bias


def _with_parameters(layer: nn.Module, x: Array, batch_last: bool):
    """x, the kernel and the bias as it is added to x's layout, in the layer's type."""
    inputs = x.shape[0] if batch_last else x.shape[-1]
    shape = (layer.kernel_size, layer.kernel_size, inputs, layer.features)
    kernel = layer.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,))
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=layer.dtype)
    return (
        x,
        kernel,
        bias[:, None, None, None] if batch_last else bias[None, None, None],
    )
