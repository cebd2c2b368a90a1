"""The ten lines on top of the page: what was trained, whether it is what it seems, and
five figures with what they are to be compared with."""

import math
import shlex
from typing import NamedTuple

from infovae_jax import config as config_lib
from infovae_jax.errors import ConfigError
from infovae_jax.evaluation.table import format_value
from infovae_jax.report.results import Evaluation
from infovae_jax.training.run import Run

MOST = 5


class Headline(NamedTuple):
    """A figure of the summary.

    Attributes:
      title: what it is.
      value: as text.
      reference: what it is to be compared with, in words.
    """

    title: str
    value: str
    reference: str


def what(run: Run) -> str:
    """What was trained, on what, in a sentence."""
    config, spec = run.config, run.dataset.spec
    shape = "x".join(str(side) for side in spec.shape)
    each = f"examples of {shape}"
    if spec.blocks:  # of a table
        each = f"rows of {math.prod(spec.shape)} numbers"
    sizes = f"{spec.num_examples} training and {len(run.dataset.test_x)} test {each}"
    labels = "labels were used in training"
    if not run.objective.uses_labels:
        labels = "no label was used in training"
    labels = f"; {labels}" if spec.num_labels else ""
    member = "" if run.member is None else f", member {run.member} of a population"
    return (
        f"{config.objective} with {run.objective.latent_dim} latent dims on "
        f"{config.data.source}: {sizes}, likelihood {spec.likelihood}, "
        f"{config.train.num_epochs} epochs, seed {config.seed}{member}{labels}."
    )


def figures(run: Run, evaluation: Evaluation) -> list[Headline]:
    """The figures that tell most of this kind of run, at most MOST."""
    metrics, spec = evaluation.metrics, run.dataset.spec
    clusters = run.objective.prior.mean.shape[0]
    guess = "" if clusters < 2 else f"guessing: {1 / clusters:.3g}"
    data_nats = "nats an example"
    if metrics.get("bits_per_dim") is not None:
        data_nats = f"{format_value(metrics['bits_per_dim'])} bits a dim"
    references = {
        "cluster/accuracy": (
            "Clusters that match the labels",
            f"k-means on raw values: {_shown(metrics, 'kmeans/accuracy')}",
        ),
        "classification/accuracy": (
            "Labels told by the classifier",
            f"guessing: {1 / max(spec.num_labels, 1):.3g}",
        ),
        "elbo": (
            "Evidence lower bound (higher is better)",
            f"nearer to log p(x): {_negative(metrics, 'nll')}, {data_nats}",
        ),
        "reconstruction/explained": (
            "Variance that reconstructions explain",
            "the mean of all examples explains 0, a copy 1",
        ),
        "information/data": (
            "Information of x in the code, nats (at least)",
            f"at most log n = {math.log(max(len(run.dataset.test_x), 1)):.3g}",
        ),
        "sample/accuracy": ("Samples told as what they were drawn as", guess),
        "active_units": (
            "Dims of the code that vary",
            f"of {run.objective.latent_dim}",
        ),
    }
    found = [
        Headline(title, format_value(metrics[name]), reference)
        for name, (title, reference) in references.items()
        if isinstance(metrics.get(name), (int, float))
    ]
    return found[:MOST]


def _shown(metrics: dict, name: str) -> str:
    return format_value(metrics.get(name))


def _negative(metrics: dict, name: str) -> str:
    value = metrics.get(name)
    return format_value(None if value is None else -value)


def commands(run: Run, workdir) -> list[tuple[str, str]]:
    """(what for, command) to do it again and to use the model."""
    folder = shlex.quote(str(workdir))
    module = "python -m infovae_jax.main"
    member = "" if run.member is None else f" --member={run.member}"
    own = "" if run.member is None else f", member={run.member}"
    use = f"infovae_jax.load({str(workdir)!r}{own})"
    again = "the same training" if run.member is None else "this member by itself"
    return [
        (f"{again} again, in a new folder", f"{module} {_config_flags(run)}"),
        ("codes of all examples", f"{module} --mode=encode --workdir={folder}{member}"),
        (
            "new data (a folder of images, an array or a table)",
            f"{module} --mode=predict --workdir={folder}{member} --input=FILE",
        ),
        ("samples", f"{module} --mode=sample --workdir={folder}{member}"),
        ("in Python", use),
    ]


def _config_flags(run: Run) -> str:
    """A packaged config, and each key that has another value in this run."""
    config, own = run.config, config_lib.packaged_configs()
    path = own / f"{config.objective}.py"
    path = path if path.is_file() else own / "vae.py"
    try:
        file = config_lib.load_config_file(f"{path}:{config.preset}")
    except ConfigError:  # of a preset that only another file knows
        return "--config=FILE (which has the values of config.json)"
    before = config_lib.flatten(config_lib.from_json(config_lib.to_json(file)))
    flags = [f"--config={path.stem}:{config.preset}"]
    for key, value in config_lib.flatten(config).items():
        if key not in before or before[key] != value:
            flags.append(f"--config.{key}={value}")
    return " ".join(shlex.quote(flag) for flag in flags)
