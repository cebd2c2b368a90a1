"""What the command line does, as functions of a config or a workdir.

Evaluation and report are imported where they are used: training starts without them.
"""

import contextlib
import functools
import hashlib
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax.config import command_line, sweeps
from infovae_jax.data import raw_splits
from infovae_jax.errors import SIGNAL_ENDING, ConfigError, DataError
from infovae_jax.training import (
    blocks,
    checkpoint,
    files,
    identity,
    loop,
    memory,
    population,
    processes,
    rewind,
    sharding,
    trackers,
    train_step,
)
from infovae_jax.training.opening import DEFAULT, Opening, sweep
from infovae_jax.training.run import Run, claim_workdir, locked, open_run
from infovae_jax.training.saved import Saved, keep_intake, open_model, open_saved


def train(
    config: ConfigDict | None,
    workdir: str | None,
    opening: Opening = DEFAULT,
    fit_batch: bool = False,
) -> None:
    """Trains (or goes on training), then evaluates and reports.

    `opening`: of a run that is there already; `fit_batch`: see `open_run`.
    """
    if config is None:
        raise ConfigError("no --config", "command line", "e.g. --config=infocatvae")
    if workdir == "":
        raise ConfigError("an empty path", "--workdir", "name a folder")
    # Through JSON and back, so that a run and its continuation see equal values.
    config = config_lib.from_json(config_lib.to_json(config))
    config_lib.check(config)
    trackers.require(config.train.tracker)
    loop.enable_compilation_cache()
    processes.require_devices()
    folder = pathlib.Path(workdir) if workdir else default_workdir(config)
    SIGNAL_ENDING.stage("before the first step", str(folder))
    run = open_run(config, processes.say, fit_batch=fit_batch)
    many = sweeps.is_population(config)
    mesh = population.make_mesh(run) if many else run.make_mesh()
    members = len(sweeps.members_of(config)) if many else 1
    state = loop.abstract_state(run)
    memory.check(run, state, members, mesh)
    told = memory.forecast(run, state, members, mesh)
    if told is not None:
        processes.say(told)
    if config.train.precision == "bfloat16" and jax.default_backend() == "cpu":
        processes.say("note: CPUs are slower in bfloat16 than in float32")
    with files.writing_in(folder):
        _train_in(config, folder, run, mesh, opening)


def _train_in(
    config: ConfigDict, folder: pathlib.Path, run: Run, mesh: Mesh, opening: Opening
) -> None:
    """Opens the folder, trains, evaluates and reports."""
    many = sweeps.is_population(config)
    if opening.step is None:
        longer = processes.on_first(lambda: claim_workdir(config, folder))
        if longer is not None:
            processes.say(longer)
    with contextlib.ExitStack() as held:
        processes.on_first(lambda: held.enter_context(locked(folder)))
        processes.on_first(lambda: sweep(folder))
        if opening.step is not None:
            processes.on_first(lambda: _rewind(run, folder, opening.step))
        processes.say(f"workdir: {folder}")
        accepted = processes.on_first(lambda: _check_data(run, folder, opening))
        processes.on_first(lambda: keep_intake(folder, run.dataset))
        last = checkpoint.Checkpoints(folder / "checkpoints").latest()
        SIGNAL_ENDING.in_training(last, str(folder))
        program = population.make_program(run, folder, mesh) if many else None
        remembered: dict = {}
        evaluators = [] if many else _evaluators(run, remembered)
        state = loop.train(
            run, folder, mesh, evaluators, program, opening.strict, remembered
        )
    params = sharding.to_local(train_step.variables(state))
    saved = Saved(run, params, blocks.steps_done(state), folder, accepted)
    processes.on_first(lambda: evaluate_and_report(saved))


def _rewind(run: Run, folder: pathlib.Path, step: int) -> None:
    many = sweeps.is_population(run.config)
    restore = population.restore if many else loop.restore_params
    rewind.rewind(folder, step, run.config, lambda: restore(run, folder, Opening(step)))


def _check_data(run: Run, folder: pathlib.Path, opening: Opening):
    """`identity.check_data`, and a line where other data are accepted."""
    accepted = identity.check_data(folder, run.identity(), opening.accept_changed_data)
    if accepted is not None:
        parts = ", ".join(accepted["parts"])
        path = folder / identity.ACCEPTED
        print(f"note: other {parts} since step {accepted['step']}, accepted; {path}")
    return accepted


def evaluate_and_report(saved: Saved, metrics: str = "core") -> None:
    """Evaluates a run, of a population the member it chooses, and writes the report."""
    where = str(saved.folder)
    SIGNAL_ENDING.stage(f"in the evaluation; step {saved.step} is saved", where)
    from infovae_jax.evaluation.workdir import evaluate_saved

    trained_on = saved.run.identity().lines()
    evaluated = evaluate_saved(saved, metrics)
    print(trained_on, flush=True)
    if saved.run.dataset.spec.blocks:
        from infovae_jax.evaluation import rows

        rows.keep_unusual_below(evaluated)
    _write_report(evaluated)


