"""A saved model, or the workdir of a trained run, as a fitted estimator."""

import json
import math
import pathlib
from typing import Any

import jax
import numpy as np

from infovae_jax import config as config_lib
from infovae_jax import objectives
from infovae_jax.data import columns, intake, numpy_files, raw_splits, scaling
from infovae_jax.errors import CheckpointError, ConfigError, DataError
from infovae_jax.estimators import saving, settings, systems
from infovae_jax.estimators.estimator import BaseVAE
from infovae_jax.export import files, numpy_runtime
from infovae_jax.training import identity
from infovae_jax.training.run import Run
from infovae_jax.training.saved import Saved, open_model
from infovae_jax.types import DataSpec

# Another processor rounds otherwise.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4
# Numbers of a prior that need no proof: 40 MB.
_MAX_PRIOR = 10**7
_MAX_ROW = 10**8


def classes() -> dict[str, type]:
    """Name -> class of every estimator."""
    return {
        name: value
        for name, value in vars(systems).items()
        if isinstance(value, type)
        and issubclass(value, BaseVAE)
        and hasattr(value, "objective")
    }


def load(
    folder: str | pathlib.Path,
    encoder: Any = None,
    decoder: Any = None,
    member: int | None = None,
) -> Any:
    """The estimator that `save` wrote, or the model of a trained run's workdir.

    What it makes of the rows that lie beside it is compared with what it made when it
    was saved. A clone of a run's model is trained as the run was: by the same networks,
    loss and steps. Which rows, without a column of labels, and which labels are seen
    is not the run's then, but what `fit` is given.

    Args:
      folder: of `est.save` or of a run.
      encoder: the same that the estimator was given, whose code is in no file; None
        where it was given none.
      decoder: likewise.
      member: of a population, by default the one that was chosen.

    Raises:
      CheckpointError: the folder holds no model, a damaged one, or one that gives
        other values here.
      ConfigError: a workdir without run, no such member, or no path.
    """
    folder = saving.as_path(folder)
    names = (numpy_runtime.MANIFEST, numpy_runtime.MODEL)
    if not any((folder / name).is_file() for name in names):
        if (folder / "config.json").is_file():
            return of_run(open_model(str(folder), member).chosen(member))
        raise CheckpointError(
            f"no model here (neither {numpy_runtime.MODEL} nor config.json)",
            str(folder),
            "name a folder of est.save, or a trained run's workdir",
        )
    if member is not None:
        what, fix = "a saved model has no members", "leave member out"
        raise ConfigError(what, str(folder), fix)
    with files.reading(folder):
        model = _read(folder, {"encoder": encoder, "decoder": decoder})
        _compare(model, folder)
    return model


def _read(folder: pathlib.Path, own: dict[str, Any]) -> Any:
    text = (folder / numpy_runtime.MODEL).read_text(encoding="utf-8")
    record = json.loads(text)
    version = record["format_version"]
    if version > saving.FORMAT_VERSION:
        raise ValueError("saved by a newer infovae_jax, which is needed to read it")
    if version > 1:
        numpy_runtime.check_manifest(folder)
    _require_own(record.get("own_networks", {}), own, folder)
    model = classes()[record["class"]](
        **{name: _tuples(value) for name, value in record["parameters"].items()}, **own
    )
    tensors = files.read_arrays(folder)
    config = config_lib.from_json(json.dumps(record["config"]))
    config_lib.check(config)
    objectives.check(config)
    spec, scheme = intake.spec_of(record["spec"]), record.get("scheme")
    _require_sizes(config, spec, tensors)
    networks = (*own.values(), config.network.kind)
    run = settings.make_run(config_lib.to_json(config), spec, networks)
    params = files.unflatten(tensors, "params")
    scale = scaling.from_json(record["scaling"])
    if scale.kind not in scaling.KINDS:
        raise ValueError(f"an unknown kind of scaling, {scale.kind!r}")
    scheme = scheme and columns.from_json(scheme)
    model.adopt(run, params, scale, scheme, networks)
    if record.get("intake") is not None:
        model.trained_on(intake.from_json(record["intake"]))
    shape = record["image_shape"]
    model.image_shape_ = None if shape is None else tuple(shape)
    for name in saving.PLAIN:
        if name in record["fitted"]:
            setattr(model, name, record["fitted"][name])
    for name, values in record["names"].items():
        if name not in ("classes_", "feature_names_in_"):
            raise ValueError(f"names of '{name[:40]}'")
        setattr(model, name, np.asarray(values, np.dtype(record["dtypes"][name])))
    table = {k.partition("/"): np.array(v) for k, v in tensors.items()}
    model.history_ = {k: v for (first, _, k), v in table.items() if first == "history"}
    if "labels_" in tensors:
        model.labels_ = np.array(tensors["labels_"])
    _require_shapes(model, run)
    return model


