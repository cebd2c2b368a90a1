"""Whether a run is what it seems: faults that its figures show, in words.

Each check is a pure function of `Facts` that gives a sentence, or None. Thresholds are
far from what healthy runs show; what lies between is for the reader of the figures.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.config import flatten, schedules
from infovae_jax.data.columns import Scheme
from infovae_jax.evaluation import assignments, tabular
from infovae_jax.training.run import Run

_EPOCH = 1000  # steps in which a schedule is looked at
Check = Callable[["Facts"], str | None]
RECONSTRUCTION, TEST_BOUND = "term/reconstruction", "test/elbo"


class Verdict(NamedTuple):
    """A fault that was found.

    Attributes:
      name: of the check.
      text: what is wrong, how one sees it, and what to do.
    """

    name: str
    text: str


class Facts(NamedTuple):
    """What the checks look at; whatever is unknown is None or empty.

    Attributes:
      metrics: name -> figure, as in `evaluation.json`.
      rows: of `metrics.jsonl`.
      config: dotted key -> value.
      steps: that were taken.
      epochs: the same in epochs.
      latent_dim: dims of the code.
      num_clusters: K, where the objective clusters; 0 else.
      num_test: test examples.
      commonest: share of the commonest label in the test split.
      spreads: standard deviation of each column of a table, `[D]`, as the model sees
        it under a Gaussian likelihood.
      members: name -> figure of each member of a population, None where not finite.
      examples: what clusters are of, in words.
    """

    metrics: dict[str, Any]
    rows: list[dict[str, float]] = []
    config: dict[str, Any] = {}
    steps: int = 1000
    epochs: float = 30.0
    latent_dim: int = 10
    num_clusters: int = 0
    num_test: int = 1000
    commonest: float | None = None
    spreads: np.ndarray | None = None
    members: dict[str, list] = {}
    examples: str = "test examples"

    def figure(self, name: str) -> float:
        """A figure, or NaN, which is on neither side of any threshold."""
        value = self.metrics.get(name)
        return math.nan if value is None else value

    def series(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Epochs and values of a training metric, where it was measured."""
        points = [(row["epoch"], row[name]) for row in self.rows if name in row]
        epochs, values = np.array(points, float).reshape(-1, 2).T
        return epochs, values


def facts(
    run: Run,
    metrics: dict[str, Any],
    rows: list[dict[str, float]],
    step: int,
    members: dict[str, list] | None = None,
) -> Facts:
    """The facts of a run whose figures are `metrics`, at `step`."""
    dataset, objective = run.dataset, run.objective
    clusters = objective.classify is not None and not objective.uses_labels
    labels, commonest, spreads = dataset.test_y, None, None
    if labels is not None and len(labels):
        commonest = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    height, width, _ = dataset.spec.shape
    if min(height, width) == 1 and "gaussian" in dataset.spec.likelihood:
        spreads = np.asarray(dataset.train_x, np.float64).std(0).reshape(-1)
    return Facts(
        metrics,
        rows,
        flatten(run.config),
        step,
        step / run.steps_per_epoch,
        objective.latent_dim,
        objective.prior.mean.shape[0] if clusters else 0,
        len(dataset.test_x),
        commonest,
        spreads,
        members or {},
    )


def _scheduled(f: Facts) -> list[tuple[str, str, float, float, float, float]]:
    """Key, text, values at the start, now and at the end, and the end in epochs."""
    found = []
    for key, value in f.config.items():
        scalar = key.startswith("weights.") or key == "optimizer.learning_rate"
        if not scalar or not isinstance(value, str) or schedules.is_target(value):
            continue
        total = f.config["train.num_epochs"]
        ends = schedules.durations(value, total, key)
        schedule = schedules.make_schedule(value, _EPOCH, key, total)
        times = (0.0, f.epochs, max(ends))
        values = [float(schedule(round(time * _EPOCH))) for time in times]
        found.append((key, value, *values, max(ends)))
    return found


