"""A fitted estimator as a folder; see `export.folder` for the files."""

import copy
import json
import pathlib
import platform
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import infovae_jax
from infovae_jax.data import cache, columns, intake, scaling
from infovae_jax.errors import ConfigError
from infovae_jax.estimators.settings import plain
from infovae_jax.export import files, functions
from infovae_jax.export import folder as folder_lib
from infovae_jax.networks import own

FORMAT_VERSION = 2
CHECK_ROWS = 8
PLAIN = (
    *("seed_", "n_iter_", "stop_reason_", "decision_", "n_features_in_", "members_"),
    "data_digest_",
)
OWN = ("encoder", "decoder")


def save(model: Any, folder: str | pathlib.Path, formats: Sequence[str] = ()) -> None:
    """Writes a fitted estimator, and programs of these `folder.FORMATS` beside it.

    Raises:
      ConfigError: a parameter that JSON does not hold, an unknown format, or one that
        cannot hold the model.
    """
    formats = (formats,) if isinstance(formats, str) else formats
    folder_lib.check_formats(formats)
    lists = {
        name: getattr(model, name).tolist()
        for name in ("classes_", "feature_names_in_")
        if hasattr(model, name)
    }
    record = _record(model, lists)
    tensors = files.flatten(model.params_, "params")
    tensors |= {f"history/{k}": v for k, v in getattr(model, "history_", {}).items()}
    if hasattr(model, "labels_"):
        tensors["labels_"] = model.labels_
    x = _check_rows(model)
    run = model._run()
    folder_lib.write(
        cache.expanded(folder),
        record,
        tensors,
        {"x": x, **outputs(model, x)},
        lambda: functions.make(run.config, model._spec),
        model._scaling,
        formats,
    )


def _record(model: Any, lists: dict[str, list]) -> dict[str, Any]:
    """What `model.json` holds."""
    config, shape = json.loads(model._config), model.image_shape_
    system = _system(model)
    *networks, base = model._networks
    if networks != [None, None]:
        config["network"]["kind"] = base
    of_arrays = model._trained_on is not None and model._scheme is None
    clustered = hasattr(model, "predict_proba") and "classes_" not in lists
    count = config["model"]["num_clusters"] if clustered else 0
    values = {name: getattr(model, name) for name in PLAIN if hasattr(model, name)}
    return {
        "format_version": FORMAT_VERSION,
        "class": system.__name__,
        "parameters": _parameters(model, system),
        "own_networks": {
            name: own.describe(network)
            for name, network in zip(OWN, networks, strict=True)
            if network is not None
        },
        "config": config,
        "spec": intake.spec_to_json(model._spec),
        "scaling": scaling.to_json(model._scaling),
        "scheme": model._scheme and columns.to_json(model._scheme),
        # Of a run: what its data were, and which new ones are like them.
        "intake": intake.to_json(model._trained_on) if of_arrays else None,
        "image_shape": None if shape is None else list(shape),
        # By their numbers in the prior: no label was looked at.
        "clusters": [f"cluster {number}" for number in range(count)],
        "fitted": values,
        "names": lists,
        "dtypes": {name: str(getattr(model, name).dtype) for name in lists},
        "versions": {
            "infovae_jax": infovae_jax.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _system(model: Any) -> type:
    """The class that `load` gives: a class of somebody's own is in no file.

    Raises:
      ConfigError: it is derived from none of the package.
    """
    found = [c for c in type(model).__mro__ if c.__module__.startswith(__package__)]
    system = found[0]
    if not hasattr(system, "objective"):
        name = type(model).__name__
        what = f"{name} is derived from no system of the package"
        raise ConfigError(what, name, "derive it from one, such as VAE")
    if system is not type(model):
        warnings.warn(
            f"saved as a {system.__name__}, which `load` gives: the code of "
            f"{type(model).__name__} is in no file",
            stacklevel=5,
        )
    return system


def _parameters(model: Any, system: type) -> dict[str, Any]:
    names = system().get_params(False).keys() - set(OWN)
    values = {name: plain(getattr(model, name)) for name in sorted(names)}
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
    if model._scheme is None:
        return model.sample(CHECK_ROWS)
    # As stored: a draw of counts may lie beyond those that a table may have.
    return model.drawn(CHECK_ROWS)


def outputs(model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """What a model makes of rows, by name: codes, what they decode to, bounds."""
    bare = copy.copy(model)  # that takes and gives arrays, whatever the model does
    for name in ("feature_names_in_", "_sklearn_output_config"):
        vars(bare).pop(name, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a damaged model: who compares will tell
        codes = bare.transform(x)
        decode = bare.inverse_transform if bare._scheme is None else bare.decoded
        found = {"codes": codes, "decoded": decode(codes)}
        found["bounds"] = bare.score_samples(x)
        if hasattr(bare, "predict_proba"):
            found["probabilities"] = bare.predict_proba(x)
    return found
