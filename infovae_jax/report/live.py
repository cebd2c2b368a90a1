"""The decoder itself in the page: what it computes, its weights, and where to start.

`templates/graph.js` runs the graph that `export` writes for NumPy; `templates/live.js`
is what one sees. Nothing is fetched.
"""

import base64
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.errors import ConfigError
from infovae_jax.evaluation import code_paths
from infovae_jax.export import files, functions, graphs, numpy_runtime
from infovae_jax.report.figures import (
    Scene,
    cluster_word,
    one_of_each,
    plain_cluster,
    plain_label,
    shown_clusters,
    value_range,
)
from infovae_jax.report.thumbs import thumbs
from infovae_jax.training.programs import seldom
from infovae_jax.types import Objective

TEMPLATES = pathlib.Path(__file__).parent / "templates"
MAX_WEIGHTS = 1_500_000  # bytes
# Numbers of an array from which on 16 bits each are enough; biases keep 32.
LARGE = 1024
# Share of the range by which what 16 bits make may differ.
FARTHEST = 0.01
EXAMPLES, DRAWS, MAX_DIMS, FIRST_DIMS = 20, 48, 64, 8
# Pixels of the longer side of a small picture of a test image.
THUMB = 48
# Starts about which a dim is moved to see how much it changes.
_STARTS, _CHECKED = 6, 16


class Live(NamedTuple):
    """What the page shows of the decoder.

    Attributes:
      data: what the script is given, as JSON holds it; None where there is nothing.
      missing: then why not; empty where nothing is to be said, as of a table.
    """

    data: dict[str, Any] | None
    missing: str = ""

    @property
    def shown(self) -> bool:
        """Whether the page has a section of it."""
        return self.data is not None or bool(self.missing)


def make(scene: Scene) -> Live:
    """The decoder of a run, or why it has no place in a page."""
    spec = scene.run.dataset.spec
    if spec.blocks:
        return Live(None)
    params = files.flatten(jax.tree.map(np.asarray, scene.params), "params")
    try:
        objective = functions.plain_objective(scene.run.config, spec)
        graph, arrays = decode_graph(objective, params)
    except (graphs.Inexpressible, ConfigError) as error:
        return Live(None, f"the script does not know what it computes ({error})")
    size = sum(_kind(array)[1] * array.size for array in arrays.values())
    if size > MAX_WEIGHTS:
        return Live(
            None,
            f"its weights are {size / 1e6:.1f} MB in 16 bits, and the page takes "
            f"{MAX_WEIGHTS / 1e6:.1f} MB",
        )
    weights, rounded = pack(arrays)
    codes = scene.codes.mean[one_of_each(scene, _CHECKED)]
    expected = np.asarray(seldom(objective.decode)(scene.params, codes))
    error = largest_error(graph, rounded, codes, expected)
    low, high = value_range(scene)
    if not error <= FARTHEST * (high - low):
        return Live(None, f"its weights in 16 bits make other images, by {error:.2g}")
    return Live(
        {
            "graph": graph,
            "weights": weights,
            "error": error,
            "shape": list(spec.shape),
            "range": [low, high],
            **_places(scene),
        }
    )


