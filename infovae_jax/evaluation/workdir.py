"""The evaluation of a trained run into its folder."""

import hashlib

import numpy as np

from infovae_jax.config import sweeps
from infovae_jax.evaluation import (
    Codes,
    chosen_groups,
    evaluate,
    members,
    subsets,
    table_text,
    verdicts,
)
from infovae_jax.evaluation.parts import FILE, OF_MEMBERS, Parts, state_of
from infovae_jax.training import files, population
from infovae_jax.training.metrics import read_metrics
from infovae_jax.training.saved import Saved


def evaluate_saved(saved: Saved, metrics: str = "core") -> Saved:
    """Writes `evaluation.json` and what lies beside it, and prints the table.

    Beside it: `clusters.npz`, and `subsets.npz` with the examples that a figure is of
    where these are not all.

    Args:
      saved: a run; of a population, a member is chosen first.
      metrics: see `evaluation.evaluate`.

    Returns:
      The run that was evaluated.
    """
    of_members = None
    if saved.is_population():
        saved, of_members = choose_member(saved)
    run, params, step, folder = saved[:4]
    codes = Codes(run, params)
    parts = _parts(saved, FILE)
    result = evaluate(run, params, step, metrics, codes, parts)
    save_clusters(saved, codes)
    _, indices = subsets.record(run, chosen_groups(metrics))
    np.savez_compressed(files.outlet(folder / subsets.FILE), **indices)
    text = table_text(result)
    result["sha256"] = run.identity().digests()
    if saved.accepted is not None:
        result["accepted_changed_data"] = saved.accepted["parts"]
    if run.member is not None:
        result["member"] = run.member
        record = population.read(folder)
        if "figures" in record:
            result["table"] += members.summary_rows(record)
    found = verdicts.judge(_facts(saved, result["metrics"]))
    result["verdicts"] = [verdict._asdict() for verdict in found]
    # Stored before it is shown: a pipe that nobody reads costs no figures.
    files.write_record(folder / "evaluation.json", result)
    for kept in filter(None, (parts, of_members)):
        kept.clear()
    print(f"{text}\n{verdicts.text(found)}", flush=True)
    return saved


def _facts(saved: Saved, figures: dict) -> verdicts.Facts:
    """What the verdicts of a run are made from."""
    run, folder = saved.run, saved.folder
    rows = read_metrics(folder, run.member)
    rows = [row for row in rows if row["step"] <= saved.step]
    record = {} if run.member is None else population.read(folder)
    return verdicts.facts(run, figures, rows, saved.step, record.get("figures"))


def _parts(saved: Saved, name: str, **more) -> Parts:
    """What an evaluation that was stopped kept; said where there is something."""
    state = state_of(saved.run, saved.params, saved.step, **more)
    parts = Parts(saved.folder, state, name)
    if parts.kept():
        print(f"kept of an evaluation that was stopped: {', '.join(parts.kept())}")
    return parts


def choose_member(saved: Saved) -> tuple[Saved, Parts]:
    """Evaluates all members of a population and records the choice.

    Returns:
      The chosen one, and what is kept until it is evaluated.
    """
    record = population.read(saved.folder)
    how = record.get("strategy", "scan"), record.get("chunk", 1)
    parts = _parts(saved, OF_MEMBERS, mapped=how)
    figures = members.evaluate_members(saved.run, saved.params, *how, parts)
    choice = members.choose(sweeps.members_of(saved.run.config), figures)
    record |= {"figures": figures, "chosen": choice.member, "how": choice.how}
    best = members.oracle(figures)
    if best is not None:
        record |= {"oracle": best.member, "oracle_by": best.how}
    files.write_record(saved.folder / population.FILE, record)
    print(members.table_text(record), flush=True)
    return saved.of_member(choice.member), parts


def save_clusters(saved: Saved, codes: Codes | None = None) -> None:
    """`clusters.npz` where the objective clusters: what `summary` compares over runs.

    `cluster` `[m]` is argmax q(c | x) of the test split, `test_split` its digest.

    Args:
      saved: the run.
      codes: of it, where they were made already.
    """
    run, x = saved.run, saved.run.dataset.test_x
    if run.objective.classify is None:
        return
    codes = codes or Codes(run, saved.params)
    clusters = codes.test.logits.argmax(-1)
    digest = hashlib.sha256(repr((x.shape, str(x.dtype))).encode())
    for start in range(0, len(x), 1000):
        digest.update(np.ascontiguousarray(x[start : start + 1000]))
    split = np.array(digest.hexdigest())
    path = files.outlet(saved.folder / "clusters.npz")
    np.savez(path, cluster=clusters, test_split=split)
