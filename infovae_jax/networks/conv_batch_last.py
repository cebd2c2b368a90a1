"""Convolutions of a batch on CPU, with the batch on the last axis.

Features are planes `[C, H, W, B]`. Shifts, strides and sums then move runs of B
neighbouring numbers whatever the number of channels, and the product with the table
of taps, `[O, taps] x [taps, h w B]`, needs none of its operands transposed. The
values are those of `conv.conv2d` and `conv.conv_transpose2d`, and so are kernels.

Patches are s * s blocks of m * m neighbours each, m = ceil(k / s), and m * m times as
large as what they are made of. The backward pass makes them again: that is cheaper
than to read them back from memory. A batch goes in parts, which are independent, so
that cores work side by side on less than a cache's size.
"""

import functools

import jax
import jax.numpy as jnp

from infovae_jax.networks.conv import blocked, resolve, zeros_before
from infovae_jax.types import Array

# Images whose numbers make a run that is worth while.
MIN_RUN = 16
# Parts of a batch, most first.
NUM_PARTS = (4, 2, 1)


def suits(form: str, x: Array) -> bool:
    """Whether images `[B, H, W, C]` go through as planes, in the network's `form`."""
    return resolve(form) == "dot" and len(x) >= MIN_RUN


def split(x: Array, whole: bool) -> list[Array]:
    """`[B, H, W, C]` -> the parts of the batch, `[C, H, W, B / n]` each.

    Part i has every n-th image from i on: of a batch that is shared out to devices,
    each then holds a share of every part.

    Args:
      x: images or features.
      whole: one part, as what looks at the whole batch needs.
    """
    counts = (1,) if whole else NUM_PARTS
    fits = (n for n in counts if len(x) % n == 0 and len(x) // n >= MIN_RUN)
    return _split(x, next(fits, 1))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _split(x: Array, count: int) -> list[Array]:
    return [x[number::count].transpose(3, 1, 2, 0) for number in range(count)]


# A reordering, whose transpose is its inverse; that of the slices would be a sum.
_split.defvjp(
    lambda x, count: (_split(x, count), None),
    lambda count, residuals, cotangents: (join(cotangents),),
)


def join(parts: list[Array]) -> Array:
    """The inverse of `split`."""
    images = [part.transpose(3, 1, 2, 0) for part in parts]
    if len(images) == 1:
        return images[0]
    return jnp.stack(images, 1).reshape(-1, *images[0].shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x: Array, kernel: Array, stride: int) -> Array:
    """`[I, H, W, B]` and `[k, k, I, O]` -> `[O, ceil(H / s), ceil(W / s), B]`."""
    patches = _patches(x, kernel.shape[0], stride)
    table = blocked(kernel, stride).reshape(-1, kernel.shape[-1])
    return _product(table.T, patches).reshape(-1, *patches.shape[-3:])


def _conv_forward(x, kernel, stride):
    return conv(x, kernel, stride), (x, kernel)


def _conv_backward(stride, residuals, cotangent):
    # Behind a barrier, or the patches of the forward pass are kept for here.
    (x, kernel), cotangent = jax.lax.optimization_barrier((residuals, cotangent))
    patches = _patches(x, kernel.shape[0], stride)
    table = blocked(kernel, stride)
    taps = _product_of_rows(patches, cotangent)
    spread = _product(table.reshape(-1, kernel.shape[-1]), cotangent)
    back = _overlap(spread.reshape(patches.shape), stride, kernel.shape[0], x.shape)
    return back, _unblocked(taps.reshape(table.shape), kernel.shape[0])


conv.defvjp(_conv_forward, _conv_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_transpose(
    x: Array, kernel: Array, stride: int, out_size: tuple[int, int]
) -> Array:
    """`[I, h, w, B]` and `[k, k, I, O]` -> `[O, *out_size, B]`: a transpose of `conv`.

    Args:
      x: h = ceil(H / s) and w = ceil(W / s).
      kernel: as of `conv.conv_transpose2d`.
      stride: of both axes.
      out_size: `(H, W)`.
    """
    table = blocked(kernel, stride)
    outputs, taps = kernel.shape[-1], table.shape[:4]
    table = jnp.moveaxis(table, 4, 5).reshape(-1, kernel.shape[2])
    spread = _product(table, x).reshape(*taps, outputs, *x.shape[1:])
    shape = (outputs, *out_size, x.shape[-1])
    return _overlap(spread, stride, kernel.shape[0], shape)


def _transpose_forward(x, kernel, stride, out_size):
    return conv_transpose(x, kernel, stride, out_size), (x, kernel)


def _transpose_backward(stride, out_size, residuals, cotangent):
    x, kernel = residuals
    patches = _patches(cotangent, kernel.shape[0], stride)
    table = blocked(kernel, stride)
    inputs = jnp.moveaxis(table, 4, 0).reshape(kernel.shape[2], -1)
    back = _product(inputs, patches).reshape(x.shape)
    rows = _product_of_rows(patches, x).reshape(*table.shape[:4], -1, kernel.shape[2])
    return back, _unblocked(jnp.moveaxis(rows, 5, 4), kernel.shape[0])


conv_transpose.defvjp(_transpose_forward, _transpose_backward)


def _product(table: Array, planes: Array) -> Array:
    """`table` `[M, N]` times planes that are N rows, `[M, *]` of as many columns.

    The table is written out as it stands: a transpose that XLA took into the product
    would keep it from the faster of its two matrix products.
    """
    return jax.lax.optimization_barrier(table) @ planes.reshape(table.shape[1], -1)


def _product_of_rows(patches: Array, planes: Array) -> Array:
    """Sums over positions and images, `[taps, C]`."""
    rows = planes.reshape(planes.shape[0], -1)
    return patches.reshape(-1, rows.shape[1]) @ rows.T


def _blocks(size: int, kernel: int, stride: int) -> tuple[int, int, int]:
    """Of one axis: positions, zeros in front, blocks of `stride` that are touched."""
    out = -(-size // stride)
    return out, zeros_before(size, out, kernel, stride), out - 1 + -(-kernel // stride)


def _patches(x: Array, kernel: int, stride: int) -> Array:
    """`[I, H, W, B]` -> `[m, m, s, s, I, h, w, B]`, what each position sees."""
    inputs, height, width, batch = x.shape
    (rows, top, row_blocks), (columns, left, column_blocks) = (
        _blocks(size, kernel, stride) for size in (height, width)
    )
    below, right = (
        blocks * stride - size - before
        for blocks, size, before in (
            (row_blocks, height, top),
            (column_blocks, width, left),
        )
    )
    x = jnp.pad(x, ((0, 0), (top, below), (left, right), (0, 0)))
    x = x.reshape(inputs, row_blocks, stride, column_blocks, stride, batch)
    # Behind a barrier, so that the windows below are copies, made in one loop.
    x = jax.lax.optimization_barrier(x.transpose(2, 4, 0, 1, 3, 5))
    near = range(-(-kernel // stride))
    windows = [x[:, :, :, i : i + rows, j : j + columns] for i in near for j in near]
    return jnp.stack(windows).reshape(len(near), len(near), *windows[0].shape)


def _overlap(spread: Array, stride: int, kernel: int, shape: tuple) -> Array:
    """The transpose of `_patches`: sums to `[I, H, W, B]`, which is `shape`."""
    inputs, height, width, batch = shape
    _, top, row_blocks = _blocks(height, kernel, stride)
    _, left, column_blocks = _blocks(width, kernel, stride)
    near = spread.shape[0]

    def phase(a, b):
        total = 0.0
        for i in range(near):
            for j in range(near):
                edges = ((0, 0), (i, near - 1 - i), (j, near - 1 - j), (0, 0))
                total += jnp.pad(spread[i, j, a, b], edges)
        return total

    rows = [jnp.stack([phase(a, b) for b in range(stride)], 3) for a in range(stride)]
    full = jnp.stack(rows, 2)
    full = full.reshape(inputs, row_blocks * stride, column_blocks * stride, batch)
    return full[:, top : top + height, left : left + width]


def _unblocked(table: Array, size: int) -> Array:
    """The inverse of `conv.blocked`."""
    blocks, _, stride, _, inputs, outputs = table.shape
    taps = blocks * stride
    kernel = table.transpose(0, 2, 1, 3, 4, 5).reshape(taps, taps, inputs, outputs)
    return kernel[:size, :size]