def schedule_never_moved(f: Facts) -> str | None:
    """A ramp that is longer than the run."""
    for key, text, start, now, end, _ in _scheduled(f):
        if now == start != end:
            return (
                f"{key} never left {start:g}: '{text}' begins to move after the "
                f"{f.epochs:g} epochs of this run, so what it is for was not trained; "
                "give its parts in per cent of the training, or train longer"
            )
    return None


def schedule_unfinished(f: Facts) -> str | None:
    """A ramp that the run cut off."""
    for key, text, start, now, end, last in _scheduled(f):
        if now != start and not math.isclose(now, end, rel_tol=0.05, abs_tol=1e-9):
            return (
                f"{key} had got to {now:.3g} of {end:g} when training ended: '{text}' "
                f"takes {last:g} epochs and the run has {f.epochs:g}; give its parts "
                "in per cent of the training, or train longer"
            )
    return None


def nothing_reconstructs(f: Facts) -> str | None:
    """A decoder that no term trains."""
    if f.config.get("weights.reconstruction") == 0:
        return (
            "weights.reconstruction is 0: no term of the loss trains the decoder to "
            "explain its data; set it to 1"
        )
    return None


def target_missed(f: Facts) -> str | None:
    """A term that is not where it was to be held."""
    for key, value in f.config.items():
        term = "term/" + key.removeprefix("weights.")
        _, values = f.series(term)
        if not schedules.is_target(value) or not len(values):
            continue
        wanted = schedules.make_target(value, key).value
        if abs(values[-1] - wanted) > 0.25 * wanted:
            return (
                f"{term} ended at {values[-1]:.3g} nats where {key}='{value}' asks "
                f"for {wanted:g}: train longer, or give a second number, the speed"
            )
    return None


def few_steps(f: Facts) -> str | None:
    """Training that hardly began."""
    if f.steps < 100:
        return (
            f"only {f.steps} optimiser steps were taken: figures and pictures are of a "
            "model that has hardly begun; raise config.train.num_epochs"
        )
    return None


def dead_decoder(f: Facts) -> str | None:
    """Reconstructions that do not depend on what is reconstructed."""
    explained = f.figure("reconstruction/explained")
    if explained < 0.05:
        return (
            f"the decoder is dead: reconstructions explain {explained:.1%} of what "
            "test examples differ in, as the mean of all would; samples and "
            "interpolations mean nothing"
        )
    return None


def examples_alike(f: Facts) -> str | None:
    """Test examples that do not differ."""
    name = "reconstruction/explained"
    if name in f.metrics and f.metrics[name] is None and f.num_test > 1:
        return (
            "all test examples are alike: there is nothing to explain; look at the "
            "data that were read"
        )
    return None


def dead_code(f: Facts) -> str | None:
    """A posterior that has collapsed on the prior."""
    if f.figure("active_units") == 0:
        return (
            "the code is dead: none of its dims varies with the example (posterior "
            "collapse); lower the weight of the rate (config.weights.kl_z) or raise it "
            "slowly"
        )
    return None


def collapsed_dims(f: Facts) -> str | None:
    """Many dims that hold nothing."""
    active = f.figure("active_units")
    if 0 < active < 0.25 * f.latent_dim:
        return (
            f"{f.latent_dim - active:.0f} of {f.latent_dim} dims of the code have "
            "collapsed: they do not vary with the example; a smaller "
            "config.model.latent_dim would do, or a lower config.weights.kl_z"
        )
    return None


def dead_clusters(f: Facts) -> str | None:
    """Clusters that no example uses."""
    dead = f.figure("cluster/dead")
    # Of a few examples a cluster each, some are empty by chance.
    if dead > 0 and f.num_test >= 10 * f.num_clusters:
        be, they = ("is", "it") if dead == 1 else ("are", "them")
        return (
            f"{dead:.0f} of {f.num_clusters} clusters {be} dead: (nearly) none of the "
            f"{f.examples} are assigned to {they}; raise config.weights.balance, or "
            "ask for fewer"
        )
    return None


