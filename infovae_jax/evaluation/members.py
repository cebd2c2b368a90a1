"""Figures of every member of a population, and which member to go on with.

The choice uses no labels. A clusterer with invariance in its loss is chosen by the
information that its clusters keep (see `invariance`); of others, what one found is
worth more the more the other members found it too (stability: Ben-Hur, Elisseeff &
Guyon 2002; Lange et al. 2004); what does not cluster is chosen by the bound. All are
comparable between members, whatever weights they were trained with, since terms are
taken unweighted.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from infovae_jax.config import sweeps
from infovae_jax.config.sweeps import Member
from infovae_jax.data import batches
from infovae_jax.data.subsets import take
from infovae_jax.errors import NonFiniteError
from infovae_jax.evaluation import (
    assignments,
    clustering,
    codes,
    encoding,
    invariance,
    subsets,
)
from infovae_jax.evaluation.invariance import INFORMATION
from infovae_jax.evaluation.parts import Parts
from infovae_jax.evaluation.table import aligned, format_value
from infovae_jax.training import population, sharding
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run

STABILITY = "stability/ari"
# Figures that need labels, best first for the oracle.
BY_LABELS = ("cluster/accuracy", "classification/accuracy")
# Shown for every member.
MAIN = (
    "elbo",
    "validation/elbo",
    "active_units",
    "cluster/used",
    INFORMATION,
    STABILITY,
    *BY_LABELS,
)


_WORDS = {
    INFORMATION: (
        "the most information in its clusters that changes of the examples leave, "
        "I(x; c) - KL(q(c|x) || q(c|changed x)), on the training split"
    ),
    STABILITY: (
        "the highest mean agreement (ARI) of its clusters with those of the other "
        "members, on the training split"
    ),
}


class Choice(NamedTuple):
    """A member, and how it was found."""

    member: int
    how: str


def evaluate_members(
    run: Run, params: Any, strategy: str, chunk: int, parts: Parts | None = None
) -> dict:
    """Figures of all M members: name -> `[M]` numbers, None where not finite.

    Args:
      run: opened with the config of the population.
      params: of all members, on a leading axis.
      strategy: how the members are mapped; see `population.over_members`.
      chunk: see there.
      parts: keeps what is finished, and gives what was kept.
    """
    parts, count = parts or Parts(None, ""), len(sweeps.members_of(run.config))
    mesh = sharding.make_member_mesh(0, count)
    params = jax.device_put(params, sharding.batch_sharded(mesh))
    eval_step = population.make_members_eval_step(run, strategy, chunk, mesh)
    encode = functools.partial(_make_encoder(run, strategy, chunk, mesh), params)

    def bounds(x, prefix):
        return population.member_bounds(run, eval_step, params, x, prefix)

    def on_test():
        figures = bounds(run.dataset.test_x, "elbo/")
        return {"elbo": figures.pop("elbo/elbo"), **figures}

    def held_out():
        name = "validation/elbo"
        return {name: bounds(run.validation_x, "validation/")[name]}

    def of_codes():
        means, logits = encode(run.dataset.test_x)
        active = {"active_units": _where_finite(codes.active_units, means)}
        return active | (_against_labels(run, logits) if clusters else {})

    clusters = run.objective.classify is not None
    stages = {"bounds of members": on_test}
    if run.validation_x is not None:
        stages["their validation bounds"] = held_out
    stages["their codes"] = of_codes
    if clusters and not run.objective.uses_labels and count > 1:
        assigned = functools.partial(_assigned, run, params, strategy, chunk, mesh)
        stages["their agreement"] = lambda: _agreement(run, encode, assigned)
    figures = {}
    for name, make in stages.items():
        figures |= parts.figures(name, functools.partial(_plain, make))
    return figures


def _plain(make: Callable[[], dict]) -> dict[str, list[float | None]]:
    """What `make()` gives as JSON has it."""
    return {
        name: [float(v) if np.isfinite(v) else None for v in values]
        for name, values in make().items()
    }


def _agreement(run: Run, encode: Callable, assigned: Callable) -> dict:
    """What tells clusterings apart without labels.

    On examples of the training split: the test split has no part in it.
    """
    figures = {}
    if invariance.is_measurable(run):
        logits, divergence = assigned()
        figures[INFORMATION] = [
            invariance.invariant_information(*pair)
            if all(np.isfinite(array).all() for array in pair)
            else np.nan
            for pair in zip(logits, divergence, strict=True)
        ]
    else:
        some = take(run.dataset.train_x, subsets.indices(run, "members"))
        _, logits = encode(some)
    return figures | stability(logits.argmax(-1), sweeps.members_of(run.config))


def _make_encoder(run: Run, strategy: str, chunk: int, mesh) -> Callable:
    """`encode(params, x) -> (means [M, n, d], logits [M, n, K] or None)`."""
    settings, encode_one = run.config.evaluation, encoding.make_encode(run)

    def one(params, batch, key):
        encoded = encode_one(params, batch, key)
        return encoded.mean, encoded.logits

    mapped = (True, False, False)
    every = population.over_members(one, strategy, chunk, mapped)
    every = seldom(population.sharded(every, mesh, mapped))

    def encode(params, x):
        function = functools.partial(every, params)
        key = jax.random.key(settings.seed)
        return batches.map_batches(function, x, settings.batch_size, key, axis=1)

    return encode


def _assigned(
    run: Run, params: Any, strategy: str, chunk: int, mesh
) -> tuple[np.ndarray, np.ndarray]:
    """Logits `[M, n, K]` and divergences `[M, n]` of training examples."""
    mapped = (True, False, False)
    assign = invariance.make_assign(run)
    every = population.over_members(assign, strategy, chunk, mapped)
    every = seldom(population.sharded(every, mesh, mapped))
    return invariance.over_training(run, functools.partial(every, params), axis=1)


def _where_finite(figure: Callable[..., float], arrays: np.ndarray) -> list[float]:
    """A figure of each member's array; NaN for a member that diverged."""
    return [figure(a) if np.isfinite(a).all() else np.nan for a in arrays]


