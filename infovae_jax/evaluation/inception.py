"""Inception features from a file on disk, whose origin is checked before use.

`launch/convert_inception.py` makes the file from the published weights. Nothing is
downloaded here and no pickle is opened.
"""

import functools
import hashlib
import os

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.data import batches, cache, numpy_files
from infovae_jax.errors import CheckpointError, ConfigError, DataError
from infovae_jax.evaluation.generation import Features
from infovae_jax.networks import inception

SOURCE_KEY = "source_sha256"
BATCH_SIZE = 32
KEY = "config.evaluation.inception"


def load(path: str, sha256: str | None = None) -> Features:
    """The 2,048 pooled features of InceptionV3, for images `[n, H, W, C]` in [0, 1].

    Args:
      path: a `.npz` that `launch/convert_inception.py` wrote.
      sha256: what that file's SHA-256 has to be; without it the file has to say that
        it was made from the published weights.

    Raises:
      ConfigError: there is no such file.
      CheckpointError: another hash or origin, a damaged file, or an array that is
        missing or of another shape or type, or not finite.
    """
    digest, source, params = read(path, sha256)
    params = {name: jnp.asarray(array) for name, array in params.items()}

    @jax.jit
    def extract(params, x):
        return inception.pool_features(params, inception.preprocess(x))

    def function(images: np.ndarray) -> np.ndarray:
        images = np.asarray(images, np.float32)
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            raise DataError(
                f"images of shape {images.shape}",
                "Inception features",
                "give [n, H, W, C] with 1 or 3 channels",
            )
        return batches.map_batches(
            functools.partial(extract, params), images, BATCH_SIZE
        )

    recipe = (
        f"InceptionV3 pool features, bilinear to 299x299, weights {source[:8]}, file "
        f"{digest[:8]}"
    )
    return Features("inception", function, recipe)


def read(path: str, sha256: str | None = None) -> tuple[str, str, dict]:
    """The file's SHA-256, that of its source, and the checked arrays; see `load`."""
    file, where = cache.expanded(path), f"{KEY}, file {path}"
    if not os.path.isfile(file):  # of a name that is too long it says no
        raise ConfigError(
            f"no file '{path}'", KEY, "make it by launch/convert_inception.py"
        )
    with open(file, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    if sha256 is not None and digest != sha256.lower():
        raise CheckpointError(
            f"SHA-256 {digest}, not {sha256}",
            where,
            "give the file that evaluation.inception_sha256 names",
        )
    shapes = inception.parameter_shapes()
    try:
        arrays = numpy_files.read_archive(
            file, lambda names: [k for k in (*shapes, SOURCE_KEY) if k in names]
        )
    except DataError as error:
        raise CheckpointError(error.what, error.where, error.fix) from error
    source = str(arrays.pop(SOURCE_KEY, "unknown"))
    if sha256 is None and source != inception.SOURCE_SHA256:
        raise CheckpointError(
            f"made from weights of SHA-256 {source}, not {inception.SOURCE_SHA256}",
            where,
            "convert the published weights by launch/convert_inception.py, or pin "
            "this file by evaluation.inception_sha256",
        )
    check(arrays, where)
    return digest, source, arrays


def check(params: dict[str, np.ndarray], where: str) -> None:
    """Raises CheckpointError at the first array that does not fit the network."""
    fix = "convert the published weights again by launch/convert_inception.py"
    for name, shape in inception.parameter_shapes().items():
        if name not in params:
            raise CheckpointError(f"no array '{name}'", where, fix)
        array = params[name]
        if array.shape != shape or array.dtype != np.float32:
            what = f"'{name}' is {array.dtype} {array.shape}, not float32 {shape}"
            raise CheckpointError(what, where, fix)
        if not np.isfinite(array).all():
            raise CheckpointError(f"'{name}' holds NaN or infinity", where, fix)
