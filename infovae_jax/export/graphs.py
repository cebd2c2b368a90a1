"""What a function computes as a list of steps, read off its jaxpr.

A graph is plain JSON. It needs no code of the model's to be run again, neither ours
nor that of a module somebody handed in: `numpy_runtime` runs it, `onnx_files` writes it
out.
"""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from infovae_jax.export.numpy_runtime import OPS

_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_SIZE = re.compile(r"(?:(\d+)\*)?b|b\*(\d+)")
# Of parameters alone these are left as steps: what they would give is as large again.
_RESHAPING = ("reshape", "broadcast_in_dim", "transpose", "rev", "squeeze", "slice")
# Numbers of rows that no size of a network is a multiple of.
_PRIMES = (7919, 7907)
_SAME = ("copy", "copy_p", "optimization_barrier", "stop_gradient", "reduce_precision")


class Inexpressible(Exception):
    """The function has a step that a graph cannot hold."""


def trace(
    function: Callable,
    params: dict[str, np.ndarray],
    inputs: dict[str, tuple[int, ...]],
    name: str,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The graph of `function(params, *inputs) -> dict of arrays`.

    Args:
      function: pure; of any number of rows.
      params: arrays by name, flat.
      inputs: name -> shape of one row, all float32.
      name: of the graph, by which its constants are called.

    Returns:
      The graph (see `numpy_runtime.run`), and arrays that are no parameters, by name.

    Raises:
      Inexpressible: a step that `numpy_runtime` does not know.
    """
    (rows,) = jax_export.symbolic_shape("b")
    try:
        return _traced(function, params, inputs, name, rows)
    except Exception as error:
        # Of code that asks how many rows there are; and of some indices JAX makes a
        # simple step only where it knows the number.
        text = (str(error).splitlines() or [""])[0][:200]
        what = f"it depends on the number of rows ({type(error).__name__}: {text})"
        try:
            found = [_traced(function, params, inputs, name, n) for n in _PRIMES]
        except Inexpressible:
            raise
        except Exception:
            found = []
        if not found or found[0][0] != found[1][0]:
            raise Inexpressible(what) from error
        return found[0]


def _traced(function, params, inputs, name, rows):
    """See `trace`; `rows` is their number, a symbol or one of _PRIMES."""
    specs = [
        jax.ShapeDtypeStruct((rows, *shape), jnp.float32) for shape in inputs.values()
    ]
    shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in params.items()}
    closed, made = jax.make_jaxpr(function, return_shape=True)(shapes, *specs)
    tracer = _Tracer(name, params, rows)
    jaxpr = closed.jaxpr
    operands = [*sorted(shapes), *inputs]
    tracer.names |= zip(jaxpr.invars, operands, strict=True)
    tracer.names |= {
        var: tracer.constant(np.asarray(value))
        for var, value in zip(jaxpr.constvars, closed.consts, strict=True)
    }
    tracer.walk(jaxpr)
    outputs = dict(zip(sorted(made), map(tracer.operand, jaxpr.outvars), strict=True))
    graph = {
        "inputs": {k: ["b", *shape] for k, shape in inputs.items()},
        "nodes": _needed(tracer.nodes, outputs),
        "outputs": outputs,
    }
    used = {operand for node in graph["nodes"] for operand in node["in"]}
    used |= set(outputs.values())
    return graph, {k: v for k, v in tracer.constants.items() if k in used}


class _Tracer:
    """The nodes so far; equal ones are one."""

    def __init__(self, name: str, params: dict[str, np.ndarray], rows: Any):
        self.nodes: list[dict] = []
        self.names: dict[Any, Any] = {}
        self.constants: dict[str, np.ndarray] = {}
        self._name, self._params, self._rows = name, params, rows
        self._known: dict[str, list[str]] = {}
        # What steps of parameters alone give, though they stay steps.
        self._made: dict[str, np.ndarray] = {}

    def operand(self, atom: Any) -> Any:
        """What stands for a variable or a literal: a name or a number."""
        if not hasattr(atom, "val"):
            return self.names[atom]
        value = np.asarray(atom.val)
        if value.ndim or not np.isfinite(value):
            return self.constant(value)
        return value.item()

    def constant(self, value: np.ndarray) -> str:
        """The name of an array that is no parameter."""
        name = f"graphs/{self._name}/{len(self.constants)}"
        self.constants[name] = value
        return name

    def walk(self, jaxpr: Any) -> None:
        """Adds the steps of a jaxpr, those of functions that it calls in place."""
        for equation in jaxpr.eqns:
            found = (equation.params.get(key) for key in _CALLS)
            inner = next((jaxpr for jaxpr in found if jaxpr is not None), None)
            operands = [self.operand(atom) for atom in equation.invars]
            if inner is not None:
                consts = [np.asarray(c) for c in getattr(inner, "consts", ())]
                body = getattr(inner, "jaxpr", inner)
                self.names |= zip(
                    body.constvars, map(self.constant, consts), strict=True
                )
                self.names |= zip(body.invars, operands, strict=True)
                self.walk(body)
                made = [self.operand(atom) for atom in body.outvars]
            elif equation.primitive.name in _SAME:
                made = operands
            else:
                made = self._add(equation, operands)
            self.names |= zip(equation.outvars, made, strict=True)

    def _add(self, equation: Any, operands: list[Any]) -> list[Any]:
        name = equation.primitive.name
        values = [self._value(operand) for operand in operands]
        made = None
        if all(value is not None for value in values) and self._is_static(equation):
            made = equation.primitive.bind(*map(jnp.asarray, values), **equation.params)
            made = made if equation.primitive.multiple_results else [made]
            made = [np.asarray(value) for value in made]
            if name not in _RESHAPING:
                return [self.constant(value) for value in made]
        if operands and not any(isinstance(operand, str) for operand in operands):
            # Nothing else would say of which type the numbers are.
            pairs = zip(operands, equation.invars, strict=True)
            operands = [self.constant(np.asarray(o, v.aval.dtype)) for o, v in pairs]
        attributes = _with_rows(_attributes(equation), self._rows)
        key = f"{attributes} {operands}"
        if key not in self._known:
            count = sum(len(node["out"]) for node in self.nodes)
            out = [f"{count + i}" for i in range(len(equation.outvars))]
            self.nodes.append(attributes | {"in": operands, "out": out})
            self._known[key] = out
            if made is not None:
                self._made |= zip(out, made, strict=True)
        return self._known[key]

    def _is_static(self, equation: Any) -> bool:
        """Whether no size is a number of rows."""
        sizes = [size for var in equation.outvars for size in var.aval.shape]
        whole = all(isinstance(size, int) for size in sizes)
        primes = self._rows in _PRIMES
        return whole and not (primes and any(n and not n % self._rows for n in sizes))

    def _value(self, operand: Any) -> Any:
        if not isinstance(operand, str):
            return operand
        known = (self._params, self.constants, self._made)
        return next((held[operand] for held in known if operand in held), None)


def _needed(nodes: list[dict], outputs: dict[str, str]) -> list[dict]:
    """The nodes that the outputs depend on, in order."""
    wanted, kept = set(outputs.values()), []
    for node in reversed(nodes):
        if wanted & set(node["out"]):
            wanted |= {operand for operand in node["in"] if isinstance(operand, str)}
            kept.append(node)
    return kept[::-1]


def _with_rows(attributes: dict[str, Any], rows: Any) -> dict[str, Any]:
    """The sizes that are multiples of a prime number of rows in terms of 'b'."""
    if rows not in _PRIMES:
        return attributes

    def size(value):
        if not isinstance(value, int) or not value or value % rows:
            return value
        return "b" if value == rows else f"{value // rows}*b"

    shaped = {k: attributes[k] for k in ("shape", "start", "limit") if k in attributes}
    return attributes | {k: [size(v) for v in sizes] for k, sizes in shaped.items()}


def _sizes(shape: tuple) -> list[Any]:
    sizes = []
    for size in shape:
        found = _SIZE.fullmatch(str(size).replace(" ", ""))
        if found is not None:
            factor = found[1] or found[2]
            size = f"{factor}*b" if factor else "b"
        elif not isinstance(size, int):
            raise Inexpressible(f"an array of {size} rows")
        sizes.append(size)
    return sizes


def _attributes(equation: Any) -> dict[str, Any]:
    """A step without its operands."""
    name, p = equation.primitive.name, equation.params
    shape = equation.outvars[0].aval.shape
    maker = _MAKERS.get(name)
    if maker is not None:
        return maker(p, shape)
    if name not in OPS:
        raise Inexpressible(f"a step of the kind '{name}'")
    return {"op": name}


def _slice(p, shape):
    strides = p["strides"] or [1] * len(p["start_indices"])
    sizes = [_sizes(p[k]) for k in ("start_indices", "limit_indices")]
    return {"op": "slice", "start": sizes[0], "limit": sizes[1], "strides": [*strides]}


def _broadcast(p, shape):
    axes = [int(axis) for axis in p["broadcast_dimensions"]]
    return {"op": "broadcast_in_dim", "shape": _sizes(shape), "axes": axes}


def _split(p, shape):
    return {"op": "split", "sizes": [*map(int, p["sizes"])], "axis": int(p["axis"])}


def _dot(p, shape):
    contract, batch = p["dimension_numbers"]
    pairs = {"contract": contract, "batch": batch}
    return {"op": "dot_general"} | {
        key: [[int(axis) for axis in side] for side in pair]
        for key, pair in pairs.items()
    }


def _conv(p, shape):
    numbers = p["dimension_numbers"]
    usual = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # NHWC, HWIO, NHWC
    groups = p["feature_group_count"], p["batch_group_count"]
    specs = (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec)
    if specs != usual or groups != (1, 1) or set(p["rhs_dilation"]) != {1}:
        raise Inexpressible("a convolution in groups, dilated, or of another layout")
    return {
        "op": "conv_general_dilated",
        "strides": [*map(int, p["window_strides"])],
        "padding": [[int(a), int(b)] for a, b in p["padding"]],
        "dilation": [*map(int, p["lhs_dilation"])],
    }


def _gather(p, shape):
    numbers, sizes = p["dimension_numbers"], p["slice_sizes"]
    first = (0,)
    offsets = tuple(range(len(shape) - len(sizes) + 1, len(shape)))
    if (
        (numbers.collapsed_slice_dims, numbers.start_index_map) != (first, first)
        or (sizes[0], numbers.offset_dims) != (1, offsets)
        or numbers.operand_batching_dims
    ):
        raise Inexpressible("a choice of parts of an array that are no rows")
    return {"op": "gather"}


def _typed(name):
    key = {"argmax": "index_dtype", "argmin": "index_dtype"}.get(name, "new_dtype")

    def make(p, shape):
        axes = {"axes": [int(p["axes"][0])]} if "axes" in p else {}
        return {"op": name, "dtype": np.dtype(p[key]).name} | axes

    return make


def _with_axes(name, key="axes"):
    return lambda p, shape: {"op": name, "axes": [int(axis) for axis in p[key]]}


_MAKERS: dict[str, Callable[[Any, tuple], dict[str, Any]]] = {
    "integer_pow": lambda p, shape: {"op": "integer_pow", "y": int(p["y"])},
    "convert_element_type": _typed("convert_element_type"),
    "argmax": _typed("argmax"),
    "argmin": _typed("argmin"),
    "reshape": lambda p, shape: {"op": "reshape", "shape": _sizes(shape)},
    "squeeze": lambda p, shape: {"op": "reshape", "shape": _sizes(shape)},
    "expand_dims": lambda p, shape: {"op": "reshape", "shape": _sizes(shape)},
    "broadcast_in_dim": _broadcast,
    "transpose": _with_axes("transpose", "permutation"),
    "concatenate": lambda p, shape: {"op": "concatenate", "axis": int(p["dimension"])},
    "slice": _slice,
    "split": _split,
    "rev": _with_axes("rev", "dimensions"),
    "pad": lambda p, shape: {
        "op": "pad",
        "padding": [[int(n) for n in edge] for edge in p["padding_config"]],
    },
    "iota": lambda p, shape: {
        "op": "iota",
        "shape": _sizes(shape),
        "axis": int(p["dimension"]),
        "dtype": np.dtype(p["dtype"]).name,
    },
    "reduce_sum": _with_axes("reduce_sum"),
    "reduce_max": _with_axes("reduce_max"),
    "reduce_min": _with_axes("reduce_min"),
    "dot_general": _dot,
    "conv_general_dilated": _conv,
    "gather": _gather,
    "add_any": lambda p, shape: {"op": "add"},
}
