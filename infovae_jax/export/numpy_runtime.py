"""A saved model with NumPy alone: codes, clusters and decoded rows.

    import numpy_runtime
    model = numpy_runtime.load("FOLDER")
    codes = model.encode(x)             # posterior means [n, d]
    clusters = model.predict(x)         # of a model that clusters or classifies
    rows = model.decode(codes)          # in the range and shape of x

or `python numpy_runtime.py FOLDER x.npy codes.npz`. This file needs nothing but NumPy
and the folder that it is copied into: `manifest.json` (SHA-256 of the files),
`model.json`, `graphs.json` (what the networks compute, step by step), the arrays in
`model.safetensors` or `model.npz`, and `check.npz` (rows and what the model makes of
them, compared when it is loaded). Nothing is executed but the steps listed here.
"""

import hashlib
import json
import math
import pathlib
import re
import sys

import numpy as np

MANIFEST, MODEL, GRAPHS, CHECK = (
    *("manifest.json", "model.json"),
    *("graphs.json", "check.npz"),
)
ARRAYS = ("model.safetensors", "model.npz")
OF_TABLE = (
    "it is of a table, whose columns become numbers in infovae_jax; read it with "
    "infovae_jax.load"
)
# Rows at once, and the most numbers that a step may make of them.
ROWS, MAX_NUMBERS = 1024, 1 << 28
# Likelihoods of values in [0, 1], and what rounding may add to those.
OF_UNIT = ("bernoulli", "continuous_bernoulli", "discretized_logistic")
ROUNDING = 1e-6
# Another processor rounds otherwise.
RELATIVE, ABSOLUTE = 1e-3, 1e-4
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_DIM = re.compile(r"(?:(\d{1,9})\*)?b")
_TYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"},
}
_WRONG = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError),
    *(RecursionError, MemoryError, OverflowError, EOFError),
)


class ModelError(ValueError):
    """A folder that holds no model, a damaged one, or one of another kind."""


def load(folder):
    """The model of a folder, compared with what it gave when it was saved.

    Raises:
      ModelError: one line that says what is wrong, and where.
    """
    folder = pathlib.Path(folder)
    try:
        check_manifest(folder)
        model = Model(
            _json(folder / MODEL), _json(folder / GRAPHS), read_arrays(folder)
        )
        with np.load(folder / CHECK, allow_pickle=False) as archive:
            check = {name: archive[name] for name in archive}
        model.compare(check)
    except ModelError:
        raise
    except _WRONG as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ModelError(f"the model in {folder} cannot be read ({text})") from None
    return model


def plain_shape(shape):
    """That of an image without a channel of one, which need not be given."""
    return shape[:2] if shape[2:] == (1,) else shape