def decode_graph(
    objective: Objective, params: dict[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The graph of `decode`, and the arrays that it reads, by name.

    Args:
      objective: of `functions.plain_objective`.
      params: by path.

    Raises:
      graphs.Inexpressible: a step that a graph cannot hold.
    """

    def decode(params, z):
        return {"x": objective.decode(params, z)}

    latent = {"z": (objective.latent_dim,)}
    graph, constants = functions.trace(decode, params, latent, "decode")
    read = {o for node in graph["nodes"] for o in node["in"] if isinstance(o, str)}
    read |= set(graph["outputs"].values())
    return graph, {k: v for k, v in (params | constants).items() if k in read}


def pack(
    arrays: dict[str, np.ndarray],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Arrays for `unpack` of graph.js, and as they come out there, float32.

    Returns:
      'arrays' (name, shape and type of each: 'f2' is 16 bits a number, 'f4' 32) and
      'data' (one behind the other, base64); and the arrays by name.
    """
    about, parts, rounded = [], [], {}
    for name, array in arrays.items():
        kind, _ = _kind(array)
        with np.errstate(over="ignore"):  # what is infinite then is found out later
            stored = np.ascontiguousarray(array, f"<{kind}").reshape(array.shape)
        about.append({"name": name, "shape": list(array.shape), "type": kind})
        parts.append(stored.tobytes())
        rounded[name] = stored.astype(array.dtype)
    data = base64.b64encode(b"".join(parts)).decode()
    return {"arrays": about, "data": data}, rounded


def _kind(array: np.ndarray) -> tuple[str, int]:
    """Type and bytes of each number of an array in the page."""
    large = array.dtype == np.float32 and array.size >= LARGE
    return ("f2", 2) if large else ("f4", 4)


def largest_error(
    graph: dict[str, Any],
    arrays: dict[str, np.ndarray],
    codes: np.ndarray,
    expected: np.ndarray,
) -> float:
    """Of what a graph makes of codes beside `expected`; NaN where it is not finite."""
    made = numpy_runtime.run(graph, arrays, {"z": np.asarray(codes, np.float32)})
    return float(np.abs(made["x"].reshape(expected.shape) - expected).max())


def script(*names: str) -> str:
    """Scripts of `templates/`, one after the other."""
    return "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def _places(scene: Scene) -> dict[str, Any]:
    """Where one can go: clusters, test images, draws of the prior, along dims."""
    objective, told = scene.run.objective, scene.run.objective.uses_labels
    places = []
    if scene.num_clusters > 1:
        for cluster in shown_clusters(scene):
            short = plain_cluster(scene, int(cluster))
            shown = short if told else short.replace(": ", ", matched label ", 1)
            name = f"{cluster_word(scene)} {shown}"
            code = _numbers(objective.prior.mean[cluster])
            places.append({"name": name, "short": short, "code": code})
    chosen = one_of_each(scene, EXAMPLES)
    small = thumbs(scene, chosen, THUMB)
    for number, pixels in zip(chosen, small, strict=True):
        short, name = f"#{number}", f"test image {number}"
        if scene.labels is not None:
            short = plain_label(scene, int(scene.labels[number]))
            name += f", label {short}"
        places.append(
            {
                "name": name,
                "short": short,
                "code": _numbers(scene.codes.mean[number]),
                "pixels": base64.b64encode(pixels.tobytes()).decode(),
            }
        )
    kind = "Classes" if told else "Clusters"
    if not told and scene.matched is not None:
        kind += " (number: matched label)"
    draws = scene.codes_of_prior(DRAWS)
    starts = np.array([place["code"] for place in places], np.float32)
    return {
        "kind": kind,
        "codes": places,
        "thumb": list(small.shape[1:]),
        "draws": [_numbers(code) for code in draws],
        "dims": _dims(scene, starts, np.asarray(draws)),
        "first": FIRST_DIMS,
    }


def _dims(scene: Scene, starts: np.ndarray, draws: np.ndarray) -> list[dict[str, Any]]:
    """The dims that can be moved, those that change the images most first."""
    names, kinds = code_paths.named_dims(scene.run.objective)
    observed = np.concatenate([scene.codes.mean, starts, draws])
    low, high = observed.min(0), observed.max(0)
    movable = np.flatnonzero(kinds != "class")
    widest = np.argsort(-(high - low)[movable], kind="stable")
    movable = movable[widest][:MAX_DIMS]
    few = starts[np.linspace(0, len(starts) - 1, min(_STARTS, len(starts))).astype(int)]
    moved = code_paths.along(few, movable, 3, kinds, scene.codes.mean)
    change = np.zeros(len(movable))
    for codes in moved:  # one start at a time: an image may be large
        images = scene.decode(codes)
        spread = (images - images.mean(1, keepdims=True)) ** 2
        change += spread.reshape(len(movable), -1).sum(1)
    return [
        {
            "name": names[dim],
            "index": int(dim),
            "low": round(float(low[dim]), 2),
            "high": round(float(high[dim]), 2),
        }
        for dim in movable[np.argsort(-change, kind="stable")]
    ]


def _numbers(code: Any) -> list[float]:
    return [round(float(value), 4) for value in np.asarray(code)]
