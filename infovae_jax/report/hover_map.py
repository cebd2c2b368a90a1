"""The map of the latent space as one moves over it: which example, and how it looks."""

import base64
import io
import math
from typing import Any

import numpy as np
from matplotlib import colormaps, colors
from PIL import Image  # which comes with matplotlib

from infovae_jax.data.numpy_files import FACTOR_PREFIX
from infovae_jax.evaluation import probabilities
from infovae_jax.report import style
from infovae_jax.report.figures import (
    Scene,
    cluster_colours,
    cluster_word,
    latent_layout,
    plain_cluster,
    plain_label,
)
from infovae_jax.report.thumbs import thumbs

# Bytes of all small pictures together, and pixels of the longer side of one: the first
# that fits is taken.
MAX_SPRITE, SIDES = 800_000, (32, 16, 8)
OF_PICTURES = ("sprite", "tile", "columns")  # keys of what `make` returns
# About 10 kB each: of more, the page keeps its size.
MAX_FACTORS = 20
# Of a coordinate: half a pixel of the map at its largest.
_STEPS = 20_000
_RAMP = 21


def points(scene: Scene) -> dict[str, np.ndarray] | None:
    """What the map shows, by name; None of a few examples.

    Returns:
      'index' in the test split `[n]`, 'xy' `[n, 2]`, and where there are some 'cluster'
      and its 'probability' `[n]`, 'label' `[n]`, and each factor of the data as
      'factor_<name>' `[n]`.
    """
    layout = latent_layout(scene)
    if layout is None:
        return None
    shown, xy = layout
    found = {"index": shown, "xy": xy}
    if scene.codes.logits is not None:
        logits = scene.codes.logits[shown]
        found["cluster"] = logits.argmax(-1)
        found["probability"] = probabilities(logits).max(-1)
    if scene.labels is not None:
        found["label"] = np.asarray(scene.labels)[shown]
    for name, (_, test) in (scene.run.dataset.factors or {}).items():
        found[FACTOR_PREFIX + name] = np.asarray(test, np.float64)[shown]
    return found


def make(scene: Scene, found: dict[str, np.ndarray] | None) -> dict[str, Any] | None:
    """What the script of the page is given, as JSON holds it.

    Args:
      scene: of the pictures.
      found: of `points`.
    """
    if found is None or not np.isfinite(found["xy"]).all():
        return None
    low, high = found["xy"].min(0), found["xy"].max(0)
    places = (found["xy"] - low) / np.where(high > low, high - low, 1.0)
    ramp = colormaps["cividis"](np.linspace(0, 1, _RAMP))
    factors = [name for name in found if name.startswith(FACTOR_PREFIX)]
    given = {
        "index": found["index"].tolist(),
        "xy": np.round(_STEPS * places).astype(int).tolist(),
        "steps": _STEPS,
        "colours": list(style.CATEGORIES),
        "ramp": [colors.to_hex(colour) for colour in ramp],
        "views": [
            *_groups(scene, found),
            *_certainty(found),
            *(
                factor_view(name.removeprefix(FACTOR_PREFIX), found[name])
                for name in factors[:MAX_FACTORS]
            ),
        ],
        "left_out": len(factors[MAX_FACTORS:]),
    }
    sprite = None if scene.run.dataset.spec.blocks else _sprite(scene, found["index"])
    return given | (sprite or {})


def _groups(scene: Scene, found: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Views by cluster and by label: number of each point, names and colours."""
    groups = []
    word = cluster_word(scene)
    for name, title in (("cluster", word), ("label", "label")):
        if name not in found:
            continue
        numbers = range(int(found[name].max()) + 1)
        colours = [*numbers]
        if name == "cluster":
            colours = cluster_colours(scene, scene.codes.logits.shape[-1]).tolist()
            names = [plain_cluster(scene, n) for n in numbers]
        else:
            names = [plain_label(scene, n) for n in numbers]
        groups.append(
            {
                "title": title,
                "of": found[name].tolist(),
                "names": names,
                "colours": colours,
            }
        )
    return groups


def _certainty(found: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    if "probability" not in found:
        return []
    percent = np.round(100 * found["probability"]).astype(int).tolist()
    view = {"title": "certainty", "of": percent, "low": 0, "high": 100, "unit": " %"}
    return [view]


def factor_view(name: str, values: np.ndarray) -> dict[str, Any]:
    """A view by a known factor of the data.

    Args:
      name: of the factor.
      values: finite, `[n]`.

    Returns:
      'title', and of whole numbers (or one number) of which no two share a colour 'of'
      `[n]` numbers of 'names' and 'colours'; else 'of' `[n]` the values, on a ramp from
      'low' to 'high'.
    """
    known, numbers = np.unique(values, return_inverse=True)
    are_whole = (known == np.round(known)).all()
    if len(known) == 1 or (are_whole and len(known) <= len(style.CATEGORIES)):
        return {
            "title": name,
            "factor": True,
            "of": numbers.tolist(),
            "names": [f"{value:.15g}" for value in known],
            "colours": [*range(len(known))],
        }
    low, high = float(known[0]), float(known[-1])
    # To a thousandth of the range or better; rounding bears no more than 10^300.
    span = high - low
    digits = 3 - math.floor(math.log10(span)) if 0 < span < math.inf else 0
    low, high, *shown = np.round([low, high, *values], min(digits, 300)).tolist()
    return {"title": name, "factor": True, "of": shown, "low": low, "high": high}


def _sprite(scene: Scene, shown: np.ndarray) -> dict[str, Any] | None:
    """Small pictures of the examples as one PNG; None of signals, or of too many."""
    sheets = (_sheet(thumbs(scene, shown, side)) for side in SIDES)
    return next((s for s in sheets if s and len(s["sprite"]) < MAX_SPRITE), None)


def _sheet(small: np.ndarray) -> dict[str, Any] | None:
    """Pictures `[n, h, w, C]` side by side."""
    count, height, width, channels = small.shape
    if min(height, width) == 1:
        return None
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    blank = np.zeros((rows * columns - count, height, width, channels), np.uint8)
    grid = np.concatenate([small, blank]).reshape(rows, columns, height, width, -1)
    whole = grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, -1)
    buffer = io.BytesIO()
    Image.fromarray(whole[..., 0] if channels == 1 else whole).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    values = f"data:image/png;base64,{text}", [height, width], columns
    return dict(zip(OF_PICTURES, values, strict=True))