class Model:
    """Functions of rows; see `load`."""

    def __init__(self, record, graphs, arrays):
        of_table = record.get("scheme") is not None and OF_TABLE
        missing = graphs.get("missing", of_table)
        if missing:
            raise ModelError(f"NumPy cannot run this model: {missing}")
        self.record, self._graphs, self._arrays = record, graphs, arrays
        scaling = record["scaling"]
        if scaling["kind"] not in ("none", "grey", "unit", "standardize"):
            raise ModelError("NumPy cannot run this model: an unknown kind of scaling")
        is_bytes = scaling["dtype"] == "uint8" and scaling["kind"] == "none"
        self._shift = 0.0 if is_bytes else np.asarray(scaling["shift"], np.float64)
        self._factor = 255.0 if is_bytes else np.asarray(scaling["factor"], np.float64)
        self._plain = scaling["kind"] == "none" and not is_bytes
        self._is_bytes = is_bytes
        # Of a trained run, whose arrays were not scaled: what its data were.
        run = (record.get("intake") or {}).get("intake")
        self._run_had = run if run and run.get("scaling") is None else None
        self._stored_shape = tuple(int(n) for n in record["spec"]["shape"])
        shape = record["image_shape"]
        numbers = math.prod(self._stored_shape)
        self.shape = (numbers,) if shape is None else tuple(int(n) for n in shape)
        if math.prod(self.shape) != numbers:
            raise ModelError("the shapes in model.json contradict one another")

    @property
    def classes(self):
        """What `predict` may say: the numbers of clusters, or the names of classes."""
        names = self.record.get("names", {}).get("classes_")
        return names or list(range(len(self.record.get("clusters", ()))))

    def encode(self, x):
        """Posterior means, float32 `[n, d]`, of rows `[n, *shape]`."""
        return self._encoded(x)["mean"]

    def predict_proba(self, x):
        """Probabilities of clusters or classes, float64 `[n, K]`."""
        found = self._encoded(x)
        if "logits" not in found:
            raise ValueError("this model has no clusters and no classes")
        logits = found["logits"].astype(np.float64)
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        return odds / odds.sum(-1, keepdims=True)

    def predict(self, x):
        """The most probable cluster, or class, of each row."""
        return np.asarray(self.classes)[self.predict_proba(x).argmax(-1)]

    def decode(self, codes):
        """What codes `[n, d]` are decoded to, in the range and shape of x."""
        codes = np.asarray(codes, np.float32)
        images = self._run("decode", "z", codes)["x"]
        images = images if self._plain else images * self._factor + self._shift
        return np.asarray(images, np.float32).reshape(len(codes), *self.shape)

    def compare(self, check):
        """Raises ModelError where the saved rows give other values than they did."""
        x = check["x"]
        if self._is_bytes and self._run_had is not None:
            x = x / 255.0  # decoded rows are bytes as floats, those of a run fractions
        made = {"codes": self.encode(x)}
        made["decoded"] = self.decode(check["codes"])
        if "probabilities" in check:
            made["probabilities"] = self.predict_proba(x)
        for name, value in made.items():
            saved = check[name]
            if saved.shape != value.shape or not np.allclose(
                value, saved, RELATIVE, ABSOLUTE
            ):
                raise ModelError(f"the model gives other {name} than when it was saved")

    def _scaled(self, x):
        if x.dtype.kind == "b" and self._is_bytes:
            return x  # black and white
        if (
            self._is_bytes
            and x.size
            and x.min() >= 0
            and x.max() <= 1
            and (x % 1).any()
        ):
            raise ValueError("x holds fractions: give whole numbers from 0 to 255")
        if self._plain:
            return x
        return (x.astype(np.float64) - self._shift) / self._factor

    def _as_the_run(self, x):
        """As new data of the command line are taken: whole numbers are grey levels."""
        had = self._run_had
        inside = had["low"] >= 0 and had["high"] <= 1
        divided = had["divisor"] != 1
        if x.dtype.kind != "f":
            if not inside or divided:
                span = f"floats from {had['low']:.4g} to {had['high']:.4g}"
                by = f"divide x by {had['divisor']:g}, and give floats"
                how = by if divided else f"give {span}"
                raise ValueError(f"x holds whole numbers: {how}, as in training")
            if x.dtype.kind == "b":
                return x  # black and white
            x = np.where(x == 1, 255, x) / 255.0 if had["bits"] else x / 255.0
        return x

    def _require_range(self, x):
        had = self._run_had
        inside = self.record["scaling"]["kind"] == "none" and (
            self.record["spec"]["likelihood"] in OF_UNIT
            if had is None
            else had["low"] >= 0 and had["high"] <= 1
        )
        if inside and x.size and not (x.min() >= -ROUNDING and x.max() <= 1 + ROUNDING):
            of = "values from 0 to 1"
            if had is not None and had["divisor"] != 1:
                of += f", which is to divide x by {had['divisor']:g}"
            if self._is_bytes:
                of = "whole numbers from 0 to 255"
                of += "" if had is None else ", or floats from 0 to 1"
            raise ValueError(f"x holds values outside those of training: give {of}")

    def _encoded(self, x):
        if np.ma.is_masked(x):
            raise ValueError("x holds masked values: fill them")
        x = np.asarray(x)
        same = plain_shape(x.shape[1:]) == plain_shape(self.shape)
        if not same or x.dtype.kind not in "fiub":
            raise ValueError(
                f"x has shape {x.shape} and type {x.dtype}: give numbers "
                f"[n, {', '.join(map(str, self.shape))}]"
            )
        x = x.reshape(len(x), *self._stored_shape)
        x = self._scaled(x) if self._run_had is None else self._as_the_run(x)
        x = x.astype(np.float32)
        if not np.isfinite(x).all():
            raise ValueError("x holds NaN or infinity")
        self._require_range(x)
        return self._run("encode", "x", x)

    def _run(self, name, argument, rows):
        graph = self._graphs[name]
        first = rows[:1] if len(rows) else np.zeros((1, *rows.shape[1:]), np.float32)
        parts = [rows[i : i + ROWS] for i in range(0, len(rows), ROWS)] or [first]
        made = [run(graph, self._arrays, {argument: part}) for part in parts]
        joined = {key: np.concatenate([part[key] for part in made]) for key in made[0]}
        return {key: value[: len(rows)] for key, value in joined.items()}


