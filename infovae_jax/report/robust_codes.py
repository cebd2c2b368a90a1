"""How well codes are read from corrupted images, of all methods that were measured."""

from collections.abc import Iterable, Mapping

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


def label_counts(figures: Iterable[str]) -> list[int]:
    """Numbers of labels with which a transductive SVM was measured, by names."""
    names = [name.split("_") for name in figures if name.startswith("robust/tsvm_")]
    return sorted(int(parts[1]) for parts in names if parts[2:] == ["clean"])


def count_of_paper(counts: Iterable[int]) -> int:
    """That of the paper, or the next below that was measured, or the largest, or 0."""
    counts = list(counts)
    return max((n for n in counts if n <= PAPER_LABELS), default=max(counts, default=0))


def table(data: str, records: Mapping[str, record.Record]) -> list[str]:
    """Test accuracy of a transductive SVM, a row a method, as Markdown.

    Args:
      data: name of the data; the records are `<file>_<data>`.
      records: of `results/`, by name.
    """
    rows, last = [], None
    for method, file in METHODS.items():
        found = records.get(f"{file}_{data}")
        counts = label_counts(found.figures) if found else []
        if not counts:
            continue
        labels = count_of_paper(counts)
        cells = [
            record.mean_text(found.figures.get(f"robust/tsvm_{labels}_{name}", []), 3)
            for name in CONDITIONS
        ]
        rows.append([method, *cells, str(len(found.seeds))])
        last = labels, found
    if last is None:
        return ["Not measured yet."]
    labels, found = last
    head = [f"{data}, {labels} labels", *CONDITIONS.values(), "runs"]
    return [*record.markdown([head, *rows]), "", f"`{found.command}`"]
