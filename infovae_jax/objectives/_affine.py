"""Classifications that small affine maps of the image do not alter.

    E KL(q(c | x) || q(c | T x)),  T a random rotation, shear, scale, shift and mirror

Without such a term two classes that differ less than one of them does by its slant (4
and 9 of handwriting) share two clusters, split by slant. The ranges are knowledge of
images, not of labels. Augmentation as invariance of a clusterer: Hu et al. 2017 (IMSAT,
arXiv 1702.08720), section 3.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infovae_jax.config.knobs import knob
from infovae_jax.objectives._terms import example_keys


@dataclasses.dataclass(frozen=True)
class Config:
    """Static switches of the term; every range is about no change, uniform."""

    affine: bool = knob(False, "whether the affine term is computed at all")
    affine_rotation: float = knob(15.0, "degrees, at most", at_least=0, at_most=180)
    affine_shear: float = knob(0.3, "pixels per pixel, at most", at_least=0, at_most=2)
    affine_scale: float = knob(0.1, "share of the size, at most", at_least=0, below=1)
    affine_shift: float = knob(2.0, "pixels, at most", at_least=0, at_most=1000)
    affine_mirror: bool = knob(False, "left to right, of one half")


def random_map(
    key: Array, options: Config
) -> tuple[Float[Array, "2 2"], Float[Array, " 2"]]:
    """A random matrix and shift, from pixels of the new image to those of the old."""
    keys = jax.random.split(key, 5)
    angle, shear, scale = (
        jax.random.uniform(k, (), minval=-most, maxval=most)
        for k, most in zip(
            keys,
            (
                jnp.pi / 180 * options.affine_rotation,
                options.affine_shear,
                options.affine_scale,
            ),
            strict=False,
        )
    )
    most = options.affine_shift
    shift = jax.random.uniform(keys[3], (2,), minval=-most, maxval=most)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    rotation = jnp.array([[cosine, -sine], [sine, cosine]])
    sheared = rotation @ jnp.array([[1.0, 0.0], [shear, 1.0]]) * (1.0 + scale)
    if options.affine_mirror:
        side = jnp.where(jax.random.bernoulli(keys[4]), -1.0, 1.0)
        sheared = sheared * jnp.array([[1.0], [side]])
    return sheared, shift


def warp(
    x: Float[Array, "H W C"], matrix: Float[Array, "2 2"], shift: Float[Array, " 2"]
) -> Float[Array, "H W C"]:
    """The image at matrix (p - centre) + centre + shift of each pixel p, bilinear.

    Coordinates are (row, column); outside the image is 0.
    """
    height, width = x.shape[:2]
    centre = jnp.array([(height - 1) / 2, (width - 1) / 2])
    rows, columns = jnp.arange(height) - centre[0], jnp.arange(width) - centre[1]
    pixels = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
    source = matrix @ pixels + (centre + shift)[:, None]
    low = jnp.floor(source)
    share = source - low
    # A frame of one pixel of 0, to which all that lies outside is clipped.
    framed = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    value = 0.0
    for down in (0, 1):
        for right in (0, 1):
            corner = low + jnp.array([[down], [right]])
            row = jnp.clip(corner[0], -1, height).astype(jnp.int32) + 1
            column = jnp.clip(corner[1], -1, width).astype(jnp.int32) + 1
            weight = jnp.abs(1 - down - share[0]) * jnp.abs(1 - right - share[1])
            value = value + weight[:, None] * framed[row, column]
    return value.reshape(x.shape)


def changed(
    classify, params, batch: Float[Array, "B H W C"], logits, key: Array, options
) -> Float[Array, "B H W C"]:
    """T x of each example, T its own random map.

    Args:
      classify, params, logits: not looked at.
      batch: examples.
      key: one PRNG key.
      options: the ranges, a `Config`.
    """
    keys = example_keys(key, batch)
    return jax.vmap(lambda x, k: warp(x, *random_map(k, options)))(batch, keys)