def run(graph, arrays, inputs):
    """What a graph makes of arrays with rows on their first axis.

    Args:
      graph: 'inputs' (name -> shape, 'b' for the number of rows), 'nodes' (each with
        'op', 'in', 'out' and what the op needs) and 'outputs' (name -> value).
      arrays: the model's, by name.
      inputs: by name.
    """
    rows = len(next(iter(inputs.values())))
    for name, shape in graph["inputs"].items():
        if inputs[name].shape != _dims(shape, rows):
            raise ValueError(f"{name} has shape {inputs[name].shape}, not {shape}")
    values = dict(inputs)

    def value(operand):
        if not isinstance(operand, str):
            return operand
        return values[operand] if operand in values else arrays[operand]

    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        for node in graph["nodes"]:
            made = OPS[node["op"]](node, rows, *map(value, node["in"]))
            made = made if isinstance(made, list) else [made]
            values |= zip(node["out"], made, strict=True)
    return {name: np.asarray(value(key)) for name, key in graph["outputs"].items()}


def _dims(shape, rows):
    """A shape with numbers in place of 'b' and '3*b'."""
    dims = []
    for dim in shape:
        if isinstance(dim, str):
            found = _DIM.fullmatch(dim)
            if found is None:
                raise ModelError(f"a shape with '{dim[:40]}'")
            dim = int(found[1] or 1) * rows
        dims.append(int(dim))
    if min(dims, default=0) < 0 or math.prod(dims) > MAX_NUMBERS:
        raise ModelError(f"a step asks for an array of shape {tuple(dims)}")
    return tuple(dims)


def _logistic(x):
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def _erf(x):
    return np.vectorize(math.erf, otypes=[np.float32])(x)


def _integer_pow(node, rows, x):
    return x ** int(node["y"])


def _select(node, rows, which, *cases):
    if len(cases) != 2:
        raise ModelError("a choice of other than two")
    return np.where(which, cases[1], cases[0])


def _broadcast(node, rows, x):
    shape, x = _dims(node["shape"], rows), np.asarray(x)
    kept = [1] * len(shape)
    for axis, size in zip(node["axes"], x.shape, strict=True):
        kept[axis] = size
    return np.broadcast_to(x.reshape(kept), shape)


def _slice(node, rows, x):
    parts = zip(
        *(_dims(node["start"], rows), _dims(node["limit"], rows), node["strides"]),
        strict=True,
    )
    return x[tuple(slice(*part) for part in parts)]


def _split(node, rows, x):
    return np.split(x, np.cumsum(node["sizes"])[:-1].tolist(), axis=node["axis"])


def _pad(node, rows, x, value):
    if any(inner for _, _, inner in node["padding"]):
        raise ModelError("padding between numbers")
    sizes = [n + a + b for n, (a, b, _) in zip(x.shape, node["padding"], strict=True)]
    _dims(sizes, rows)
    x = np.pad(
        x,
        [(max(a, 0), max(b, 0)) for a, b, _ in node["padding"]],
        constant_values=value,
    )
    cut = [(max(-a, 0), max(-b, 0)) for a, b, _ in node["padding"]]
    return x[tuple(slice(a, n - b) for (a, b), n in zip(cut, x.shape, strict=True))]


