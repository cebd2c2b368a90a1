"""Networks of one's own: Flax linen or nnx modules, or pure functions.

An encoder maps rows to features `[B, F]`, a decoder codes `[B, d]` to as many numbers
as a row has. Rows are `[B, d]` where the data are, else images `[B, H, W, C]`. Both are
functions of parameters alone: modules with running statistics or dropout are refused.
A pair of them has a name, which stands in `config.network.kind`.
"""

import inspect
import math
import sys
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from infovae_jax.errors import ConfigError
from infovae_jax.types import Network, Params

_Pure = tuple[Callable[..., Params], Callable[..., Any]]
_known: dict[Any, str] = {}
_FIX = "give a linen or nnx module, or a pair of functions (init, apply)"


def kind_of(encoder: Any, decoder: Any, base: str, kinds: dict[str, Any]) -> str:
    """The name of a kind of network with these parts, entered in `kinds`.

    Args:
      encoder: a module, a pair `(init, apply)`, or None: that of `base`.
      decoder: likewise.
      base: the kind of the part that is None.
      kinds: `networks.KINDS`.
    """
    if encoder is None and decoder is None:
        return base
    parts = [_identity(part) for part in (encoder, decoder)]
    key = (*parts, base)
    if key not in _known:
        # The key may be an address: what lives there is held by the entry in `kinds`.
        name = f"own-{len(_known) + 1}"
        _known[key] = name
        make_encoder, make_decoder = kinds[base]
        if encoder is not None:
            make_encoder = _maker_of_encoders(encoder)
        if decoder is not None:
            make_decoder = _maker_of_decoders(decoder)
        kinds[name] = (make_encoder, make_decoder)
    return _known[key]


def describe(module: Any) -> str:
    """What it is, in words for a record."""
    if isinstance(module, tuple):
        return "functions"
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _identity(part: Any) -> Any:
    try:
        hash(part)
    except TypeError:
        return id(part)
    return part


def _maker_of_encoders(encoder: Any) -> Callable:
    def make(config, shape, precision):
        del config, precision
        rows = _row_shape(shape)
        init, apply = _pure(encoder, jnp.zeros((1, *rows)), "encoder")
        size = math.prod(_output_shape(init, apply, (1, *rows), "encoder")[1:])

        def run(params, x):
            leading = x.shape[:-3]
            outputs = apply(params, x.reshape(-1, *rows))
            return outputs.astype(jnp.float32).reshape(*leading, size)

        return _network(init, run), size

    return make


def _maker_of_decoders(decoder: Any) -> Callable:
    def make(config, shape, latent_dim, precision):
        del config, precision
        init, apply = _pure(decoder, jnp.zeros((1, latent_dim)), "decoder")
        found = _output_shape(init, apply, (1, latent_dim), "decoder")
        if math.prod(found[1:]) != math.prod(shape):
            raise ConfigError(
                f"it makes {found[1:]} of a code, and a row is {_row_shape(shape)}",
                "decoder",
                "give one that makes as many numbers",
            )

        def run(params, z):
            outputs = apply(params, z.reshape(-1, latent_dim))
            return outputs.astype(jnp.float32).reshape(*z.shape[:-1], *shape)

        return _network(init, run)

    return make


def _row_shape(shape: tuple[int, int, int]) -> tuple[int, ...]:
    return shape[1:2] if shape[0] == shape[2] == 1 else tuple(shape)


def _network(init: Callable, apply: Callable) -> Network:
    return Network(init, apply, lambda *arguments: (apply(*arguments), {}))


def _output_shape(init, apply, shape, what: str) -> tuple[int, ...]:
    try:
        params = jax.eval_shape(init, jax.random.key(0))
        outputs = jax.eval_shape(
            apply, params, jax.ShapeDtypeStruct(shape, jnp.float32)
        )
    except ConfigError:
        raise
    except Exception as error:  # whatever somebody's code raises
        text = str(error).splitlines()[0][:200] if str(error) else ""
        raise ConfigError(
            f"it fails for an input of shape {shape} ({type(error).__name__}: {text})",
            what,
            "see docs/estimators.md for the shapes",
        ) from error
    if not isinstance(outputs, jax.ShapeDtypeStruct) or outputs.shape[:1] != (1,):
        raise ConfigError(
            f"it does not map [B, ...] to one array [B, ...], but to {outputs}",
            what,
            "see docs/estimators.md for the shapes",
        )
    return outputs.shape


def _pure(module: Any, example: Any, what: str) -> _Pure:
    """`init(key) -> params`, a flat or nested dict, and `apply(params, x)`."""
    if isinstance(module, nn.Module):
        return _linen(module, example, what)
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(module, nnx.Module):
        return _nnx(module, nnx, what)
    pair = tuple(module[:2]) if isinstance(module, tuple) else ()
    if len(pair) != 2 or not all(map(callable, pair)):
        raise ConfigError(f"it is a {type(module).__name__}", what, _FIX)
    init, apply = pair
    count = len(inspect.signature(init).parameters)
    return _as_dict((lambda key: init(key, example)) if count > 1 else init, apply)


def _linen(module: nn.Module, example: Any, what: str) -> _Pure:
    def init(key):
        variables = module.init(key, example)
        others = sorted(set(variables) - {"params"})
        if others:
            raise _stateful(others, what)
        return variables.get("params", {})

    return init, lambda params, x: module.apply({"params": params}, x)


def _nnx(module: Any, nnx: Any, what: str) -> _Pure:
    """Its parameters start as they are, whatever the key."""
    graph, params, rest = nnx.split(module, nnx.Param, ...)
    others = sorted({type(v).__name__ for _, v in nnx.to_flat_state(rest)})
    if others:
        raise _stateful(others, what)

    def apply(params, x):
        return nnx.merge(graph, params)(x)

    return _as_dict(lambda key: params, apply)


def _stateful(others: list[str], what: str) -> ConfigError:
    return ConfigError(
        f"it keeps {', '.join(others)} beside its parameters",
        what,
        "give one without batch normalisation, dropout and other state",
    )


def _as_dict(init: Callable, apply: Callable) -> _Pure:
    """Parameters of any structure as a flat dict of arrays, by their paths."""
    structure = jax.tree.structure(jax.eval_shape(init, jax.random.key(0)))

    def flat_init(key):
        leaves = jax.tree_util.tree_leaves_with_path(init(key))
        return {
            jax.tree_util.keystr(path, simple=True, separator="."): jnp.asarray(leaf)
            for path, leaf in leaves
        }

    names = list(jax.eval_shape(flat_init, jax.random.key(0)))

    def flat_apply(params, x):
        return apply(jax.tree.unflatten(structure, [params[k] for k in names]), x)

    return flat_init, flat_apply
