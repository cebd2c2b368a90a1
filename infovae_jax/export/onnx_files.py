"""Graphs as ONNX, written with the `onnx` package and checked with onnxruntime."""

import importlib.util
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.export import numpy_runtime
from infovae_jax.export.graphs import Inexpressible

# Of 2022: any runtime of today reads it.
OPSET, IR_VERSION = 18, 8
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
_PLAIN = {
    **{"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow"},
    **{"max": "Max", "min": "Min", "eq": "Equal", "lt": "Less", "le": "LessOrEqual"},
    **{"gt": "Greater", "ge": "GreaterOrEqual", "and": "And", "or": "Or"},
    **{"not": "Not", "abs": "Abs", "neg": "Neg", "sign": "Sign", "floor": "Floor"},
    **{"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "sin": "Sin"},
    **{"cos": "Cos", "logistic": "Sigmoid", "erf": "Erf"},
}


def require() -> None:
    """Raises ConfigError where the package is absent."""
    if importlib.util.find_spec("onnx") is None:
        raise ConfigError(
            "ONNX files need the package onnx",
            "formats",
            "pip install 'infovae_jax[onnx]'",
        )


def write(path: pathlib.Path, graph: dict, arrays: dict[str, np.ndarray]) -> None:
    """One graph as a file whose inputs and outputs have any number of rows.

    Args:
      path: of the file.
      graph: see `graphs.trace`.
      arrays: parameters and constants by name.

    Raises:
      Inexpressible: a step that ONNX has no operator for.
    """
    import onnx

    model = _Writer(graph, arrays).model()
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def check(path: pathlib.Path, inputs: np.ndarray, expected: dict[str, Any]) -> bool:
    """Runs a file with onnxruntime, where that is installed.

    Returns:
      Whether it was run.

    Raises:
      CheckpointError: it gives other values than the model did.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return False
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    (argument,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    made = session.run(names, {argument.name: np.float32(inputs)})
    for name, value in zip(names, made, strict=True):
        if not np.allclose(value, expected[name], _RELATIVE, _ABSOLUTE):
            raise CheckpointError(
                f"onnxruntime gives other {name} than the model",
                str(path),
                "leave onnx out of the formats, and report it",
            )
    return True


class _Writer:
    """The operators so far."""

    def __init__(self, graph: dict, arrays: dict[str, np.ndarray]):
        self._graph, self._arrays = graph, arrays
        self._operators: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._values = _dry_run(graph, arrays)
        self._count, self._rows = 0, None

    def model(self) -> Any:
        """The whole."""
        from onnx import TensorProto, helper

        for node in self._graph["nodes"]:
            self._write_node(node)
        for name, value in self._graph["outputs"].items():
            self.add("Identity", [self.named(value)], name)
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in self._graph["inputs"].items()
        ]
        outputs = [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(self._values[value].dtype),
                ["b", *self._values[value].shape[1:]],
            )
            for name, value in self._graph["outputs"].items()
        ]
        graph = helper.make_graph(
            self._operators,
            "infovae_jax",
            inputs,
            outputs,
            list(self._constants.values()),
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="infovae_jax",
        )

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes) -> str:
        """One operator of one output; returns its name."""
        from onnx import helper

        if not output:
            self._count += 1
            output = f"t{self._count}"
        node = helper.make_node(kind, inputs, [output], **attributes)
        self._operators.append(node)
        return output

    def constant(self, value: Any, dtype: Any = np.int64, name: str = "") -> str:
        """An array of the file; returns its name."""
        from onnx import numpy_helper

        self._count += 1
        name = name or f"k{self._count}"
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def named(self, operand: Any, like: Any = None) -> str:
        """The name of an operand; a number is of the type of `like`."""
        if not isinstance(operand, str):
            return self.constant(np.asarray(operand), np.asarray(like).dtype)
        if operand in self._graph["inputs"] or operand not in self._arrays:
            return operand if operand in self._graph["inputs"] else f"v{operand}"
        name = operand.replace("/", ".")
        if name not in self._constants:
            value = np.asarray(self._arrays[operand])
            self.constant(value, value.dtype, name)
        return name

    def value(self, operand: Any) -> np.ndarray:
        """An operand's value in the dry run, of which shape and type matter."""
        return self._values[operand] if isinstance(operand, str) else operand

    def shape(self, sizes: list[Any]) -> str:
        """A shape of which one or more are numbers of rows."""
        if all(isinstance(size, int) for size in sizes):
            return self.constant(sizes)
        if self._rows is None:
            first = next(iter(self._graph["inputs"]))
            self._rows = self.add("Shape", [first], start=0, end=1)
        parts = []
        for size in sizes:
            if isinstance(size, int):
                parts.append(self.constant([size]))
            elif size == "b":
                parts.append(self._rows)
            else:
                factor = self.constant([int(size.split("*")[0])])
                parts.append(self.add("Mul", [self._rows, factor]))
        return self.add("Concat", parts, axis=0)

    def _write_node(self, node: dict) -> None:
        operands = node["in"]
        like = next(
            (self.value(o) for o in operands[::-1] if isinstance(o, str)), np.float32(0)
        )
        names = [self.named(operand, like) for operand in operands]
        kind, output = node["op"], f"v{node['out'][0]}"
        if kind in _PLAIN:
            self.add(_PLAIN[kind], names, output)
        elif kind == "split":
            self._split(node, names)
        elif kind in _WRITERS:
            _WRITERS[kind](self, node, names, output)
        else:
            raise Inexpressible(f"ONNX has no operator for '{kind}'")

    def _split(self, node: dict, names: list[str]) -> None:
        from onnx import helper

        outputs = [f"v{name}" for name in node["out"]]
        inputs = [*names, self.constant(node["sizes"])]
        self._operators.append(
            helper.make_node("Split", inputs, outputs, axis=node["axis"])
        )


def _dry_run(graph: dict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every value for rows of zeros, three of them: a dim of 1 is then no rows."""
    rows = 3
    values = dict(arrays)
    for name, shape in graph["inputs"].items():
        values[name] = np.zeros((rows, *shape[1:]), np.float32)
    with np.errstate(all="ignore"):
        for node in graph["nodes"]:
            operands = [values[o] if isinstance(o, str) else o for o in node["in"]]
            made = numpy_runtime.OPS[node["op"]](node, rows, *operands)
            made = made if isinstance(made, list) else [made]
            values |= zip(node["out"], map(np.asarray, made), strict=True)
    return values


def _cast(writer, node, names, output):
    from onnx import helper

    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(node["dtype"]))
    writer.add("Cast", names, output, to=dtype)


def _broadcast(writer, node, names, output):
    (operand,), target = node["in"], node["shape"]
    kept: list[Any] = [1] * len(target)
    for axis, size in zip(node["axes"], np.shape(writer.value(operand)), strict=True):
        kept[axis] = 1 if size == 1 else target[axis]
    shaped = writer.add("Reshape", [names[0], writer.shape(kept)])
    writer.add("Expand", [shaped, writer.shape(target)], output)


def _slice(writer, node, names, output):
    axes = writer.constant(list(range(len(node["start"]))))
    steps = writer.constant([int(step) for step in node["strides"]])
    first, last = writer.shape(node["start"]), writer.shape(node["limit"])
    writer.add("Slice", [names[0], first, last, axes, steps], output)


def _reverse(writer, name, axes, output=""):
    count = len(axes)
    ends = [-1] * count, [np.iinfo(np.int64).min] * count, axes, [-1] * count
    return writer.add("Slice", [name, *map(writer.constant, ends)], output)


def _pad(writer, node, names, output):
    if any(inner for _, _, inner in node["padding"]):
        raise Inexpressible("padding between numbers")
    edges = [edge[side] for side in (0, 1) for edge in node["padding"]]
    writer.add("Pad", [names[0], writer.constant(edges), names[1]], output)


def _iota(writer, node, names, output):
    size = node["shape"][node["axis"]]
    if not isinstance(size, int):
        raise Inexpressible("a count of the rows")
    kept = [1] * len(node["shape"])
    kept[node["axis"]] = size
    line = np.arange(size).reshape(kept)
    name = writer.constant(line, np.dtype(node["dtype"]))
    writer.add("Expand", [name, writer.shape(node["shape"])], output)


def _reduce(kind):
    def write(writer, node, names, output):
        axes = writer.constant(node["axes"])
        writer.add(kind, [names[0], axes], output, keepdims=0)

    return write


def _arg(kind):
    def write(writer, node, names, output):
        made = writer.add(kind, names, axis=node["axes"][0], keepdims=0)
        _cast(writer, node, [made], output)

    return write


def _dot(writer, node, names, output):
    x, y = (np.ndim(writer.value(operand)) for operand in node["in"])
    left, right = node["contract"]
    if (x, y, left, right) == (2, 2, [1], [0]):
        writer.add("MatMul", names, output)
    else:
        text = numpy_runtime.einsum_text(node, x, y)
        writer.add("Einsum", names, output, equation=text)


def _conv(writer, node, names, output):
    images = writer.add("Transpose", names[:1], perm=[0, 3, 1, 2])
    size = writer.value(node["in"][1]).shape[:2]
    low, high = zip(*node["padding"], strict=True)
    if node["dilation"] == [1, 1]:
        kernel = writer.add("Transpose", names[1:], perm=[3, 2, 0, 1])
        pads, strides = [*low, *high], node["strides"]
        made = writer.add("Conv", [images, kernel], pads=pads, strides=strides)
    else:
        if node["strides"] != [1, 1]:
            raise Inexpressible("a convolution with zeros between, and strides")
        flipped = _reverse(writer, names[1], [0, 1])
        kernel = writer.add("Transpose", [flipped], perm=[2, 3, 0, 1])
        first = [k - 1 - a for k, a in zip(size, low, strict=True)]
        last = [k - 1 - b for k, b in zip(size, high, strict=True)]
        made = writer.add(
            "ConvTranspose",
            [images, kernel],
            strides=node["dilation"],
            pads=[*first, *(max(n, 0) for n in last)],
            output_padding=[max(-n, 0) for n in last],
        )
    writer.add("Transpose", [made], output, perm=[0, 2, 3, 1])


def _gather(writer, node, names, output):
    last = writer.constant([-1])
    writer.add("Gather", [names[0], writer.add("Squeeze", [names[1], last])], output)


def _with_one(first, second, number):
    """`first(second(x, number))`, or where `first` is None, without it."""

    def write(writer, node, names, output):
        like = writer.value(node["in"][0])
        one = writer.constant(np.asarray(number), np.asarray(like).dtype)
        writer.add(first, [writer.add(second, [names[0], one])], output)

    return write


def _expm1(writer, node, names, output):
    one = writer.constant(np.asarray(1), np.float32)
    writer.add("Sub", [writer.add("Exp", names), one], output)


def _power(writer, node, names, output):
    exponent = writer.constant(np.asarray(node["y"]), np.float32)
    writer.add("Pow", [names[0], exponent], output)


_WRITERS: dict[str, Callable] = {
    "ne": lambda w, n, x, out: w.add("Not", [w.add("Equal", x)], out),
    "square": lambda w, n, x, out: w.add("Mul", [x[0], x[0]], out),
    "rsqrt": lambda w, n, x, out: w.add("Reciprocal", [w.add("Sqrt", x)], out),
    "log1p": _with_one("Log", "Add", 1),
    "expm1": _expm1,
    "clamp": lambda w, n, x, out: w.add("Min", [w.add("Max", [x[0], x[1]]), x[2]], out),
    "integer_pow": _power,
    "select_n": lambda w, n, x, out: w.add("Where", [x[0], x[2], x[1]], out),
    "convert_element_type": _cast,
    "reshape": lambda w, n, x, out: w.add("Reshape", [x[0], w.shape(n["shape"])], out),
    "broadcast_in_dim": _broadcast,
    "transpose": lambda w, n, x, out: w.add("Transpose", x, out, perm=n["axes"]),
    "concatenate": lambda w, n, x, out: w.add("Concat", x, out, axis=n["axis"]),
    "slice": _slice,
    "rev": lambda w, n, x, out: _reverse(w, x[0], n["axes"], out),
    "pad": _pad,
    "iota": _iota,
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "dot_general": _dot,
    "conv_general_dilated": _conv,
    "gather": _gather,
}
