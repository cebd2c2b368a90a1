"""How well codes are read from corrupted images, of all methods that were measured."""

import re
from collections.abc import Mapping

from infovae_jax.report import record

METHODS = {
    "VAE": "vae",
    "beta-VAE": "beta_vae",
    "epsilon-VAE": "epsilon_vae",
    "InfoVAE": "info_vae",
    "VIMAE-n": "vimae_n",
    "VIMAE-l": "vimae_l",
}
# Figures of `evaluation.json` -> a column's title.
CONDITIONS = {
    "clean": "clean",
    "gaussian_0.2": "noise 0.2",
    "gaussian_0.5": "noise 0.5",
    "mask_0.2": "mask 0.2",
    "mask_0.5": "mask 0.5",
}
PAPER_LABELS = 1000
_CLEAN = re.compile(r"robust/tsvm_(\d+)_clean")


def table(data: str, records: Mapping[str, record.Record]) -> list[str]:
    """Test accuracy of a transductive SVM, a row a method, as Markdown.

    Args:
      data: name of the data; the records are `<file>_<data>`.
      records: of `results/`, by name.
    """
    rows, last = [], None
    for method, file in METHODS.items():
        found = records.get(f"{file}_{data}")
        labels = _labels(found) if found else None
        if labels is None:
            continue
        cells = [
            _cell(found.figures.get(f"robust/tsvm_{labels}_{name}", []))
            for name in CONDITIONS
        ]
        rows.append([method, *cells, str(len(found.seeds))])
        last = labels, found
    if last is None:
        return ["Not measured yet."]
    labels, found = last
    head = [f"{data}, {labels} labels", *CONDITIONS.values(), "runs"]
    return [*record.markdown([head, *rows]), "", f"`{found.command}`"]


def _labels(found: record.Record) -> int | None:
    """Of the classifiers that were measured that whose labels come nearest to 1,000."""
    counts = [int(m[1]) for m in map(_CLEAN.fullmatch, found.figures) if m]
    return min(counts, key=lambda n: abs(n - PAPER_LABELS), default=None)


def _cell(values: list[float | None]) -> str:
    return record.mean_text(values, 3) if any(v is not None for v in values) else "-"