def _against_labels(run: Run, logits: np.ndarray) -> dict[str, list[float]]:
    clusters, labels = logits.argmax(-1), run.dataset.test_y
    if run.objective.uses_labels:
        if labels is None:
            return {}
        right = [float((member == labels).mean()) for member in clusters]
        return {"classification/accuracy": right}
    figures = {
        "cluster/used": [len(np.unique(member)) for member in clusters],
        "cluster/mutual_information": _where_finite(
            lambda a: assignments.cluster_information(a)["mutual_information"], logits
        ),
    }
    if labels is not None:
        for name, score in (
            ("accuracy", clustering.clustering_accuracy),
            ("nmi", clustering.normalized_mutual_information),
            ("ari", clustering.adjusted_rand_index),
        ):
            figures[f"cluster/{name}"] = [score(c, labels) for c in clusters]
    return figures


def stability(clusters: np.ndarray, members: list[Member]) -> dict[str, np.ndarray]:
    """Mean agreement of each member's clusters with those of other members.

    The others are those of equal values where there are any, else all. Members that
    put everything in one cluster agree with nobody, not even with one another.

    Args:
      clusters: `[M, n]` integers.
      members: M of them.

    Returns:
      `stability/ari` and `stability/nmi`, each `[M]`.
    """
    count = len(clusters)
    scores = {
        STABILITY: clustering.adjusted_rand_index,
        "stability/nmi": clustering.normalized_mutual_information,
    }
    used = [len(np.unique(member)) for member in clusters]
    tables = {name: np.zeros((count, count)) for name in scores}
    for (i, j), (name, score) in itertools.product(
        itertools.combinations(range(count), 2), scores.items()
    ):
        if min(used[i], used[j]) > 1:
            tables[name][i, j] = tables[name][j, i] = score(clusters[i], clusters[j])
    others = [
        [j for j in range(count) if j != i and members[j].values == members[i].values]
        or [j for j in range(count) if j != i]
        for i in range(count)
    ]
    return {
        name: np.array([table[i, others[i]].mean() for i in range(count)])
        for name, table in tables.items()
    }


