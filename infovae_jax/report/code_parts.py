"""What pictures of codes that have parts are drawn from.

As in `figures`, each is a function of the scene that returns arrays or None.
"""

from typing import Any

import numpy as np

from infovae_jax.evaluation import WIDE_SIGMA
from infovae_jax.evaluation import codes as code_metrics
from infovae_jax.report.figures import (
    Scene,
    columns_of,
    grid,
    one_of_each,
    plain_label,
)
from infovae_jax.report.grids import COLUMNS

MAX_CLASSES = 10


def masked(scene: Scene) -> dict[str, Any] | None:
    """Originals, reconstructions, and what each part of the code holds alone."""
    parts = code_metrics.part_slices(scene.run.objective)
    if len(parts) < 2:
        return None
    chosen = one_of_each(scene, COLUMNS)
    codes = scene.codes.mean[chosen]
    average = scene.codes.mean.mean(0)
    rows, names = [scene.test_x[chosen], scene.decode(codes)], ["original", "all"]
    for name, (dims, _) in parts.items():
        alone = np.tile(average, (len(codes), 1))
        alone[:, dims] = codes[:, dims]
        rows.append(scene.decode(alone))
        names.append(f"{name} alone")
    return grid(scene, np.stack(rows), names)


def information_curves(scene: Scene) -> dict[str, Any] | None:
    """Bound on I(z_j; x'), rate of every dim and reconstruction over training."""
    if not scene.rows or "dim/mi_0" not in scene.rows[-1]:
        return None
    parts = code_metrics.part_slices(scene.run.objective)
    return {
        "part_names": list(parts),
        "part_sizes": [part.size for _, part in parts.values()],
        **columns_of(scene.rows),
    }


def plane(scene: Scene) -> dict[str, Any] | None:
    """One dim of the second part left to right, one of the first top to bottom."""
    objective = scene.run.objective
    parts = list(code_metrics.part_slices(objective).items())
    if len(parts) != 2:
        return None
    (first, (first_dims, _)), (second, (second_dims, _)) = parts
    spread = scene.codes.mean.std(0)
    down = int(np.argmax(spread[first_dims])) + first_dims.start
    across = int(np.argmax(spread[second_dims])) + second_dims.start
    steps = np.linspace(-2.5, 2.5, 5)
    z = np.tile(scene.codes.mean[one_of_each(scene, 1)[0]], (5, 5, 1))
    for dim, offsets in ((down, steps[:, None]), (across, steps[None])):
        free = any(
            part.kind == "free" and dims.start <= dim < dims.stop
            for _, (dims, part) in parts
        )
        # A code without prior has the scale that its training gave it.
        centre = scene.codes.mean[:, dim].mean() if free else 0.0
        scale = spread[dim] if free else 1.0
        z[..., dim] = np.broadcast_to(centre + scale * offsets, (5, 5))
    return grid(
        scene,
        scene.decode(z),
        [f"{first}{down - first_dims.start} {step:+.1f}" for step in steps],
        [f"{second}{across - second_dims.start} {step:+.1f}" for step in steps],
    )


def _class_parts(scene: Scene):
    """For pictures of classes: (shared dims, own dims of class k, classes to show)."""
    if not scene.run.objective.uses_labels:
        return None
    parts = code_metrics.part_slices(scene.run.objective)
    num_classes = parts["y"][1].size
    own_size = parts["z_c"][1].size if "z_c" in parts else 0
    size, start = own_size // num_classes, parts["z_s"][1].size

    def own(label):
        return np.arange(start + label * size, start + (label + 1) * size)

    classes = np.linspace(0, num_classes - 1, min(num_classes, MAX_CLASSES))
    return np.arange(parts["z_s"][1].size), own, classes.round().astype(int)


def _class_codes(scene: Scene, classes: np.ndarray) -> np.ndarray:
    """z = 0 with the label of each class, `[len(classes), d]`."""
    return np.asarray(scene.run.objective.prior.mean)[classes]


def _kl_table(scene: Scene) -> np.ndarray | None:
    """Mean KL of each dim by class `[L, d]`, as the evaluation found it."""
    table = scene.evaluation.metrics.get("factors/kl_by_class")
    # None in it, for a class without test examples, becomes nan.
    return None if table is None else np.array(table, float)


def shared_traversals(scene: Scene) -> dict[str, Any] | None:
    """The two strongest shared dims, moved in the same way in every class."""
    parts = _class_parts(scene)
    if parts is None:
        return None
    shared, _, classes = parts
    rate = code_metrics.rate_per_dim(scene.codes.mean, scene.codes.log_var)
    dims = shared[np.argsort(-rate[shared])[:2]]
    steps = np.linspace(-2.5, 2.5, 9)
    z = np.repeat(_class_codes(scene, classes)[:, None], len(dims) * len(steps), 1)
    for number, dim in enumerate(dims):
        z[:, number * len(steps) : (number + 1) * len(steps), dim] = steps
    names = [f"'{plain_label(scene, k)}'" for k in classes]
    columns = [
        f"z{dim}" if abs(step) < 1e-9 else f"{step:+.1f}"
        for dim in dims
        for step in steps
    ]
    return grid(scene, scene.decode(z), names, columns)


def class_traversals(scene: Scene) -> dict[str, Any] | None:
    """The strongest dim of each class's own block, moved within the class."""
    parts, table = _class_parts(scene), None
    if parts is not None:
        table = _kl_table(scene)
    if table is None or not len(parts[1](0)):
        return None
    _, own, classes = parts
    steps = np.linspace(-2.5, 2.5, COLUMNS + 1)
    z = np.repeat(_class_codes(scene, classes)[:, None], len(steps), axis=1)
    names = []
    for row, label in enumerate(classes):
        dims = own(label)
        dim = dims[np.argmax(table[label, dims])]
        z[row, :, dim] = steps
        found = table[label, dim]
        text = "no test examples" if np.isnan(found) else f"{found:.2f} nats"
        names.append(f"'{plain_label(scene, label)}' dim {dim - dims[0]}, {text}")
    columns = [f"{step:+.1f}" for step in steps]
    return grid(scene, scene.decode(z), names, columns)


def class_samples_wide(scene: Scene) -> dict[str, Any] | None:
    """Columns: classes; rows: draws from a prior wider than that of training."""
    parts = _class_parts(scene)
    if parts is None:
        return None
    classes = parts[2]
    labels = np.tile(classes, 8)
    codes = scene.codes_of_prior(len(labels), labels, sigma=WIDE_SIGMA)
    images = scene.decode(codes.reshape(8, len(classes), -1))
    names = [plain_label(scene, k) for k in classes]
    return grid(scene, images, column_names=names)


def factor_kl(scene: Scene) -> dict[str, Any] | None:
    """Mean KL of the shared dims and of each class's own dims, by class."""
    parts = _class_parts(scene)
    table = None if parts is None else _kl_table(scene)
    if table is None:
        return None
    shared, own, _ = parts
    rows = range(len(table))
    return {
        "shared": table[:, shared],
        "own": np.stack([table[k, own(k)] for k in rows]),
        "names": [plain_label(scene, k) for k in rows],
    }
