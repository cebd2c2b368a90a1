"""What the charts of an evaluation are drawn from; nothing is computed anew.

Each is a function of the scene that returns the arrays of the picture of its name, or
None or nothing where its rows are not in `evaluation.json`.
"""

import re
from typing import Any

import numpy as np

from infovae_jax.report.figures import Scene


def density(scene: Scene) -> dict[str, Any] | None:
    """Estimates of log p(x), with what is known of their error."""
    metrics, recipes = scene.evaluation.metrics, scene.evaluation.recipes
    errors, rows = scene.evaluation.errors, []
    if metrics.get("elbo") is not None:
        same = metrics.get("nll/minus_elbo")
        value = metrics["elbo"] if same is None else -same
        text = recipes["elbo"] + ("" if same is None else "; same examples as below")
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
    return _figures(scene, "probe/", r"(linear|knn|tsvm)_\d+", chance=True)


def robustness(scene: Scene) -> dict[str, Any] | None:
    """Accuracy of a probe fitted on clean codes, on corrupted test images."""
    return _figures(scene, "robust/", r"(gaussian|mask)_[\d.]+", chance=True)


def generation(scene: Scene) -> dict[str, Any] | None:
    """Shares of precision and coverage, and the Frechet distance by its floor."""
    shares = _figures(scene, "generation/", "precision|recall|density|coverage")
    return shares and _figures(scene, "generation/", "frechet|frechet_floor")


def artificial(scene: Scene) -> dict[str, Any] | None:
    """Accuracy of a classifier of images, trained on samples in part."""
    return _figures(scene, "artificial/", r"accuracy(_wide)?_[\d.]+", chance=True)


def disentanglement(scene: Scene) -> dict[str, Any] | None:
    """Scores against known factors."""
    return _figures(scene, "disentanglement/", ".*")


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


def _figures(
    scene: Scene, group: str, needed: str, chance: bool = False
) -> dict[str, Any] | None:
    """The figures of a group by the rest of their names; None without one `needed`.

    `chance`: beside them the accuracy of guessing among balanced classes.
    """
    found = {
        name.removeprefix(group): value
        for name, value in scene.evaluation.metrics.items()
        if name.startswith(group) and isinstance(value, (int, float))
    }
    if not any(re.fullmatch(needed, name) for name in found):
        return None
    num_labels = scene.run.dataset.spec.num_labels
    return found | ({"chance": 1 / num_labels} if chance and num_labels else {})