def one_cluster(f: Facts) -> str | None:
    """A clustering that clusters nothing."""
    shares = f.metrics.get("cluster/occupancy") or [0.0]
    if f.num_clusters > 1 and max(shares) > 0.9:
        return (
            f"one cluster holds {max(shares):.0%} of the {f.examples}: nothing was "
            "clustered; raise config.weights.balance or train longer"
        )
    return None


def undecided_clusters(f: Facts) -> str | None:
    """Assignments that are near to a guess."""
    entropy = f.figure("cluster/entropy")
    if f.num_clusters > 1 and entropy > 0.7 * math.log(f.num_clusters):
        return (
            f"assignments to clusters are undecided: q(c|x) has {entropy:.2f} nats of "
            f"entropy where guessing has {math.log(f.num_clusters):.2f}; which cluster "
            "is the most probable means little"
        )
    return None


def clusters_not_decoded(f: Facts) -> str | None:
    """A decoder that does not obey the clusters."""
    accuracy = f.figure("sample/accuracy")
    if f.num_clusters > 2 and accuracy < 2.0 / f.num_clusters:
        return (
            f"samples of a cluster are not told as its own ({accuracy:.1%} are, "
            f"guessing gives {1 / f.num_clusters:.1%}): the decoder does not follow "
            "the clusters"
        )
    return None


def kmeans_is_better(f: Facts) -> str | None:
    """A model that loses to the plainest baseline."""
    own, kmeans = f.figure("cluster/accuracy"), f.figure("kmeans/accuracy")
    if own < kmeans - 0.05:
        return (
            f"k-means on the raw values finds the labels better ({kmeans:.3f}) than "
            f"the clusters of this model ({own:.3f})"
        )
    return None


def kmeans_is_clearer(f: Facts) -> str | None:
    """Clear groups that k-means finds and this model does not; without labels."""
    if "kmeans/accuracy" in f.metrics:
        return None
    agreement, clear = f.figure("kmeans/agreement"), f.figure("kmeans/silhouette")
    own = f.figure("cluster/silhouette")
    if agreement < 0.7 and clear > 0.4 and own < 0.75 * clear:
        return (
            f"k-means on the same scaled rows finds other and clearer clusters (NMI of "
            f"both {agreement:.2f}; silhouette {clear:.2f} against {own:.2f}): try "
            "another config.seed, or take those of k-means"
        )
    return None


def one_column(f: Facts) -> str | None:
    """Clusters that are one column again."""
    told = {
        name.removeprefix(tabular.OF_COLUMN): share
        for name, share in f.metrics.items()
        if name.startswith(tabular.OF_COLUMN) and share is not None
    }
    if len(told) < 3:
        return None
    second, first = sorted(told, key=told.get)[-2:]
    if told[first] < 0.9 or told[second] > 0.3:
        return None
    return (
        f"clusters follow the column '{first}' alone (they tell {told[first]:.2f} of "
        f"it, of any other at most {told[second]:.2f}): to cluster by the others set "
        f"config.data.columns='{first}=ignore'"
    )


def classifier_guesses(f: Facts) -> str | None:
    """A classifier that learned nothing."""
    accuracy = f.figure("classification/accuracy")
    if f.commonest is not None and accuracy < f.commonest + 0.05:
        return (
            f"the classifier guesses: it is right on {accuracy:.1%}, and the commonest "
            f"label has {f.commonest:.1%}; raise config.weights.classification or "
            "train longer"
        )
    return None


def few_effective_samples(f: Facts) -> str | None:
    """An importance-weighted bound that one weight decides."""
    effective = f.figure("nll/effective_samples")
    if effective < 3 and f.config.get("evaluation.nll_samples", 500) > 10:
        return (
            f"effective samples are near 1 (median {effective:.2g}): one weight "
            "decides the importance-weighted bound, which is hardly closer to "
            "-log p(x) than -elbo; by how much it is too high cannot be told "
            "(--metrics=likelihood measures it by annealing)"
        )
    return None


