"""Convolutions in two forms of equal value: dots for CPU, lax.conv for accelerators.

XLA's CPU convolution is slow, and inside `lax.scan` slower still by an order of
magnitude; the same sums written as space-to-depth, a few shifts and ONE matrix
product run at the speed of a matrix product. Parameters have the same shapes in
both forms, so a checkpoint moves between machines.

On CPU a batch that the network sees as one goes through `planes` instead; the dot
form here is for the few images, or the single one under a vmap, that are left.

Padding is SAME: `out = ceil(in / stride)`, with `total = max((out - 1) * stride +
kernel - in, 0)` zeros, `total // 2` of them in front.
"""

import jax
import jax.numpy as jnp

from infovae_jax.errors import ConfigError
from infovae_jax.networks.layers import choose
from infovae_jax.types import Array

FORMS = ("auto", "dot", "lax")


def halved_sizes(size: tuple[int, int], num_layers: int) -> list[tuple[int, int]]:
    """`(H, W)` before the first and after each of the stride-2 layers."""
    sizes = [tuple(size)]
    for _ in range(num_layers):
        sizes.append(tuple(-(-length // 2) for length in sizes[-1]))
    return sizes


def check_sizes(shape: tuple[int, int, int], num_layers: int) -> None:
    """Raises ConfigError if a stride-2 layer would see a single position."""
    for number, size in enumerate(halved_sizes(shape[:2], num_layers)[:-1]):
        if size == (1, 1):
            raise ConfigError(
                f"images of {shape[0]}x{shape[1]} do not fit {num_layers} stride-2 "
                "convolutions",
                "config.network.conv_channels",
                f"give at most {number} layers, or network.kind='mlp'",
            )


def conv2d(x: Array, kernel: Array, stride: int, form: str = "auto") -> Array:
    """SAME convolution (correlation) of `x` with `kernel`.

    Args:
      x: `[B, H, W, I]`.
      kernel: `[k, k, I, O]`.
      stride: of both axes.
      form: 'dot', 'lax', or 'auto' by the backend.

    Returns:
      `[B, ceil(H / stride), ceil(W / stride), O]`.
    """
    sizes = [-(-length // stride) for length in x.shape[1:3]]
    fronts = [
        zeros_before(n, m, kernel.shape[0], stride)
        for n, m in zip(x.shape[1:3], sizes, strict=True)
    ]
    if resolve(form) == "lax":
        padding = [
            (front, (out - 1) * stride + kernel.shape[0] - length - front)
            for front, out, length in zip(fronts, sizes, x.shape[1:3], strict=True)
        ]
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            padding,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    blocks = -(-kernel.shape[0] // stride)
    patches = _patches(x, fronts, sizes, blocks, stride)
    table = blocked(kernel, stride)
    return _tall_matmul(patches, table.reshape(-1, kernel.shape[-1]))


def conv_transpose2d(
    x: Array, kernel: Array, stride: int, out_size: tuple[int, int], form: str = "auto"
) -> Array:
    """The transpose of `conv2d` as a linear map, from `[B, h, w, I]` to out_size.

    Args:
      x: `[B, h, w, I]` with h = ceil(H / stride), w = ceil(W / stride).
      kernel: `[k, k, I, O]`.
      stride: of both axes.
      out_size: `(H, W)`.
      form: 'dot', 'lax', or 'auto' by the backend.

    Returns:
      `[B, H, W, O]`.
    """
    size, (height, width) = kernel.shape[0], out_size
    fronts = [
        zeros_before(out, length, size, stride)
        for out, length in zip(out_size, x.shape[1:3], strict=True)
    ]
    if resolve(form) == "lax":
        padding = []
        for front, out, length in zip(fronts, out_size, x.shape[1:3], strict=True):
            low = size - 1 - front
            padding.append((low, out - (length - 1) * stride + size - 2 - low))
        return jax.lax.conv_general_dilated(
            x,
            kernel[::-1, ::-1],
            (1, 1),
            padding,
            lhs_dilation=(stride, stride),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    blocks, outputs = -(-size // stride), kernel.shape[-1]
    # Both do the same sums. The first copies inputs before the product, the second
    # adds up outputs after it; the fewer channels are moved the better.
    if x.shape[-1] <= stride * stride * outputs:
        full = _gather_then_dot(x, kernel, blocks, stride)
    else:
        full = _dot_then_overlap(x, kernel, blocks, stride)
    batch, rows, columns = full.shape[:3]
    full = full.reshape(batch, rows, columns, stride, stride, outputs)
    full = full.transpose(0, 1, 3, 2, 4, 5)  # depth to space
    full = full.reshape(batch, rows * stride, columns * stride, outputs)
    return full[:, fronts[0] : fronts[0] + height, fronts[1] : fronts[1] + width]


def resolve(form: str) -> str:
    """'dot' or 'lax': the form itself, or the backend's where it is 'auto'."""
    choose(FORMS, form, "conv_form")
    if form != "auto":
        return form
    return "dot" if jax.default_backend() == "cpu" else "lax"


def zeros_before(length: int, out: int, kernel: int, stride: int) -> int:
    """Zeros before the first pixel of an axis of `length`."""
    return max((out - 1) * stride + kernel - length, 0) // 2


def blocked(kernel: Array, stride: int) -> Array:
    """`[k, k, I, O]` -> `[m, m, s, s, I, O]`, zero-padded to m * s taps an axis."""
    blocks = -(-kernel.shape[0] // stride)
    missing = blocks * stride - kernel.shape[0]
    kernel = jnp.pad(kernel, ((0, missing), (0, missing), (0, 0), (0, 0)))
    split = kernel.reshape(blocks, stride, blocks, stride, *kernel.shape[2:])
    return split.transpose(0, 2, 1, 3, 4, 5)


def _gather_then_dot(x: Array, kernel: Array, blocks: int, stride: int) -> Array:
    """Blocks of the transposed convolution, `[B, h + m - 1, w + m - 1, s * s * O]`.

    Block (p, q) is the sum over i, j of x[p - i, q - j] times tap block (i, j): a
    plain correlation with the tap blocks reversed, hence one product.
    """
    outputs = kernel.shape[-1]
    table = blocked(kernel, stride)[::-1, ::-1].transpose(0, 1, 4, 2, 3, 5)
    edge = (blocks - 1, blocks - 1)
    padded = jnp.pad(x, ((0, 0), edge, edge, (0, 0)))
    sizes = [length + blocks - 1 for length in x.shape[1:3]]
    patches = _shifts(padded, sizes, blocks)
    return _tall_matmul(patches, table.reshape(-1, stride * stride * outputs))


def _dot_then_overlap(x: Array, kernel: Array, blocks: int, stride: int) -> Array:
    """The same as `_gather_then_dot`: every x spreads to m * m blocks, then a sum."""
    table = jnp.moveaxis(blocked(kernel, stride), 4, 0)  # [I, m, m, s, s, O]
    spread = x @ table.reshape(x.shape[-1], -1)
    spread = spread.reshape(*x.shape[:3], blocks, blocks, -1)
    total = 0.0
    for i in range(blocks):
        for j in range(blocks):
            edges = ((0, 0), (i, blocks - 1 - i), (j, blocks - 1 - j), (0, 0))
            total += jnp.pad(spread[:, :, :, i, j], edges)
    return total


def _tall_matmul(patches: Array, table: Array) -> Array:
    """`patches @ table` for patches of many rows, whose product by rows is split.

    XLA's CPU matrix product hands out work by rows and columns of its RESULT. The
    gradient with respect to the table has few of either and a long sum, so half the
    sum each as a batch of two takes 0.6 of the time.
    """
    width, outputs = table.shape
    flat = patches.reshape(-1, width)
    product = _split_matmul if _is_tall(flat) else jnp.matmul
    return product(flat, table).reshape(*patches.shape[:-1], outputs)


def _is_tall(flat: Array) -> bool:
    rows, width = flat.shape
    return rows % 2 == 0 and rows >= 8 * width


@jax.custom_vjp
def _split_matmul(flat: Array, table: Array) -> Array:
    return flat @ table


def _split_matmul_forward(flat: Array, table: Array):
    return flat @ table, (flat, table)


def _split_matmul_backward(residuals, cotangent: Array):
    flat, table = residuals
    halves = flat.reshape(2, -1, flat.shape[-1])
    sums = jnp.einsum(
        "gnk,gno->gok", halves, cotangent.reshape(2, -1, cotangent.shape[-1])
    )
    return cotangent @ table.T, sums.sum(0).T


_split_matmul.defvjp(_split_matmul_forward, _split_matmul_backward)


def _shifts(x: Array, sizes: list[int], blocks: int) -> Array:
    """The m * m windows of `sizes` that x holds, side by side on the last axis."""
    windows = [
        x[:, i : i + sizes[0], j : j + sizes[1]]
        for i in range(blocks)
        for j in range(blocks)
    ]
    return jnp.concatenate(windows, axis=-1) if len(windows) > 1 else windows[0]


def _patches(
    x: Array, fronts: list[int], sizes: list[int], blocks: int, stride: int
) -> Array:
    """What each output position sees, `[B, out, out, m * m * s * s * I]`.

    Space-to-depth first: the copies are then of whole blocks of stride x stride, and
    only m * m of them instead of k * k.
    """
    lengths = [(out - 1 + blocks) * stride for out in sizes]
    edges = [
        (front, length - size - front)
        for front, length, size in zip(fronts, lengths, x.shape[1:3], strict=True)
    ]
    x = jnp.pad(x, ((0, 0), *edges, (0, 0)))
    rows, columns = (length // stride for length in lengths)
    x = x.reshape(x.shape[0], rows, stride, columns, stride, -1)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(x.shape[0], rows, columns, -1)
    return _shifts(x, sizes, blocks)