def _iota(node, rows):
    shape = _dims(node["shape"], rows)
    line = np.arange(shape[node["axis"]], dtype=_type(node))
    return _broadcast({"shape": shape, "axes": [node["axis"]]}, rows, line)


def _type(node):
    dtype = np.dtype(node["dtype"])
    if dtype.kind not in "fiub":
        raise ModelError(f"the type {node['dtype']}")
    return dtype


def _dot(node, rows, x, y):
    if not node["batch"][0]:
        return np.tensordot(x, y, node["contract"])
    return np.einsum(einsum_text(node, x.ndim, y.ndim), x, y, optimize=True)


def einsum_text(node, left_ndim, right_ndim):
    """The sums of a product, as `numpy.einsum` and ONNX have them."""
    letters = [chr(97 + i) for i in range(left_ndim + right_ndim)]
    left, right = letters[:left_ndim], letters[left_ndim:]
    batch, contract = (
        list(zip(*node[key], strict=True)) for key in ("batch", "contract")
    )
    for i, j in batch + contract:
        right[j] = left[i]
    paired = [right[j] for _, j in batch + contract]
    out = [left[i] for i, _ in batch]
    out += [c for c in left + right if c not in paired]
    return f"{''.join(left)},{''.join(right)}->{''.join(out)}"


def _conv(node, rows, x, kernel):
    """Of images `[B, H, W, I]` with kernels `[k, l, I, O]`."""
    for axis, (step, (low, high)) in enumerate(
        zip(node["dilation"], node["padding"], strict=True), 1
    ):
        size = (x.shape[axis] - 1) * step + 1
        sizes = [*x.shape]
        sizes[axis] = size + low + high
        _dims(sizes, rows)
        wide = np.zeros([*x.shape[:axis], size, *x.shape[axis + 1 :]], x.dtype)
        wide[(slice(None),) * axis + (slice(None, None, step),)] = x
        edges = [(0, 0)] * 4
        edges[axis] = (max(low, 0), max(high, 0))
        x = np.pad(wide, edges)
        cut = slice(max(-low, 0), x.shape[axis] - max(-high, 0))
        x = x[(slice(None),) * axis + (cut,)]
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    down, across = node["strides"]
    windows = windows[:, ::down, ::across]  # [B, h, w, I, k, l]
    return np.tensordot(windows, kernel, ([4, 5, 3], [0, 1, 2]))


def _rows_of(node, rows, table, indices):
    """Rows of a table `[K, ...]` by their numbers `[..., 1]`."""
    return table[np.clip(np.asarray(indices)[..., 0], 0, len(table) - 1)]


def _arg(function):
    return lambda node, rows, x: function(x, axis=node["axes"][0]).astype(_type(node))


def _reduce(function):
    return lambda node, rows, x: function(x, axis=tuple(node["axes"]))


def _plainly(function):
    return lambda node, rows, *x: function(*x)


