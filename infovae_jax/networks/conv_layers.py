"""Convolutions with their parameters, in either layout of a batch."""

from typing import Any

import flax.linen as nn
from flax.linen.dtypes import promote_dtype

from infovae_jax.networks import planes
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
    def __call__(self, x: Array, as_planes: bool = False) -> Array:
        inputs = x.shape[0] if as_planes else x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, inputs, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        if as_planes:
            return planes.conv(x, kernel, self.stride) + bias[:, None, None, None]
        return conv2d(x, kernel, self.stride, self.form) + bias[None, None, None]


class ConvTranspose(nn.Module):
    """A transposed convolution and a bias, in the layouts of `Conv`."""

    features: int
    kernel_size: int
    stride: int
    out_size: tuple[int, int]
    form: str
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array, as_planes: bool = False) -> Array:
        inputs = x.shape[0] if as_planes else x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, inputs, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        if as_planes:
            y = planes.conv_transpose(x, kernel, self.stride, self.out_size)
            return y + bias[:, None, None, None]
        y = conv_transpose2d(x, kernel, self.stride, self.out_size, self.form)
        return y + bias[None, None, None]
