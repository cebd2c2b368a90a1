"""InceptionV3 as the Frechet Inception distance uses it, for inference only.

The network of Szegedy et al. 2015 (arXiv 1512.00567) with the weights that Heusel et
al. 2017 (arXiv 1706.08500) used, in the form that Seitzer's `pytorch-fid` distributes
them (https://github.com/mseitzer/pytorch-fid): 1,008 logits, average pools that leave
padding out of the mean, and a max pool instead in the very last block. Parameters are
a flat dict of arrays named and laid out as in that file: `<layer>.conv.weight`
[O, I, h, w], `<layer>.bn.{weight, bias, running_mean, running_var}` [O], and `fc`.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from infovae_jax.types import Array

# Of pt_inception-2015-12-05-6726825d.pth; its first digits are in the name.
SOURCE_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
NUM_FEATURES, NUM_LOGITS, SIZE = 2048, 1008, 299
BN_EPSILON = 1e-3
BN_PARTS = ("weight", "bias", "running_mean", "running_var")


class Layer(NamedTuple):
    """A convolution without bias, batch normalisation, ReLU.

    Attributes:
      inputs: channels.
      outputs: channels.
      kernel: height and width.
      stride: of both axes.
      padded: by half the kernel's size; else no position beyond the edge is seen.
    """

    inputs: int
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True


STEM = {
    "Conv2d_1a_3x3": Layer(3, 32, (3, 3), 2, False),
    "Conv2d_2a_3x3": Layer(32, 32, (3, 3), 1, False),
    "Conv2d_2b_3x3": Layer(32, 64, (3, 3)),
    "Conv2d_3b_1x1": Layer(64, 80),
    "Conv2d_4a_3x3": Layer(80, 192, (3, 3), 1, False),
}


def _block_a(inputs: int, pool: int) -> dict[str, Layer]:
    return {
        "branch1x1": Layer(inputs, 64),
        "branch5x5_1": Layer(inputs, 48),
        "branch5x5_2": Layer(48, 64, (5, 5)),
        "branch3x3dbl_1": Layer(inputs, 64),
        "branch3x3dbl_2": Layer(64, 96, (3, 3)),
        "branch3x3dbl_3": Layer(96, 96, (3, 3)),
        "branch_pool": Layer(inputs, pool),
    }


def _block_b(inputs: int) -> dict[str, Layer]:
    return {
        "branch3x3": Layer(inputs, 384, (3, 3), 2, False),
        "branch3x3dbl_1": Layer(inputs, 64),
        "branch3x3dbl_2": Layer(64, 96, (3, 3)),
        "branch3x3dbl_3": Layer(96, 96, (3, 3), 2, False),
    }


def _block_c(inputs: int, inner: int) -> dict[str, Layer]:
    wide, tall = (1, 7), (7, 1)
    return {
        "branch1x1": Layer(inputs, 192),
        "branch7x7_1": Layer(inputs, inner),
        "branch7x7_2": Layer(inner, inner, wide),
        "branch7x7_3": Layer(inner, 192, tall),
        "branch7x7dbl_1": Layer(inputs, inner),
        "branch7x7dbl_2": Layer(inner, inner, tall),
        "branch7x7dbl_3": Layer(inner, inner, wide),
        "branch7x7dbl_4": Layer(inner, inner, tall),
        "branch7x7dbl_5": Layer(inner, 192, wide),
        "branch_pool": Layer(inputs, 192),
    }


def _block_d(inputs: int) -> dict[str, Layer]:
    return {
        "branch3x3_1": Layer(inputs, 192),
        "branch3x3_2": Layer(192, 320, (3, 3), 2, False),
        "branch7x7x3_1": Layer(inputs, 192),
        "branch7x7x3_2": Layer(192, 192, (1, 7)),
        "branch7x7x3_3": Layer(192, 192, (7, 1)),
        "branch7x7x3_4": Layer(192, 192, (3, 3), 2, False),
    }


def _block_e(inputs: int) -> dict[str, Layer]:
    return {
        "branch1x1": Layer(inputs, 320),
        "branch3x3_1": Layer(inputs, 384),
        "branch3x3_2a": Layer(384, 384, (1, 3)),
        "branch3x3_2b": Layer(384, 384, (3, 1)),
        "branch3x3dbl_1": Layer(inputs, 448),
        "branch3x3dbl_2": Layer(448, 384, (3, 3)),
        "branch3x3dbl_3a": Layer(384, 384, (1, 3)),
        "branch3x3dbl_3b": Layer(384, 384, (3, 1)),
        "branch_pool": Layer(inputs, 192),
    }


BLOCKS = {
    "Mixed_5b": _block_a(192, 32),
    "Mixed_5c": _block_a(256, 64),
    "Mixed_5d": _block_a(288, 64),
    "Mixed_6a": _block_b(288),
    "Mixed_6b": _block_c(768, 128),
    "Mixed_6c": _block_c(768, 160),
    "Mixed_6d": _block_c(768, 160),
    "Mixed_6e": _block_c(768, 192),
    "Mixed_7a": _block_d(768),
    "Mixed_7b": _block_e(1280),
    "Mixed_7c": _block_e(2048),
}
# The layers of each branch in order, by the last letter of its kind; a tuple in the
# end forks. `pool` runs on what the block's pool makes of the input.
BRANCHES = {
    "a": (
        ("branch1x1",),
        ("branch5x5_1", "branch5x5_2"),
        ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
    ),
    "b": (("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")),
    "c": (
        ("branch1x1",),
        ("branch7x7_1", "branch7x7_2", "branch7x7_3"),
        tuple(f"branch7x7dbl_{i}" for i in range(1, 6)),
    ),
    "d": (
        ("branch3x3_1", "branch3x3_2"),
        tuple(f"branch7x7x3_{i}" for i in range(1, 5)),
    ),
    "e": (
        ("branch1x1",),
        ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
        ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
    ),
}
KINDS = dict(zip(BLOCKS, "aaabccccdee", strict=True))
LAYERS = {
    **STEM,
    **{f"{b}.{name}": layer for b, of in BLOCKS.items() for name, layer in of.items()},
}


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape of every array of the parameters."""
    shapes = {}
    for name, layer in LAYERS.items():
        shapes[f"{name}.conv.weight"] = (layer.outputs, layer.inputs, *layer.kernel)
        shapes |= {f"{name}.bn.{part}": (layer.outputs,) for part in BN_PARTS}
    shapes["fc.weight"] = (NUM_LOGITS, NUM_FEATURES)
    shapes["fc.bias"] = (NUM_LOGITS,)
    return shapes