def evaluate(
    workdir: str | None,
    metrics: str = "core",
    member: int | None = None,
    changes: dict[str, object] | None = None,
    opening: Opening = DEFAULT,
) -> None:
    """Evaluates a run's newest checkpoint: `evaluation.json`, and the report again.

    Of a population: all members in short, then the chosen one, or `member`.

    `metrics`: see `evaluation.evaluate`; `changes`: values in place of the run's own
    `config.evaluation`; `opening`: which checkpoint, and what is accepted.
    """
    from infovae_jax import evaluation

    evaluation.chosen_groups(metrics)  # a wrong name is said before anything is read
    saved = _with_its_data(workdir, member, opening)
    if member is not None:
        saved = saved.of_member(member)
    saved.run.config.evaluation.update(changes or {})
    evaluate_and_report(saved, metrics)


def _with_its_data(workdir: str | None, member: int | None, opening: Opening) -> Saved:
    """`open_saved`, of a mode that takes new data, too."""
    try:
        return open_saved(workdir, member, opening)
    except DataError as error:
        own = "its new place by --config.data.source, or new data by --input"
        fix = f"{error.fix}; name {own}"
        raise DataError(error.what, error.where, fix) from None


def make_report(
    workdir: str | None,
    member: int | None = None,
    opening: Opening = DEFAULT,
) -> None:
    """Writes `report.html` and `figures/` of a run again.

    Raises:
      CheckpointError: `evaluation.json` is damaged; the page is there, without figures.
    """
    from infovae_jax.report import results

    saved = open_saved(workdir, member, opening).chosen(member)
    _write_report(saved)
    results.require_whole(saved.folder)


def sample(
    workdir: str | None,
    num: int,
    cluster: int | None,
    member: int | None = None,
    opening: Opening = DEFAULT,
) -> None:
    """Draws images from the prior: `samples.npz` (`x [num, H, W, C]`) and a PNG.

    The numbers are those of the model; where `data.scaling` changed the data's, they
    are brought back. Of a table `samples.csv`: rows drawn from p(x | z), in its units,
    behind the cluster (of an N-VAE the class) of each.
    """
    saved = open_model(workdir, member, opening).chosen(member)
    run, params, folder = saved.run, saved.params, saved.folder
    num_clusters = run.objective.prior.mean.shape[0]
    if cluster is not None and cluster >= num_clusters:
        raise ConfigError(
            f"no cluster {cluster}",
            "--cluster",
            f"this run has clusters 0 to {num_clusters - 1}",
        )
    memory.check_samples(run, num)
    key = jax.random.key(run.config.evaluation.seed)
    if run.dataset.spec.blocks:
        from infovae_jax.evaluation import tabular

        scheme = run.dataset.intake.scheme
        frame = tabular.drawn(key, run.objective, params, scheme, num, cluster)
        frame.to_csv(files.outlet(folder / "samples.csv"), index=False)
        print(f"wrote {folder / 'samples.csv'}: {num} rows")
        return
    from infovae_jax import report

    x = np.asarray(run.objective.sample(key, params, num, cluster))
    own = run.dataset.intake.original(x)
    np.savez(files.outlet(folder / "samples.npz"), x=own)
    shown = report.sample_grid(x, files.outlet(folder / "samples.png"))
    first = "" if shown == num else f" of the first {shown}"
    print(f"wrote {folder / 'samples.npz'} and {folder / 'samples.png'}{first}")


def new_data(
    mode: str,
    workdir: str | None,
    source: str | None,
    output: str | None = None,
    num: int = 64,
    member: int | None = None,
    opening: Opening = DEFAULT,
) -> None:
    """Applies a trained run to examples of a file or folder.

    Rows are encoded, predicted or evaluated; of images at most `num` are reconstructed,
    interpolated or traversed.

    `source`: see `data.new_rows.read`; `output`: of rows by default a CSV file in the
    working folder, see `evaluation.new_data.apply`; of images a PNG and an npz in the
    run's, see `report.own_images.apply`.
    """
    from infovae_jax.evaluation import new_data as evaluated
    from infovae_jax.evaluation import row_files

    path = evaluated.require_input(mode, source)
    if mode in command_line.OF_IMAGES:
        _own_images(mode, workdir, path, output, num, member, opening)
        return
    target = pathlib.Path(output) if output else evaluated.default_output(path, mode)
    row_files.check(target, run=workdir)
    row_files.check_apart([target], path)
    saved = open_model(workdir, member, opening).chosen(member)
    below, note = None, None
    if "bounds" in evaluated.WANTED[mode]:
        below, note = evaluated.find_unusual_below(
            saved,
            lambda: open_saved(workdir, member, opening, lambda text: None).chosen(
                member
            ),
        )
    lines = evaluated.apply(saved, mode, path, target, below)
    print("\n".join([*lines, *([note] if note else [])]), flush=True)


