"""A fitted estimator as a folder: JSON, arrays, and a check of what they give.

    model.json            class, parameters, config, scaling, names, versions
    model.safetensors     arrays; model.npz where safetensors is not installed
    check.npz             rows, and what the model made of them when it was saved

Nothing is pickled; a text that names another class than ours is refused.
"""

import copy
import importlib.util
import json
import pathlib
import platform
from typing import Any

import jax
import numpy as np

import infovae_jax
from infovae_jax.data import columns, intake, numpy_files, scaling, tables
from infovae_jax.errors import ConfigError
from infovae_jax.estimators.settings import plain
from infovae_jax.training.files import write_atomically

FORMAT_VERSION = 1
MODEL, CHECK = "model.json", "check.npz"
CHECK_ROWS = 8
PLAIN = ("seed_", "n_iter_", "stop_reason_", "decision_", "n_features_in_", "members_")


def save(model: Any, folder: str | pathlib.Path) -> None:
    """Writes a fitted estimator.

    Raises:
      ConfigError: a parameter that JSON does not hold.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: getattr(model, name) for name in PLAIN if hasattr(model, name)}
    shape = model.image_shape_
    lists = {
        name: getattr(model, name).tolist()
        for name in ("classes_", "feature_names_in_")
        if hasattr(model, name)
    }
    record = {
        "format_version": FORMAT_VERSION,
        "class": type(model).__name__,
        "parameters": _parameters(model),
        "config": json.loads(model._config),
        "spec": intake.spec_to_json(model._spec),
        "scaling": scaling.to_json(model._scaling),
        "scheme": model._scheme and columns.to_json(model._scheme),
        "image_shape": None if shape is None else list(shape),
        "fitted": values,
        "names": lists,
        "versions": {
            "infovae_jax": infovae_jax.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    tensors = _flatten(model.params_, "params")
    tensors |= {f"history/{k}": v for k, v in getattr(model, "history_", {}).items()}
    if hasattr(model, "labels_"):
        tensors["labels_"] = model.labels_
    record["dtypes"] = {k: str(getattr(model, k).dtype) for k in lists}
    _write_arrays(folder, tensors)
    x = _check_rows(model)
    np.savez(folder / CHECK, x=x, **outputs(model, x))
    # Last: a folder without it is a save that was cut off.
    write_atomically(folder / MODEL, json.dumps(record, indent=1) + "\n")


def _parameters(model: Any) -> dict[str, Any]:
    values = {name: plain(value) for name, value in model.get_params(False).items()}
    if not isinstance(values["random_state"], int | None):
        values["random_state"] = model.seed_
    try:
        json.dumps(values)
    except TypeError as error:
        raise ConfigError(
            f"a parameter cannot be saved ({error})",
            type(model).__name__,
            "use numbers, texts, None, and tuples and dicts of them",
        ) from None
    return values


def _check_rows(model: Any) -> np.ndarray:
    """Samples of the model itself: rows that it knows, and nobody's data."""
    rows = model.sample(CHECK_ROWS)
    if model._scheme is None:
        return rows
    return model._scheme.encode(tables.as_frame(rows), "samples")


def outputs(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """What a model makes of rows, by name: codes, what they decode to, bounds."""
    bare = copy.copy(model)  # that takes and gives arrays, whatever the model does
    for name in ("feature_names_in_", "_sklearn_output_config"):
        vars(bare).pop(name, None)
    codes = bare.transform(x)
    decode = bare.inverse_transform if bare._scheme is None else bare.decoded
    found = {"codes": codes, "decoded": decode(codes)}
    found["bounds"] = bare.score_samples(x)
    if hasattr(bare, "predict_proba"):
        found["probabilities"] = bare.predict_proba(x)
    return found


def _flatten(tree: dict, prefix: str) -> dict[str, np.ndarray]:
    """Nested dicts as 'a/b/c' -> array; an empty dict is an empty array."""
    flat = {}
    for name, value in tree.items():
        path = f"{prefix}/{name}"
        if isinstance(value, dict):
            flat |= _flatten(value, path) or {f"{path}/": np.zeros(0, np.float32)}
        else:
            flat[path] = np.asarray(value, order="C")
    return flat


def unflatten(flat: dict[str, np.ndarray], prefix: str) -> dict:
    """The nested dicts under the first part of the paths."""
    tree: dict = {}
    for path, value in flat.items():
        first, *names = path.split("/")
        if first != prefix:
            continue
        node = tree
        for name in names[:-1]:
            node = node.setdefault(name, {})
        if names[-1]:
            node[names[-1]] = value
    return tree


def _write_arrays(folder: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    for name in ("model.npz", "model.safetensors"):
        (folder / name).unlink(missing_ok=True)
    if importlib.util.find_spec("safetensors") is None:
        np.savez(folder / "model.npz", **arrays)
        return
    from safetensors.numpy import save_file

    save_file(
        {name: np.atleast_1d(value) for name, value in arrays.items()},
        folder / "model.safetensors",
        metadata={
            "scalars": json.dumps([k for k, v in arrays.items() if not np.ndim(v)])
        },
    )


def read_arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a saved model, by their paths.

    Raises:
      ValueError, DataError: the file is missing or damaged, or safetensors is.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        return numpy_files.read_archive(folder / "model.npz", sorted)
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise ValueError(
            "it holds model.safetensors: pip install safetensors"
        ) from None
    try:
        with safe_open(path, framework="numpy") as file:
            scalars = set(json.loads((file.metadata() or {}).get("scalars", "[]")))
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"damaged model.safetensors: {error}") from None
    return {k: v.reshape(()) if k in scalars else v for k, v in found.items()}
