"""The modes of the command line, as functions of a config or a workdir.

Evaluation and report are imported where they are used: training starts without them.
"""

import functools
import hashlib
import pathlib

import jax
import numpy as np
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax.config import sweeps
from infovae_jax.errors import ConfigError
from infovae_jax.training import (
    loop,
    population,
    processes,
    sharding,
    train_step,
)
from infovae_jax.training.run import Run, claim_workdir, open_run


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
    run = open_run(config, say=processes.say)
    many = sweeps.is_population(config)
    mesh = population.make_mesh(run) if many else run.make_mesh()
    if config.train.precision == "bfloat16" and jax.default_backend() == "cpu":
        processes.say("note: CPUs are slower in bfloat16 than in float32")
    processes.on_first(lambda: claim_workdir(config, folder))
    processes.say(f"workdir: {folder}")
    if many:
        program = population.make_program(run, folder, mesh)
        state = loop.train(run, folder, mesh, program=program)
    else:
        state = loop.train(run, folder, mesh, _evaluators(run))
    params = sharding.to_local(train_step.variables(state))
    step = loop.steps_done(state)

    def finish():
        own = _choose_member(run, params, folder) if many else (run, params)
        _evaluate(*own, step, folder)
        _report(*own, folder, step)

    processes.on_first(finish)


def evaluate(
    workdir: str | None,
    metrics: str = "core",
    member: int | None = None,
    inception: str | None = None,
) -> None:
    """Evaluates a run's newest checkpoint: `evaluation.json`, and the report again.

    Of a population: all members in short, then the chosen one, or `member`.

    `metrics`: see `evaluation.evaluate`; `inception`: in place of the run's own
    `evaluation.inception`.
    """
    from infovae_jax import evaluation

    evaluation.chosen_groups(metrics)  # a wrong name is said before anything is read
    run, params, step, folder = _open(workdir, member, choose=True)
    if inception is not None:
        run.config.evaluation.inception = inception
    _evaluate(run, params, step, folder, metrics)
    _report(run, params, folder, step)


def make_report(workdir: str | None, member: int | None = None) -> None:
    """Writes `report.html` and `figures/` of a run again."""
    run, params, step, folder = _open(workdir, member)
    _report(run, params, folder, step)


def sample(
    workdir: str | None, num: int, cluster: int | None, member: int | None = None
) -> None:
    """Draws images from the prior: `samples.npz` (`x [num, H, W, C]`) and a PNG."""
    run, params, _, folder = _open(workdir, member)
    num_clusters = run.objective.prior.mean.shape[0]
    if cluster is not None and cluster >= num_clusters:
        raise ConfigError(
            f"no cluster {cluster}",
            "--cluster",
            f"this run has clusters 0 to {num_clusters - 1}",
        )
    from infovae_jax import report

    key = jax.random.key(run.config.evaluation.seed)
    x = np.asarray(run.objective.sample(key, params, num, cluster))
    np.savez(folder / "samples.npz", x=x)
    report.sample_grid(x, folder / "samples.png")
    print(f"wrote {folder / 'samples.npz'} and {folder / 'samples.png'}")


def encode(workdir: str | None, member: int | None = None) -> None:
    """Encodes both splits: `codes.npz` with `<split>_mean`, `_log_var`, `_logits`.

    Where the objective clusters, `<split>_cluster` holds argmax q(c | x); where the
    data carry labels, `<split>_label` holds them.
    """
    from infovae_jax import evaluation

    run, params, _, folder = _open(workdir, member)
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


def _open(workdir: str | None, member: int | None = None, choose: bool = False):
    """A saved run: read from its JSON, with the newest parameters.

    Of a population, the run of `member`, by default the chosen one; `choose` makes the
    choice (anew).
    """
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
    many = sweeps.is_population(config)
    count = len(sweeps.members_of(config)) if many else 0
    if member is not None and member >= count:
        there = (
            f"members 0 to {count - 1}" if many else "no members: it is a single run"
        )
        raise ConfigError(f"no member {member}", "--member", f"this run has {there}")
    run = open_run(config)
    if not many:
        params, step = loop.restore_params(run, folder)
        return run, params, step, folder
    params, step = population.restore(run, folder)
    if choose and member is None:
        return *_choose_member(run, params, folder), step, folder
    if member is None:
        member = population.read(folder).get("chosen")
    if member is None:
        raise ConfigError(
            "no member chosen yet", workdir, "run --mode=evaluate, or give --member"
        )
    params = population.member_params(params, member)
    return population.member_run(run, member), params, step, folder


def _choose_member(run: Run, params, folder: pathlib.Path):
    """Evaluates all members; the run and the parameters of the chosen one."""
    from infovae_jax.evaluation import members

    record = population.read(folder)
    how = record.get("strategy", "scan"), record.get("chunk", 1)
    figures = members.evaluate_members(run, params, *how)
    chosen = members.choose(sweeps.members_of(run.config), figures)
    record |= {"figures": figures, "chosen": chosen.member, "how": chosen.how}
    best = members.oracle(figures)
    if best is not None:
        record |= {"oracle": best.member, "oracle_by": best.how}
    loop.save_json(folder / population.FILE, record)
    print(members.table_text(record), flush=True)
    params = population.member_params(params, chosen.member)
    return population.member_run(run, chosen.member), params


def _evaluators(run: Run) -> list[loop.Evaluator]:
    """What training measures beside the bound; made when first called."""

    @functools.cache
    def plane():
        from infovae_jax.evaluation.information_plane import make_plane_evaluator

        return make_plane_evaluator(run)

    return [lambda params: plane()(params)] if run.config.evaluation.plane else []


def _evaluate(run, params, step: int, folder: pathlib.Path, metrics="core") -> None:
    from infovae_jax import evaluation

    result = evaluation.evaluate(run, params, step, metrics)
    _save_clusters(run, params, folder)
    print(evaluation.table_text(result), flush=True)
    if run.member is not None:
        result["member"] = run.member
        record = population.read(folder)
        if "figures" in record:
            from infovae_jax.evaluation import members

            result["table"] += members.summary_rows(record)
    loop.save_json(folder / "evaluation.json", result)


def _save_clusters(run: Run, params, folder: pathlib.Path) -> None:
    """`clusters.npz` where the objective clusters: what `summary` compares over runs.

    `cluster` `[m]` is argmax q(c | x) of the test split, `test_split` its digest.
    """
    from infovae_jax import evaluation

    x = run.dataset.test_x
    if run.objective.classify is None:
        return
    clusters = evaluation.encode_split(run, params, x).logits.argmax(-1)
    digest = hashlib.sha256(repr((x.shape, str(x.dtype))).encode())
    for start in range(0, len(x), 1000):
        digest.update(np.ascontiguousarray(x[start : start + 1000]))
    split = np.array(digest.hexdigest())
    np.savez(folder / "clusters.npz", cluster=clusters, test_split=split)


def _report(run: Run, params, folder: pathlib.Path, step: int) -> None:
    from infovae_jax import report

    path = report.write(run, params, folder, step)
    print(f"open {path} in a browser to see the result", flush=True)
