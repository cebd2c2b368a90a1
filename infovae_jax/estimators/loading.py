"""A saved model, or the workdir of a trained run, as a fitted estimator."""

import json
import math
import pathlib
from typing import Any

import jax
import numpy as np

from infovae_jax import config as config_lib
from infovae_jax.data import columns, intake, numpy_files, scaling
from infovae_jax.errors import CheckpointError, ConfigError, DataError
from infovae_jax.estimators import saving, settings, systems
from infovae_jax.estimators.estimator import BaseVAE
from infovae_jax.training.run import Run
from infovae_jax.training.saved import open_model

# Another processor rounds otherwise.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


def classes() -> dict[str, type]:
    """Name -> class of every estimator."""
    return {
        name: value
        for name, value in vars(systems).items()
        if isinstance(value, type)
        and issubclass(value, BaseVAE)
        and hasattr(value, "objective")
    }


def load(folder: str | pathlib.Path) -> Any:
    """The estimator that `save` wrote, or the model of a trained run's workdir.

    What it makes of the rows that lie beside it is compared with what it made when it
    was saved.

    Raises:
      CheckpointError: the folder holds no model, a damaged one, or one that gives
        other values here.
      ConfigError: a workdir without run.
    """
    folder = pathlib.Path(folder)
    if not (folder / saving.MODEL).is_file():
        if (folder / "config.json").is_file():
            return _from_workdir(folder)
        raise CheckpointError(
            f"no model here (neither {saving.MODEL} nor config.json)",
            str(folder),
            "name a folder of est.save, or a trained run's workdir",
        )
    try:
        model = _read(folder)
    except (
        ConfigError,
        DataError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise CheckpointError(
            f"the model cannot be read ({type(error).__name__}: {error})",
            str(folder),
            "save it again",
        ) from error
    _compare(model, folder)
    return model


def _read(folder: pathlib.Path) -> Any:
    record = json.loads((folder / saving.MODEL).read_text(encoding="utf-8"))
    if record["format_version"] > saving.FORMAT_VERSION:
        raise ValueError("saved by a newer infovae_jax, which is needed to read it")
    model = classes()[record["class"]](
        **{name: _tuples(value) for name, value in record["parameters"].items()}
    )
    tensors = saving.read_arrays(folder)
    config = config_lib.from_json(json.dumps(record["config"]))
    config_lib.check(config)
    spec, scheme = intake.spec_of(record["spec"]), record.get("scheme")
    run = settings.make_run(config_lib.to_json(config), spec)
    model.adopt(
        run,
        saving.unflatten(tensors, "params"),
        scaling.from_json(record["scaling"]),
        scheme and columns.from_json(scheme),
    )
    shape = record["image_shape"]
    model.image_shape_ = None if shape is None else tuple(shape)
    for name in saving.PLAIN:
        if name in record["fitted"]:
            setattr(model, name, record["fitted"][name])
    for name, values in record["names"].items():
        setattr(model, name, np.asarray(values, np.dtype(record["dtypes"][name])))
    table = {k.partition("/"): v for k, v in tensors.items()}
    model.history_ = {k: v for (first, _, k), v in table.items() if first == "history"}
    if "labels_" in tensors:
        model.labels_ = tensors["labels_"]
    _require_shapes(model, run)
    return model


def _require_shapes(model: Any, run: Run) -> None:
    """The arrays are those of the networks that the config describes."""
    expected = jax.eval_shape(run.objective.init, jax.random.key(0))

    def shapes(tree):
        return jax.tree.map(lambda leaf: tuple(leaf.shape), tree)

    if shapes(model.params_) != shapes(expected):
        raise ValueError("the arrays are not of the networks that model.json describes")


def _from_workdir(folder: pathlib.Path) -> Any:
    """The model of a run, of a population the member that it chose."""
    saved = open_model(str(folder)).chosen()
    run, params, step = saved.run, saved.params, saved.step
    by_objective = {cls.objective: cls for cls in classes().values()}
    config, spec = run.config, run.dataset.spec
    if config.objective not in by_objective:
        raise ConfigError(
            f"no estimator has the objective '{config.objective}'",
            str(folder),
            "use --mode=encode --workdir",
        )
    model = by_objective[config.objective](random_state=config.seed)
    zero, one = np.zeros(()), np.ones(())
    how = f"as the run of {folder} took them"
    model.image_shape_ = None if spec.shape[0] == spec.shape[2] == 1 else spec.shape
    if model.image_shape_ is not None and spec.shape[2] == 1:
        model.image_shape_ = spec.shape[:2]
    model.n_features_in_ = math.prod(spec.shape)
    scale = scaling.Scaling("none", zero, one, spec.dtype, how)
    scheme = run.dataset.intake and run.dataset.intake.scheme
    model.adopt(run, params, scale, scheme)
    if scheme is not None:
        model.n_features_in_ = len(scheme.used)
    model.seed_, model.n_iter_ = config.seed, step // run.steps_per_epoch
    model.decision_, model.stop_reason_ = run.dataset.decision, f"at step {step}"
    model.history_ = {}
    if spec.num_labels:
        model.classes_ = np.arange(spec.num_labels)
    return model


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _compare(model: Any, folder: pathlib.Path) -> None:
    try:
        check = numpy_files.read_archive(folder / saving.CHECK, sorted)
        found = saving.outputs(model, check.pop("x"))
    except (DataError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"the model cannot be checked ({error})",
            str(folder / saving.CHECK),
            "save again",
        ) from error
    for name, value in found.items():
        saved = check.get(name)
        if (
            saved is None
            or saved.shape != value.shape
            or not np.allclose(value, saved, _RELATIVE, _ABSOLUTE)
        ):
            raise CheckpointError(
                f"the model gives other {name} than when it was saved",
                str(folder),
                "the files are damaged or of two models: save again",
            )