def _own_images(
    mode: str,
    workdir: str | None,
    path: pathlib.Path,
    output: str | None,
    num: int,
    member: int | None,
    opening: Opening,
) -> None:
    from infovae_jax.evaluation import row_files
    from infovae_jax.report import own_images as shown

    if output:
        row_files.check(pathlib.Path(output), (".png", ".npz"), workdir)
    saved = open_model(workdir, member, opening).chosen(member)
    targets = shown.outputs(mode, saved.folder, output)
    row_files.check_apart(targets, path)
    with files.writing_in(targets[0].parent):
        lines = shown.apply(saved, mode, path, num, targets)
    print("\n".join(lines), flush=True)


def encode(
    workdir: str | None,
    member: int | None = None,
    opening: Opening = DEFAULT,
    output: str | None = None,
) -> None:
    """Encodes both splits: `codes.npz` with `<split>_mean`, `_log_var`, `_logits`.

    Where the objective clusters, `<split>_cluster` holds argmax q(c | x); where the
    data carry labels, `<split>_label` holds them, and `label_names` their names.
    `<split>_origin` tells where each example is in the source: its file, or its row.
    With `output` a table of rows too: split, index or file, label, cluster, q(c | x)
    and code.
    """
    from infovae_jax import evaluation
    from infovae_jax.evaluation import new_data, row_files

    if output:
        row_files.check(pathlib.Path(output), run=workdir)
    saved = _with_its_data(workdir, member, opening).chosen(member)
    run, params, folder = saved.run, saved.params, saved.folder
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
            arrays[f"{name}_probability"] = evaluation.probabilities(codes.logits)
        if labels is not None:
            arrays[f"{name}_label"] = np.asarray(labels)
    for name, origin in zip(splits, raw_splits.origins(run.dataset), strict=True):
        arrays[f"{name}_origin"] = origin
    if run.dataset.label_names:
        arrays["label_names"] = np.array(run.dataset.label_names)
    np.savez(files.outlet(folder / "codes.npz"), **arrays)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    print(f"wrote {folder / 'codes.npz'}: {shapes}")
    if output:
        verb = row_files.verb(pathlib.Path(output))
        count = row_files.write(pathlib.Path(output), new_data.training_rows(saved))
        print(f"{verb} {output}: {count} rows")


def export(
    workdir: str | None,
    output: str | None,
    formats: Sequence[str] = (),
    member: int | None = None,
    opening: Opening = DEFAULT,
) -> None:
    """Writes the model of a run to a folder that needs less; see docs/export.md.

    `output`: the folder; `formats`: of `export.folder.FORMATS`.
    """
    if not output:
        what = "no --output"
        raise ConfigError(what, "command line", "name a folder for the model")
    from infovae_jax.estimators import loading
    from infovae_jax.export import folder as folder_lib

    folder_lib.check_formats(formats)
    folder = folder_lib.claim(pathlib.Path(output))
    replaced = folder_lib.holds_model(folder)
    loading.of_run(open_model(workdir, member, opening).chosen(member)).save(
        folder, formats
    )
    names = ", ".join(sorted(path.name for path in folder.iterdir()))
    verb = "replaced the model in" if replaced else "wrote"
    print(f"{verb} {folder}: {names}")
    if missing := folder_lib.not_in_numpy(folder):
        print(f"note: NumPy alone cannot run this model: {missing}")


BY_NAME = {"evaluate": evaluate, "report": make_report, "encode": encode}
NAMES = ("train", *BY_NAME, "sample", "predict", "export", *command_line.OF_IMAGES)


def default_workdir(config: ConfigDict) -> pathlib.Path:
    """A folder under runs/ that follows from the config alone.

    The same command therefore goes on with its own run, and a changed key starts
    another one.
    """
    digest = hashlib.sha256(config_lib.to_json(config).encode()).hexdigest()[:8]
    name = f"{config.objective}-{config.preset}-seed{config.seed}-{digest}"
    return pathlib.Path("runs") / name


def _evaluators(run: Run, remembered: dict) -> list[loop.Evaluator]:
    """What training measures beside the bound; made when first called."""

    @functools.cache
    def plane():
        from infovae_jax.evaluation.information_plane import make_plane_evaluator

        return make_plane_evaluator(run)

    @functools.cache
    def assignments():
        from infovae_jax.evaluation.assignment_history import make_assignment_evaluator

        return make_assignment_evaluator(run, remembered)

    chosen = run.config.evaluation
    wanted = ((chosen.plane, plane), (chosen.assignments, assignments))
    return [lambda params, make=make: make()(params) for on, make in wanted if on]


def _write_report(saved: Saved) -> None:
    SIGNAL_ENDING.stage(f"in the report; step {saved.step} is saved", str(saved.folder))
    from infovae_jax import report

    path = report.write(saved.run, saved.params, saved.folder, saved.step)
    print(f"open {path} in a browser to see the result", flush=True)
