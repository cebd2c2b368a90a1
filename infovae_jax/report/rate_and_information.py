"""Where runs are in the planes of rate and distortion, and of information."""

from typing import Any

import numpy as np

from infovae_jax.evaluation import subsets
from infovae_jax.evaluation.information_plane import DATA, LABEL
from infovae_jax.report.figures import Scene


def rate_distortion(scene: Scene) -> dict[str, Any] | None:
    """The test split's path through the plane of rate and distortion."""
    points = rate_distortion_points(scene.rows, "test/")
    if not len(points):
        return None
    return {"points": points, "epochs": _epochs(scene.rows, "test/elbo")}


def members(scene: Scene) -> dict[str, Any] | None:
    """All members of the population in the plane of rate and distortion."""
    record = scene.population or {}
    found = record.get("figures", {})
    if "elbo/reconstruction" not in found:
        return None
    points, names, own = [], [], None
    for index, member in enumerate(record["members"]):
        figures = {
            name: values[index]
            for name, values in found.items()
            if name.startswith("elbo/")
        }
        if None in figures.values():
            continue  # diverged
        swept = [f"{k} {v:.4g}" for k, v in member.items() if k != "seed"]
        names.append(", ".join(swept) or f"seed {member['seed']}")
        points.append(rate_distortion_points([figures], "elbo/")[0])
        if index == scene.run.member:
            own = points[-1]
    return {"points": points, "names": names, "own": own} if points else None


def information(scene: Scene) -> dict[str, Any] | None:
    """The path of a run through the information plane."""
    points = information_points(scene.rows)
    if not len(points):
        return None
    labels = np.asarray(scene.labels)[subsets.indices(scene.run, DATA)]
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    ceilings = np.log(len(labels)), -(shares * np.log(shares)).sum()
    epochs = _epochs(scene.rows, LABEL)
    return {"points": points, "ceilings": ceilings, "epochs": epochs}


def rate_distortion_points(rows: list[dict], prefix: str) -> np.ndarray:
    """(rate, distortion) `[n, 2]` nats of the rows that have them."""
    points = [
        (
            sum(v for k, v in row.items() if k.startswith(f"{prefix}kl")),
            row[f"{prefix}reconstruction"],
        )
        for row in rows
        if f"{prefix}reconstruction" in row
    ]
    return np.array(points).reshape(-1, 2)


def information_points(rows: list[dict]) -> np.ndarray:
    """(bound on I(x; z), bound on I(z; y)) `[n, 2]` nats of the rows with both."""
    points = [(row[DATA], row[LABEL]) for row in rows if DATA in row and LABEL in row]
    return np.array(points).reshape(-1, 2)


def _epochs(rows: list[dict], name: str) -> list[float]:
    return [row["epoch"] for row in rows if name in row]
