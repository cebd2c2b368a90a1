"""What a trained model does with rows, as pure functions of its parameters.

`encode`, `decode` are those of the objective, for rows in the range of the likelihood.
Networks multiply in float32, and convolutions stand as such, whatever the config says
for training: a program is then one for any device and any number of rows.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from infovae_jax import objectives
from infovae_jax.data import batches
from infovae_jax.data.scaling import Scaling
from infovae_jax.export import files, graphs
from infovae_jax.types import Array, DataSpec, Objective, Params


class Functions(NamedTuple):
    """Functions of rows in the range of the likelihood.

    Attributes:
      encode: `encode(params, x [b, H, W, C]) -> {'mean', 'log_var'}`, `[b, d]`, and
        'logits' `[b, K]` where there are clusters or classes.
      decode: `decode(params, z [b, d]) -> {'x'}`, `[b, H, W, C]`.
      objective: from which they are.
      spec: of the data.
    """

    encode: Callable[..., dict[str, Array]]
    decode: Callable[..., dict[str, Array]]
    objective: Objective
    spec: DataSpec


def make(config: ConfigDict, spec: DataSpec) -> Functions:
    """The functions of the run with this config on data of this spec.

    Raises:
      ConfigError: the config makes no networks.
      ValueError: each encoding draws a binary picture anew.
    """
    if config.data.binarize == "stochastic":
        raise ValueError("the model sees a new binary draw of each row")
    objective = plain_objective(config, spec)

    def encode(params: Params, x: Array) -> dict[str, Array]:
        x = batches.prepare(x, None, config.data.binarize)
        q = objective.encode(params, x)
        found = {"mean": q.mean, "log_var": q.log_var}
        if objective.classify is not None:
            found["logits"] = objective.classify(params, x)
        return found

    def decode(params: Params, z: Array) -> dict[str, Array]:
        return {"x": objective.decode(params, z)}

    return Functions(encode, decode, objective, spec)


def plain_objective(config: ConfigDict, spec: DataSpec) -> Objective:
    """The run's objective, whose networks multiply in float32, convolutions as such.

    Raises:
      ConfigError: the config makes no networks.
    """
    config = config.copy_and_resolve_references()
    config.network.conv_form, config.train.precision = "lax", "float32"
    return objectives.make(config, spec)


def trace(
    function: Callable[..., dict[str, Array]],
    params: dict[str, np.ndarray],
    inputs: dict[str, tuple[int, ...]],
    name: str,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """`graphs.trace` of `function(params, *inputs)`, of parameters by their paths.

    Args:
      function: takes nested parameters.
      params: by path, under 'params/'.
      inputs: name -> shape of one row.
      name: of the graph.
    """

    def of_flat(flat, *rows):
        return function(files.unflatten(flat, "params"), *rows)

    return graphs.trace(of_flat, params, inputs, name)


class RowFunctions(NamedTuple):
    """Functions of rows as the data have them, `[b, *shape]` float32.

    Attributes:
      encode: `encode(params, x) -> codes [b, d]`.
      predict: `predict(params, x) -> probabilities [b, K]`, or None.
      decode: `decode(params, z [b, d]) -> x`.
      sample: `sample(params, seed, clusters [b]) -> x`, decoder means of prior draws:
        of those clusters where there are some, and of as many as there are entries;
        each depends on the seed and its place alone.
      shape: of a row.
    """

    encode: Callable[..., Array]
    predict: Callable[..., Array] | None
    decode: Callable[..., Array]
    sample: Callable[..., Array]
    shape: tuple[int, ...]


def of_rows(
    functions: Functions, scaling: Scaling, image_shape: tuple[int, ...] | None
) -> RowFunctions:
    """The functions with the scaling in them, in float32.

    Args:
      functions: from `make`.
      scaling: of the data.
      image_shape: of a row; None: it is flat.
    """
    objective, stored = functions.objective, functions.spec.shape
    shape = (math.prod(stored),) if image_shape is None else tuple(image_shape)
    shift, factor = ends(scaling)

    def encoded(params, x):
        x = (x.reshape(-1, *stored) - shift) / factor
        return functions.encode(params, x)

    def original(images):
        return (images * factor + shift).reshape(-1, *shape)

    def encode(params, x):
        return encoded(params, x)["mean"]

    def predict(params, x):
        return jax.nn.softmax(encoded(params, x)["logits"], -1)

    def decode(params, z):
        return original(functions.decode(params, z)["x"])

    def sample(params, seed, clusters):
        key, clustered = jax.random.key(seed), len(objective.prior.mean) > 1

        def draw(number, cluster):
            own = jax.random.fold_in(key, number)
            cluster = cluster if clustered else None
            return objective.sample(own, params, 1, cluster)[0]

        numbers = jnp.arange(clusters.shape[0], dtype=jnp.int32)
        return original(jax.vmap(draw)(numbers, clusters))

    classified = objective.classify is not None
    return RowFunctions(encode, predict if classified else None, decode, sample, shape)


def ends(scaling: Scaling) -> tuple[Any, Any]:
    """Shift and factor of `scaling` in float32, of bytes too, `[1, H, W, C]` or 1s."""
    if scaling.kind == "none":
        return jnp.float32(0), jnp.float32(255 if scaling.dtype == "uint8" else 1)
    return tuple(
        jnp.asarray(np.reshape(part, (1,) * (4 - np.ndim(part)) + np.shape(part)))
        for part in (np.float32(scaling.shift), np.float32(scaling.factor))
    )