def _require_own(saved: dict[str, str], own: dict[str, Any], folder) -> None:
    """The networks of somebody's own are given where the model has some."""
    for name, value in own.items():
        if (name in saved) != (value is not None):
            what = (
                f"the model has an {name} of one's own ({saved[name]})"
                if name in saved
                else f"the model has no {name} of one's own"
            )
            fix = f"load(folder, {name}=...), with the same; or use numpy_runtime"
            if name not in saved:
                fix = f"leave {name} out"
            raise CheckpointError(what, str(folder), fix)


def _require_sizes(config: Any, spec: DataSpec, tensors: dict[str, np.ndarray]) -> None:
    """Before anything of such a size is made: it is none of this model."""
    if not 0 < math.prod(spec.shape) <= _MAX_ROW:
        raise ValueError(f"rows of shape {spec.shape}")
    learned = sum(array.size for array in tensors.values())
    sizes = [config.model.get(key, 1) for key in ("num_clusters", "latent_dim")]
    if max(sizes) > learned or math.prod(sizes) > max(_MAX_PRIOR, learned):
        raise ValueError("the arrays are not of the networks that model.json describes")


def _require_shapes(model: Any, run: Run) -> None:
    """The arrays are those of the networks that the config describes."""
    expected = jax.eval_shape(run.objective.init, jax.random.key(0))

    def shapes(tree):
        return jax.tree.map(lambda leaf: tuple(leaf.shape), tree)

    if shapes(model.params_) != shapes(expected):
        raise ValueError("the arrays are not of the networks that model.json describes")


def of_run(saved: Saved) -> Any:
    """The model of a run, of a population of one of its members.

    Raises:
      ConfigError: no estimator has its objective.
    """
    run, params, step = saved.run, saved.params, saved.step
    by_objective = {cls.objective: cls for cls in classes().values()}
    config, spec = run.config, run.dataset.spec
    if config.objective not in by_objective:
        raise ConfigError(
            f"no estimator has the objective '{config.objective}'",
            str(saved.folder),
            "use --mode=encode --workdir",
        )
    system, known = by_objective[config.objective], run.dataset.intake
    scheme, scale = (known.scheme, known.scaling) if known else (None, None)
    scaled = scale.kind if scale else "none"
    of_columns = scheme is not None or scaled == "standardize"
    model = system(
        **settings.parameters_of(system, config, spec.shape, of_columns),
        **_look(config, scheme, scaled),
    )
    model.image_shape_ = None if raw_splits.are_rows(spec.shape) else spec.shape
    if model.image_shape_ is not None and spec.shape[2] == 1:
        model.image_shape_ = spec.shape[:2]
    model.n_features_in_ = math.prod(spec.shape)
    if scale is None:
        how = "as the run took them"
        scale = scaling.UNCHANGED._replace(dtype=spec.dtype, decision=how)
    model.adopt(run, params, scale, scheme)
    if known is not None:
        model.trained_on(intake.without_examples(run.dataset))
    if scheme is not None:
        model.n_features_in_ = len(scheme.used)
    model.seed_, model.n_iter_ = config.seed, step // run.steps_per_epoch
    model.decision_, model.stop_reason_ = run.dataset.decision, f"at step {step}"
    model.history_ = {}
    stored = identity.stored(saved.folder)
    model.data_digest_ = (stored[1] if stored else run.identity()).digests()["data"]
    if run.objective.uses_labels:
        model.classes_ = np.arange(spec.num_labels)
    return model


def _look(config: Any, scheme: Any, scaled: str) -> dict[str, Any]:
    """Parameters by which an estimator looks at X as a run did at its data."""
    if scheme is None:
        return {"scaling": scaled}
    kinds = columns.parse(config.data.columns)
    return {"columns": kinds, "missing": config.data.missing}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _compare(model: Any, folder: pathlib.Path) -> None:
    path = folder / numpy_runtime.CHECK
    try:
        check = numpy_files.read_archive(path, sorted)
        found = saving.outputs(model, check.pop("x"))
    except (DataError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"the model cannot be checked ({error})",
            str(path),
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
