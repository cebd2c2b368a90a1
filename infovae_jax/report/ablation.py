"""What each part of the clustering recipe is worth: runs without it, side by side."""

from collections.abc import Mapping
from typing import NamedTuple

from infovae_jax.report import record

WHOLE = "infocatvae_mnist_short"
# Shorter than the preset has it: so many runs, each beside the whole recipe as short.
_COMMAND = (
    'launch/seeds.sh configs/infocatvae.py:mnist "0 1 2" --config.train.num_epochs=12'
)
_SHOWN = (
    ("cluster/accuracy", "accuracy", 3),
    ("nll", "NLL, nats", 2),
    ("generation/sample_accuracy", "samples that show their cluster", 3),
)


class Variant(NamedTuple):
    """A recipe with one thing changed.

    Attributes:
      words: what is changed.
      record: name of its file in `results/`.
      command: that makes its runs.
    """

    words: str
    record: str
    command: str


def _changed(words: str, name: str, flags: str) -> Variant:
    return Variant(words, f"infocatvae_mnist_{name}", f"{_COMMAND} {flags}")


_NO_AFFINE = "--config.model.affine=False"
VARIANTS = (
    Variant("the whole recipe", WHOLE, _COMMAND),
    _changed(
        "without the information term",
        "no_information",
        "--config.weights.reclassification=0",
    ),
    _changed(
        "the information term at 3 in place of 8",
        "information_3",
        "--config.weights.reclassification=3",
    ),
    _changed("without affine maps", "no_affine", _NO_AFFINE),
    _changed(
        "without the adversarial change",
        "no_adversarial",
        "--config.model.invariance=False",
    ),
    _changed(
        "without any invariance",
        "no_invariance",
        f"{_NO_AFFINE} --config.model.invariance=False",
    ),
    _changed("reading `soft`", "soft", "--config.model.reconstruction=soft"),
    _changed("reading `exact`", "exact", "--config.model.reconstruction=exact"),
    _changed("trunk shared with the encoder", "shared", "--config.model.trunk=shared"),
    Variant(
        "InfoCatVAE of the paper",
        "infocatvae_paper_mnist",
        'launch/seeds.sh configs/infocatvae_paper.py:mnist "0 1 2"',
    ),
    Variant(
        "CatVAE", "catvae_mnist", 'launch/seeds.sh configs/catvae.py:mnist "0 1 2"'
    ),
)


def names() -> set[str]:
    """Of the records that are short for this table."""
    return {v.record for v in VARIANTS if v.command.startswith(_COMMAND)}


def table(records: Mapping[str, record.Record]) -> list[str]:
    """The variants with their figures in Markdown, and the commands of all.

    Args:
      records: of `results/`, by name.
    """
    rows = [["recipe", *(words for _, words, _ in _SHOWN), "runs"]]
    for variant in VARIANTS:
        found = records.get(variant.record)
        if found is None:
            rows.append([variant.words, "not run yet", *[""] * len(_SHOWN)])
            continue
        shown = [_cell(found, metric, digits) for metric, _, digits in _SHOWN]
        rows.append([variant.words, *shown, str(len(found.seeds))])
    commands = [
        f"- {v.words}, `{record.FOLDER}/{v.record}.json`: `{v.command}`"
        for v in VARIANTS
    ]
    return [*record.markdown(rows), "", *commands]


def _cell(found: record.Record, metric: str, digits: int) -> str:
    """Mean and spread, and of how many runs where only some have the figure."""
    values = [v for v in found.figures.get(metric, ()) if v is not None]
    if not values:
        return "-"
    some = f" ({len(values)})" if len(values) < len(found.seeds) else ""
    return record.mean_text(values, digits) + some
