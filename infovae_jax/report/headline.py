"""The ten lines on top of the page: what was trained, whether it is what it seems, and
five figures with what they are to be compared with."""

import math
import shlex
from typing import NamedTuple

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
    sizes = f"{spec.num_examples} training and {len(run.dataset.test_x)} test examples"
    labels = "labels were used in training"
    if not run.objective.uses_labels:
        labels = "no label was used in training"
    labels = f"; {labels}" if spec.num_labels else ""
    member = "" if run.member is None else f", member {run.member} of a population"
    return (
        f"{config.objective} with {run.objective.latent_dim} latent dims on "
        f"{config.data.source}: {sizes} of {shape}, likelihood {spec.likelihood}, "
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
    use = f"infovae_jax.load({str(workdir)!r})"
    return [
        (
            "train (with the keys of config.json that differ from the file's)",
            f"{module} --config={_config_file(run)} --workdir={folder}",
        ),
        ("codes of all examples", f"{module} --mode=encode --workdir={folder}{member}"),
        (
            "new data (a folder of images, an array or a table)",
            f"{module} --mode=predict --workdir={folder}{member} --input=FILE",
        ),
        ("samples", f"{module} --mode=sample --workdir={folder}{member}"),
        ("in Python", use),
    ]


def _config_file(run: Run) -> str:
    return shlex.quote(f"configs/{run.config.objective}.py:{run.config.preset}")