def annealing_failed(f: Facts) -> str | None:
    """Chains that did not move."""
    acceptance = f.figure("ais/acceptance")
    if acceptance < 0.2:
        return (
            f"annealing failed: its chains moved in {acceptance:.0%} of the trials, so "
            "ais/nll is no estimate of -log p(x)"
        )
    return None


def unequal_scales(f: Facts) -> str | None:
    """Columns of which the widest are all that counts."""
    if f.spreads is None or not (f.spreads > 0).any():
        return None
    spreads = f.spreads[f.spreads > 0]
    if spreads.max() > 100 * spreads.min():
        return (
            f"columns have scales from {spreads.min():.1g} to {spreads.max():.1g}: "
            "under one Gaussian likelihood the widest are all that is modelled; "
            "standardise the columns"
        )
    return None


def constant_columns(f: Facts) -> str | None:
    """Columns that say nothing."""
    if f.spreads is None or (f.spreads > 0).all():
        return None
    constant = int((f.spreads == 0).sum())
    return (
        f"{constant} of {len(f.spreads)} columns are constant on the training split: "
        "they add to the bound and hold nothing; leave them out"
    )


def over_fitting(f: Facts) -> str | None:
    """A bound that was better before."""
    epochs, test = f.series(TEST_BOUND)
    if len(test) < 3:
        return None
    best = int(test.argmax())
    fall, train = test[best] - test[-1], _training_bound(f)
    if fall <= max(1.0, 0.03 * abs(test[best])):
        return None
    if train is not None and train[-1] <= train[best]:
        return None
    return (
        f"over-fitting: the test bound was highest at epoch {epochs[best]:g} "
        f"({test[best]:.4g} nats) and has fallen by {fall:.3g} since, while the "
        "training bound rose; train less long, or on more data"
    )


def memorised(f: Facts) -> str | None:
    """Training examples that are explained far better than others."""
    _, test = f.series(TEST_BOUND)
    train = _training_bound(f)
    if train is None or not len(test):
        return None
    gap = train[-1] - test[-1]
    if gap > max(2.0, 0.3 * abs(test[-1])):
        return (
            f"training examples are explained {gap:.3g} nats better than test examples "
            f"({train[-1]:.4g} against {test[-1]:.4g}): the model knows them by heart; "
            "use more data or a smaller network"
        )
    return None


def _training_bound(f: Facts) -> np.ndarray | None:
    """The negative sum of the training terms of the bound, where it was measured."""
    rows = [row for row in f.rows if TEST_BOUND in row]
    if not rows:
        return None
    terms = [n.removeprefix("test/") for n in rows[-1] if n.startswith("test/")]
    terms = [f"term/{name}" for name in terms if name != "elbo"]
    if not terms or not all(term in row for row in rows for term in terms):
        return None
    return np.array([-sum(row[term] for term in terms) for row in rows])


def divergence_survived(f: Facts) -> str | None:
    """Training that broke and went on."""
    epochs, values = f.series(RECONSTRUCTION)
    if len(values) < 4:
        return None
    lowest = np.minimum.accumulate(values)
    above = values[1:] - lowest[:-1]
    learned = values[0] - lowest[:-1]
    usual = np.median(np.abs(np.diff(values)))
    broke = above > np.maximum(1.5 * learned, 20 * usual)
    broke &= (values[1:] > values[0]) & (above > 0.2 * np.abs(lowest[:-1]))
    if not broke.any():
        return None
    worst = int(np.argmax(np.where(broke, above, -np.inf)))
    return (
        f"training diverged and survived: at epoch {epochs[worst + 1]:.3g} the "
        f"distortion rose from {lowest[worst]:.4g} to {values[worst + 1]:.4g} nats, "
        "above where it began; lower config.optimizer.learning_rate or set "
        "config.optimizer.clip_norm"
    )