def choose(
    members: list[Member], figures: dict[str, list], split: str | None = None
) -> Choice:
    """The member to go on with, found without labels.

    By the information that its clusters keep where that was measured, else by
    stability for a clusterer with at least three members, else by the bound on the
    validation share, or on the test split where there is none. First the values whose
    seeds have the best mean, then the best of these seeds; a tie is broken by the
    bound.

    Args:
      members: M of them.
      figures: from `evaluate_members`.
      split: what the bound is of, in words, where it is of none of these.

    Raises:
      NonFiniteError: no member has a finite bound.
    """
    held_out = "validation/elbo" in figures
    bound = "validation/elbo" if held_out else "elbo"
    score = bound
    if INFORMATION in figures:
        score = INFORMATION
    elif STABILITY in figures and len(members) >= 3:
        score = STABILITY
    alive = [i for i in range(len(members)) if _finite(figures, i, (score, bound))]
    if not alive:
        raise NonFiniteError(
            f"{bound} is not finite for any of {len(members)} members",
            "population",
            "lower config.optimizer.learning_rate or set config.optimizer.clip_norm",
        )
    groups: dict[tuple, list[int]] = {}
    for i in alive:
        groups.setdefault(tuple(members[i].values.items()), []).append(i)

    def mean(group):
        return tuple(np.mean([figures[k][i] for i in group]) for k in (score, bound))

    best = max(groups.values(), key=mean)
    chosen = max(best, key=lambda i: (figures[score][i], figures[bound][i]))
    split = split or ("validation share" if held_out else "test split, without labels")
    how = _WORDS.get(score, f"the highest bound on the {split}")
    if len(groups) > 1 and len(alive) > len(groups):
        how += ", among the seeds of the values with the best mean"
    return Choice(chosen, how)


def _finite(figures: dict[str, list], index: int, names: tuple[str, ...]) -> bool:
    return all(figures[name][index] is not None for name in names)


def oracle(figures: dict[str, list]) -> Choice | None:
    """The member that labels would choose, or None where no figure needs labels."""
    for name in BY_LABELS:
        if name in figures:
            values = [-1.0 if v is None else v for v in figures[name]]
            return Choice(int(np.argmax(values)), name)
    return None


def summary_rows(record: dict) -> list[list[str]]:
    """Rows (name, value, recipe) of the spread of every figure over the members."""
    rows = []
    for name, values in record["figures"].items():
        finite = [v for v in values if v is not None]
        if finite:
            spread = f" +- {np.std(finite, ddof=1):.3g}" if len(finite) > 1 else ""
            recipe = (
                f"mean and sd of {len(finite)} members, "
                f"{min(finite):.4g}..{max(finite):.4g}"
            )
            rows.append([f"members/{name}", f"{np.mean(finite):.4g}{spread}", recipe])
    return rows


def table_text(record: dict) -> str:
    """The main figures of every member, the spread of all, and the choice, to print.

    Args:
      record: what `population.json` holds after the evaluation.
    """
    figures, chosen = record["figures"], record["chosen"]
    swept = [key for key in record["members"][0] if key != "seed"]
    shown = [name for name in MAIN if name in figures]
    rows = [["member", "seed", *swept, *shown]]
    for i, member in enumerate(record["members"]):
        values = [format_value(member[key], 6) for key in ("seed", *swept)]
        cells = (format_value(figures[name][i]) for name in shown)
        rows.append([str(i), *values, *cells])
    lines = [*aligned(rows), ""]
    rows = [["figure", "mean", "sd", "min", "max", "chosen"]]
    for name, values in figures.items():
        finite = [v for v in values if v is not None]
        if finite:
            spread = np.std(finite, ddof=1) if len(finite) > 1 else None
            spans = (np.mean(finite), spread, min(finite), max(finite), values[chosen])
            rows.append([name, *map(format_value, spans)])
    lines += [*aligned(rows), ""]
    lines.append(f"chosen without labels: member {chosen}, {record['how']}")
    if "oracle" in record:
        name, best = record["oracle_by"], record["oracle"]
        of_best, of_chosen = (format_value(figures[name][i]) for i in (best, chosen))
        lines.append(
            f"labels would choose: member {best} ({name} {of_best}; "
            f"member {chosen} has {of_chosen})"
        )
    return "\n".join(lines)