OPS = {
    name: _plainly(function)
    for name, function in {
        **{"add": np.add, "sub": np.subtract, "mul": np.multiply},
        **{"div": np.divide, "max": np.maximum, "min": np.minimum, "pow": np.power},
        **{"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal},
        **{"gt": np.greater, "ge": np.greater_equal, "and": np.logical_and},
        **{"or": np.logical_or, "not": np.logical_not, "abs": np.abs},
        **{"neg": np.negative, "sign": np.sign, "floor": np.floor, "exp": np.exp},
        **{"log": np.log, "log1p": np.log1p, "expm1": np.expm1, "sqrt": np.sqrt},
        **{"tanh": np.tanh, "sin": np.sin, "cos": np.cos, "square": np.square},
        "rsqrt": lambda x: 1 / np.sqrt(x),
        "logistic": _logistic,
        "erf": _erf,
        "clamp": lambda low, x, high: np.clip(x, low, high),
    }.items()
} | {
    "integer_pow": _integer_pow,
    "select_n": _select,
    "convert_element_type": lambda node, rows, x: np.asarray(x).astype(_type(node)),
    "reshape": lambda node, rows, x: np.reshape(x, _dims(node["shape"], rows)),
    "broadcast_in_dim": _broadcast,
    "transpose": lambda node, rows, x: np.transpose(x, node["axes"]),
    "concatenate": lambda node, rows, *x: np.concatenate(x, node["axis"]),
    "slice": _slice,
    "split": _split,
    "rev": lambda node, rows, x: np.flip(x, node["axes"]),
    "pad": _pad,
    "iota": _iota,
    "reduce_sum": _reduce(np.sum),
    "reduce_max": _reduce(np.max),
    "reduce_min": _reduce(np.min),
    "argmax": _arg(np.argmax),
    "argmin": _arg(np.argmin),
    "dot_general": _dot,
    "conv_general_dilated": _conv,
    "gather": _rows_of,
}


def check_manifest(folder):
    """Compares every file with the manifest, which is written last.

    Returns:
      The names of the files.

    Raises:
      ModelError: no manifest, a name that leads out of the folder, a file that is
        missing or is not as it was written.
    """
    if not (folder / MANIFEST).is_file():
        raise ModelError(f"no model in {folder} (no {MANIFEST}), or one half written")
    listed = _json(folder / MANIFEST).get("sha256")
    if not isinstance(listed, dict):
        raise ModelError(f"no list of files in {folder / MANIFEST}")
    for name, expected in listed.items():
        if not _NAME.fullmatch(name):
            raise ModelError(f"{MANIFEST} names a file outside of {folder}")
        if digest(folder / name) != expected:
            raise ModelError(f"{folder / name} is not as it was written (SHA-256)")
    missing = {MODEL, CHECK} - listed.keys()
    if missing or not listed.keys() & set(ARRAYS):
        raise ModelError(f"{folder / MANIFEST} lists no whole model")
    return list(listed)


def digest(path):
    """SHA-256 of a file.

    Raises:
      ModelError: there is none.
    """
    if not path.is_file():
        raise ModelError(f"no file {path}")
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _json(path):
    """An object of JSON.

    Raises:
      ModelError: it holds none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ModelError(f"{path} holds no JSON ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no object of JSON")
    return found


def read_arrays(folder):
    """The arrays of a model by name; never a pickle.

    Raises:
      ModelError, ValueError: a header that the file contradicts.
    """
    path = folder / ARRAYS[0]
    if not path.is_file():
        with np.load(folder / ARRAYS[1], allow_pickle=False) as archive:
            return {name: archive[name] for name in archive}
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > len(content) - 8:
        raise ModelError(f"{path} is cut")
    header, body = json.loads(content[8 : 8 + size]), memoryview(content)[8 + size :]
    scalars = json.loads(header.pop("__metadata__", {}).get("scalars", "[]"))
    arrays = {}
    for name, about in header.items():
        dtype, shape = np.dtype(_TYPES[about["dtype"]]), about["shape"]
        start, end = about["data_offsets"]
        wanted = math.prod(shape) * dtype.itemsize
        if not 0 <= start <= end <= len(body) or end - start != wanted:
            raise ModelError(f"{path} contradicts itself about '{name[:80]}'")
        found = np.frombuffer(body[start:end], dtype).reshape(shape)
        arrays[name] = found.reshape(()) if name in scalars else found
    return arrays


def main(arguments):
    """`FOLDER x.npy codes.npz`: mean, and where there are clusters, their numbers."""
    if len(arguments) != 3:
        print("usage: python numpy_runtime.py FOLDER x.npy codes.npz", file=sys.stderr)
        return 2
    folder, rows, output = arguments
    try:
        model = load(folder)
        x = np.load(rows, allow_pickle=False)
        made = {"mean": model.encode(x)}
        if model.classes:
            made["probabilities"] = model.predict_proba(x)
            made["cluster"] = model.predict(x)
        np.savez(output, **made)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 4
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}; {rows}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