def still_rising(f: Facts) -> str | None:
    """Training that ended too early."""
    _, test = f.series(TEST_BOUND)
    if len(test) < 5 or test[-1] <= test[0]:
        return None
    before = test[-1 - max(1, len(test) // 5)]
    share = (test[-1] - before) / (test[-1] - test[0])
    if share > 0.2:
        return (
            f"not trained to the end: {share:.0%} of all that the test bound gained "
            "came in the last fifth of the training; raise config.train.num_epochs "
            "(the same --workdir goes on)"
        )
    return None


def few_test_examples(f: Facts) -> str | None:
    """Figures of a handful."""
    if f.num_test < 50:
        return (
            f"all figures are of {f.num_test} test examples: shares move by "
            f"{1 / max(f.num_test, 1):.0%} with each of them; hold out more "
            "(config.data.test_fraction)"
        )
    return None


def lost_members(f: Facts) -> str | None:
    """Members of a population that left the numbers."""
    bounds = f.members.get("elbo", [])
    lost = [str(i) for i, value in enumerate(bounds) if value is None]
    if lost:
        return (
            f"{len(lost)} of {len(bounds)} members diverged (members "
            f"{', '.join(lost[:8])}): means over members are of the others; lower "
            "config.optimizer.learning_rate"
        )
    return None


OF_CLUSTERS = (
    dead_clusters,
    one_cluster,
    undecided_clusters,
    kmeans_is_clearer,
    one_column,
)
# Of these the run is what it seems, and its figures are to be read with care.
CAUTIONS = {
    *("collapsed_dims", "kmeans_is_clearer", "one_column", "still_rising"),
    *("constant_columns", "few_test_examples"),
}
CHECKS: tuple[Check, ...] = (
    schedule_never_moved,
    schedule_unfinished,
    nothing_reconstructs,
    target_missed,
    few_steps,
    divergence_survived,
    lost_members,
    examples_alike,
    dead_decoder,
    dead_code,
    collapsed_dims,
    dead_clusters,
    one_cluster,
    undecided_clusters,
    clusters_not_decoded,
    kmeans_is_better,
    kmeans_is_clearer,
    one_column,
    classifier_guesses,
    over_fitting,
    memorised,
    still_rising,
    unequal_scales,
    constant_columns,
    few_effective_samples,
    annealing_failed,
    few_test_examples,
)


def judge(found: Facts, checks: Sequence[Check] = CHECKS) -> list[Verdict]:
    """All faults that the facts show, in the order of the checks."""
    told = ((check.__name__, check(found)) for check in checks)
    return [Verdict(name, text) for name, text in told if text is not None]


def of_clusters(
    logits: np.ndarray,
    examples: str,
    rows: np.ndarray | None = None,
    scheme: Scheme | None = None,
) -> list[Verdict]:
    """The faults of a clustering of examples, without labels.

    Args:
      logits: of q(c | x), `[n, K]`; examples whose are not finite are left out.
      examples: what the others are, in words.
      rows: the examples as stored, where they are rows, `[n, 1, W, 1]`, or None.
      scheme: of a table.
    """
    known = np.isfinite(logits).all(-1)
    logits = logits[known]
    if not len(logits):
        return []
    figures = {f"cluster/{k}": v for k, v in assignments.figures(logits).items()}
    if rows is not None:
        given = rows[known], logits.argmax(-1), logits.shape[-1], scheme
        figures |= tabular.of_clusters(*given)
    found = Facts(
        figures,
        num_clusters=logits.shape[-1],
        num_test=len(logits),
        examples=examples,
    )
    return judge(found, OF_CLUSTERS)


def text(verdicts: list[Verdict]) -> str:
    """The verdicts to print."""
    if not verdicts:
        return f"verdict: no fault found, of {len(CHECKS)} that are looked for"
    lines = [f"  {number}. {v.text}" for number, v in enumerate(verdicts, 1)]
    return "\n".join([f"verdict: {heading(v.name for v in verdicts)}", *lines])


def heading(names: Iterable[str]) -> str:
    """What faults of these names amount to."""
    return "with care" if set(names) <= CAUTIONS else "not what it seems"
