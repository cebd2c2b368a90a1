"""Which examples a figure is of, where it is not of all: one table, one draw.

Every subset is a draw by `config.evaluation.seed`, spread evenly over the labels where
there are some; those of a split are nested. Labels decide here which examples a score
is computed on, and nothing else: what a model is chosen by is drawn without them.
"""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import subsets
from infovae_jax.training.run import Run

FILE = "subsets.npz"


class Use(NamedTuple):
    """A subset: of which split, at most how many examples, and for which figures.

    Attributes:
      split: 'train' or 'test'.
      count: at most so many; a text: as many as that subset has, or a key of
        `config.evaluation`, whose 0 is all.
      group: of `--metrics`.
      stratified: whether it is spread evenly over the labels.
      labelled: whether examples of unknown label are left out.
    """

    split: str
    count: int | str
    group: str = "core"
    stratified: bool = True
    labelled: bool = True


USES = {
    "nll": Use("test", "nll_examples"),
    "information/data": Use("test", 1000),
    "information/label": Use("train", 2000),
    # Every example against every other.
    "information/bounds": Use("test", 10_000, labelled=False),
    "information/total_correlation": Use("test", 1000),
    "codes": Use("train", 60_000),  # training codes that probes are fitted on
    "kmeans": Use("train", 10_000, labelled=False),
    "members": Use("train", 10_000, stratified=False),  # their agreement
    "ais": Use("test", 20, "likelihood"),
    "probe/tsvm": Use("test", 2000, "representation"),
    "disentanglement": Use("test", 10_000, "disentanglement"),
    "generation": Use("test", 10_000, "generation"),
    "generation/floor": Use("train", "generation", "generation"),
    "generation/coverage": Use("test", 2000, "generation"),
    "generation/fid": Use("test", "inception_samples", "generation"),
    "artificial": Use("train", 10_000, "generation"),
    "latent_map": Use("test", 1500),
}


def indices(run: Run, name: str) -> np.ndarray:
    """The examples of a subset as positions in its split, ascending."""
    return _drawn(run, USES[name])


def _drawn(run: Run, use: Use) -> np.ndarray:
    seed = run.config.evaluation.seed
    return subsets.draw(_most(run, use), *_split(run, use, seed))


def _split(run: Run, use: Use, seed: int) -> tuple[int, int, np.ndarray | None]:
    """Number of examples of the split, seed, and the labels to spread over."""
    x, labels = (getattr(run.dataset, f"{use.split}_{kind}") for kind in "xy")
    # The splits are drawn apart: one may hold the other's images.
    seed = seed if use.split == "test" else seed + 2**32
    if labels is None or not use.stratified:
        return len(x), seed, None
    # Else the unknown ones are a class of their own, and none is below 0.
    return len(x), seed, labels if use.labelled else np.asarray(labels) + 1


def _most(run: Run, use: Use) -> int | None:
    if use.count in USES:
        return len(indices(run, use.count))
    if isinstance(use.count, str):
        return run.config.evaluation[use.count] or None
    return use.count


def within(run: Run, name: str, outer: str) -> np.ndarray:
    """The examples of a subset as positions in the subset `outer` that holds it."""
    around = indices(run, outer)
    most = _most(run, USES[name])
    inner = _drawn(
        run, USES[name]._replace(count=min(len(around), most or len(around)))
    )
    return np.searchsorted(around, inner)


def in_order(run: Run, name: str) -> np.ndarray:
    """`indices` in a random order of which every beginning is spread evenly too."""
    use = USES[name]
    order = subsets.in_order(*_split(run, use, run.config.evaluation.seed))
    return order[: _most(run, use)]


def text(run: Run, name: str) -> str:
    """'1000 test examples of 10000, drawn by seed 0', or 'all 360 test examples'."""
    use, seed = USES[name], run.config.evaluation.seed
    count, (total, *_) = len(indices(run, name)), _split(run, use, seed)
    kind = "training" if use.split == "train" else "test"
    if count == total:
        return f"all {count} {kind} examples"
    return f"{count} {kind} examples of {total}, drawn by seed {seed}"


def record(
    run: Run, groups: list[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """What is kept of the subsets that are not the whole of their split.

    Args:
      run: that is evaluated.
      groups: of `--metrics`, beside the core.

    Returns:
      name -> split, count, number it was drawn from, seed, whether spread over labels,
      and SHA-256 of the indices as little-endian int64; and name -> indices.
    """
    table, arrays = {}, {}
    for name, use in USES.items():
        if use.group not in ("core", *groups):
            continue
        total, _, labels = _split(run, use, run.config.evaluation.seed)
        chosen = indices(run, name)
        if len(chosen) == total:
            continue
        arrays[name] = chosen
        table[name] = {
            "split": use.split,
            "count": len(chosen),
            "of": total,
            "seed": run.config.evaluation.seed,
            "stratified": labels is not None,
            "sha256": hashlib.sha256(chosen.astype("<i8").tobytes()).hexdigest(),
        }
    return table, arrays
