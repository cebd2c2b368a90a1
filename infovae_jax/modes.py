"""The modes of the command line, as functions of a config or a workdir."""

import hashlib
import pathlib

import jax
import numpy as np
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax import evaluation, loop, report, train_step
from infovae_jax.errors import ConfigError


def train(config: ConfigDict | None, workdir: str | None) -> None:
    """Trains (or goes on training), then evaluates and reports."""
    if config is None:
        raise ConfigError(
            "no --config", "command line", "e.g. --config=configs/infocatvae.py"
        )
    # Through JSON and back, so that a run and its continuation see equal values.
    config = config_lib.from_json(config_lib.to_json(config))
    loop.enable_compilation_cache()
    folder = pathlib.Path(workdir) if workdir else default_workdir(config)
    run = loop.open_run(config)
    mesh = run.make_mesh()
    loop.claim_workdir(config, folder)
    print(f"workdir: {folder}", flush=True)
    state = loop.train(run, folder, mesh)
    params = train_step.variables(state)
    _evaluate(run, params, int(state.step), folder)
    _report(run, params, folder)


def evaluate(
    workdir: str | None, metrics: str = "core", inception: str | None = None
) -> None:
    """Evaluates a run's newest checkpoint; prints and writes `evaluation.json`.

    `metrics`: see `evaluation.evaluate`; `inception`: in place of the run's own
    `evaluation.inception`.
    """
    evaluation.chosen_groups(metrics)  # a wrong name is said before anything is read
    run, params, step, folder = _open(workdir)
    if inception is not None:
        run.config.evaluation.inception = inception
    _evaluate(run, params, step, folder, metrics)


def make_report(workdir: str | None) -> None:
    """Writes `report.html` and `figures/` of a run again."""
    run, params, _, folder = _open(workdir)
    _report(run, params, folder)


def sample(workdir: str | None, num: int, cluster: int | None) -> None:
    """Draws images from the prior: `samples.npz` (`x [num, H, W, C]`) and a PNG."""
    run, params, _, folder = _open(workdir)
    num_clusters = run.objective.prior.mean.shape[0]
    if cluster is not None and cluster >= num_clusters:
        raise ConfigError(
            f"no cluster {cluster}",
            "--cluster",
            f"this run has clusters 0 to {num_clusters - 1}",
        )
    key = jax.random.key(run.config.evaluation.seed)
    x = np.asarray(run.objective.sample(key, params, num, cluster))
    np.savez(folder / "samples.npz", x=x)
    report.sample_grid(x, folder / "samples.png")
    print(f"wrote {folder / 'samples.npz'} and {folder / 'samples.png'}")


def encode(workdir: str | None) -> None:
    """Encodes both splits: `codes.npz` with `<split>_mean`, `_log_var`, `_logits`.

    Where the objective clusters, `<split>_cluster` holds argmax q(c | x); where the
    data carry labels, `<split>_label` holds them.
    """
    run, params, _, folder = _open(workdir)
    arrays = {}
    splits = {
        "train": (run.dataset.train_x, run.dataset.train_y),
        "test": (run.dataset.test_x, run.dataset.test_y),
    }
    for name, (x, labels) in splits.items():
        codes = evaluation.encode_split(run, params, x)
        arrays[f"{name}_mean"], arrays[f"{name}_log_var"] = codes.mean, codes.log_var
        if codes.logits is not None:
            arrays[f"{name}_logits"] = codes.logits
            arrays[f"{name}_cluster"] = codes.logits.argmax(-1)
        if labels is not None:
            arrays[f"{name}_label"] = np.asarray(labels)
    np.savez(folder / "codes.npz", **arrays)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    print(f"wrote {folder / 'codes.npz'}: {shapes}")


BY_NAME = {"evaluate": evaluate, "report": make_report, "encode": encode}
NAMES = ("train", *BY_NAME, "sample")


def default_workdir(config: ConfigDict) -> pathlib.Path:
    """A folder under runs/ that follows from the config alone.

    The same command therefore goes on with its own run, and a changed key starts
    another one.
    """
    digest = hashlib.sha256(config_lib.to_json(config).encode()).hexdigest()[:8]
    name = f"{config.objective}-{config.preset}-seed{config.seed}-{digest}"
    return pathlib.Path("runs") / name


def _open(workdir: str | None):
    """A saved run: read from its JSON, with the newest parameters."""
    if workdir is None:
        raise ConfigError("no --workdir", "command line", "name the folder of a run")
    folder = pathlib.Path(workdir)
    saved = folder / "config.json"
    if not saved.is_file():
        raise ConfigError(
            "no run here (no config.json)", workdir, "name a run's folder"
        )
    try:
        config = config_lib.from_json(saved.read_text())
    except ValueError as error:
        raise ConfigError(f"damaged: {error}", str(saved), "restore the file") from None
    loop.enable_compilation_cache()
    run = loop.open_run(config)
    params, step = loop.restore_params(run, folder)
    return run, params, step, folder


def _evaluate(run, params, step: int, folder: pathlib.Path, metrics="core") -> None:
    result = evaluation.evaluate(run, params, step, metrics)
    loop.save_json(folder / "evaluation.json", result)
    print(evaluation.table_text(result), flush=True)


def _report(run: loop.Run, params, folder: pathlib.Path) -> None:
    path = report.write(run, params, folder)
    print(f"open {path} in a browser to see the result", flush=True)