def preprocess(images: Array) -> Array:
    """What the network expects of images, `[n, 299, 299, 3]` in [-1, 1].

    Args:
      images: `[n, H, W, C]` in [0, 1], C 1 or 3; grey is repeated. The resize is
        bilinear between centres of pixels, and a larger image is not smoothed first
        (`align_corners=False` without antialiasing in other frameworks' words).
    """
    images = jnp.broadcast_to(images, (*images.shape[:3], 3))
    shape = (images.shape[0], SIZE, SIZE, 3)
    return 2.0 * jax.image.resize(images, shape, "linear", antialias=False) - 1.0


def convolve(params: dict[str, Array], name: str, x: Array) -> Array:
    """The layer `name` of LAYERS on `[n, H, W, I]`."""
    layer = LAYERS[name]
    padding = [
        (size // 2, size // 2) if layer.padded else (0, 0) for size in layer.kernel
    ]
    x = jax.lax.conv_general_dilated(
        x,
        params[f"{name}.conv.weight"],
        (layer.stride, layer.stride),
        padding,
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,  # distances compare across machines
    )
    weight, bias, mean, var = (params[f"{name}.bn.{p}"] for p in BN_PARTS)
    scale = weight / jnp.sqrt(var + BN_EPSILON)
    return nn.relu(
        (x - mean[None, None, None]) * scale[None, None, None] + bias[None, None, None]
    )


def _pool(x: Array, name: str) -> Array:
    """The pool of a block: halving in 6a and 7a, the maximum in 7c, else a mean."""
    if KINDS[name] in "bd":
        return nn.max_pool(x, (3, 3), (2, 2))
    edges = ((1, 1), (1, 1))
    if name == "Mixed_7c":
        return nn.max_pool(x, (3, 3), (1, 1), edges)
    return nn.avg_pool(x, (3, 3), (1, 1), edges, count_include_pad=False)


def apply_block(params: dict[str, Array], name: str, x: Array) -> Array:
    """The block `name` of BLOCKS: its branches side by side, the pooled one last."""
    parts = []
    for branch in BRANCHES[KINDS[name]]:
        y = x
        for step in branch:
            if isinstance(step, tuple):
                parts += [convolve(params, f"{name}.{fork}", y) for fork in step]
                y = None
            else:
                y = convolve(params, f"{name}.{step}", y)
        if y is not None:
            parts.append(y)
    pooled = _pool(x, name)
    if "branch_pool" in BLOCKS[name]:
        pooled = convolve(params, f"{name}.branch_pool", pooled)
    return jnp.concatenate([*parts, pooled], axis=-1)


def apply_stem(params: dict[str, Array], x: Array) -> Array:
    """All before the first block, `[n, H, W, 3]` to `[n, h, w, 192]`."""
    for name in STEM:
        x = convolve(params, name, x)
        if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
            x = nn.max_pool(x, (3, 3), (2, 2))
    return x


def pool_features(params: dict[str, Array], x: Array) -> Array:
    """Means over positions of the last block, `[n, 2048]`, of preprocessed images."""
    x = apply_stem(params, x)
    for name in BLOCKS:
        x = apply_block(params, name, x)
    return x.mean((1, 2))


def logits(params: dict[str, Array], features: Array) -> Array:
    """`[n, 1008]` from `pool_features`."""
    return features @ params["fc.weight"].T + params["fc.bias"][None]
