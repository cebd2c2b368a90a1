"""What the charts of an evaluation are drawn from; nothing is computed anew.

Each is a function of the scene that returns the arrays of the picture of its name, or
None or nothing where its rows are not in `evaluation.json`.
"""

import re
from typing import Any

import numpy as np

from infovae_jax.report.figures import Scene

# The first of these that was measured is drawn under corruption.
TSVM_LABELS = (1000, 600, 100)


def curve(metrics: dict, stem: str) -> np.ndarray:
    """Points (level, value) `[n, 2]` of the figures `<stem>_<level>`, by level."""
    points = []
    for name, value in metrics.items():
        found = re.fullmatch(re.escape(stem) + r"_(\d+(?:\.\d+)?)", name)
        if found and isinstance(value, (int, float)):
            points.append((float(found[1]), value))
    return np.array(sorted(points)).reshape(-1, 2)


def density(scene: Scene) -> dict[str, Any] | None:
    """Estimates of log p(x), with what is known of their error."""
    metrics, recipes = scene.evaluation.metrics, scene.evaluation.recipes
    errors, rows = scene.evaluation.errors, []
    if metrics.get("elbo") is not None:
        same = metrics.get("nll/minus_elbo")
        value = metrics["elbo"] if same is None else -same
        text = recipes["elbo"] + ("" if same is None else "; the examples of the next")
        rows.append(("ELBO", value, 0.0, 0.0, text))
    if metrics.get("nll") is not None:
        error = 2 * (metrics.get("nll/standard_error") or 0.0)
        text = recipes["nll"].replace("; importance-weighted upper bound", "")
        rows.append(("IWAE bound", -metrics["nll"], error, error, text))
    if metrics.get("ais/nll") is not None:
        # The gap is measured on samples of the model, the error on test examples.
        error = 2 * errors.get("ais/nll", 0.0)
        gap = max(metrics.get("ais/gap") or 0.0, 0.0)
        rows.append(
            ("AIS", -metrics["ais/nll"], error, error + gap, recipes["ais/nll"])
        )
    if len(rows) < 2:
        return None
    names = ("names", "values", "below", "above", "recipes")
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def probe_accuracy(scene: Scene) -> dict[str, Any] | None:
    """Accuracy of simple classifiers of the code against the labels they saw."""
    names = ("linear", "knn", "tsvm")
    curves = {name: curve(scene.evaluation.metrics, f"probe/{name}") for name in names}
    curves = {name: points for name, points in curves.items() if len(points)}
    return curves and {**curves, "chance": _chance(scene)}


def robustness(scene: Scene) -> dict[str, Any] | None:
    """Accuracy of a probe fitted on clean codes, on corrupted test images."""
    metrics = scene.evaluation.metrics
    counts = [n for n in TSVM_LABELS if f"robust/tsvm_{n}_clean" in metrics]
    stems = {"": "robust/"} | {"tsvm_": f"robust/tsvm_{n}_" for n in counts[:1]}
    kinds = ("gaussian", "mask")
    kinds = [kind for kind in kinds if len(curve(metrics, f"robust/{kind}"))]
    given: dict[str, Any] = {}
    for name, stem in stems.items():
        clean = metrics.get(f"{stem}clean")
        first = np.array([] if clean is None else [0.0, clean]).reshape(-1, 2)
        for kind in kinds:
            points = curve(metrics, f"{stem}{kind}")
            given[f"{name}{kind}"] = np.concatenate([first, points])
    if not given:
        return None
    return given | {"tsvm_labels": next(iter(counts), None), "chance": _chance(scene)}


def generation(scene: Scene) -> dict[str, Any] | None:
    """Shares of precision and coverage, and the Frechet distance by its floor."""
    of_shares = ("precision", "recall", "density", "coverage")
    of_distances = ("frechet", "frechet_floor")
    found = {
        name: value
        for name in (*of_shares, *of_distances)
        if (value := scene.evaluation.metrics.get(f"generation/{name}")) is not None
    }
    both = all(any(name in found for name in of) for of in (of_shares, of_distances))
    return found if both else None


def artificial(scene: Scene) -> dict[str, Any] | None:
    """Accuracy of a classifier of images, trained on samples in part."""
    points = curve(scene.evaluation.metrics, "artificial/accuracy")
    return {"points": points, "chance": _chance(scene)} if len(points) else None


def disentanglement(scene: Scene) -> dict[str, Any]:
    """Scores against known factors."""
    return {
        name: value
        for full, value in scene.evaluation.metrics.items()
        if (name := full.removeprefix("disentanglement/")) != full
        and isinstance(value, (int, float))
    }


def calibration(scene: Scene) -> dict[str, Any] | None:
    """Accuracy in bins of equal width of the confidence."""
    found = {
        name: scene.evaluation.metrics.get(f"calibration/{name}")
        for name in ("confidence", "accuracy", "share")
    }
    if not all(isinstance(values, list) and values for values in found.values()):
        return None
    if len({len(values) for values in found.values()}) > 1:
        return None
    # An empty bin has neither confidence nor accuracy: None becomes NaN.
    arrays = {name: np.array(values, float) for name, values in found.items()}
    return arrays | {"examples": scene.evaluation.recipe.get("examples", 0)}


def _chance(scene: Scene) -> float | None:
    """Accuracy of guessing among balanced classes."""
    num_labels = scene.run.dataset.spec.num_labels
    return 1 / num_labels if num_labels else None
