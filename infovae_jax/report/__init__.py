"""The report of a run: PNG figures and one HTML page that opens offline."""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from infovae_jax import metrics, population_run
from infovae_jax.evaluation import clustering, encode_split, prepared
from infovae_jax.loop import Run
from infovae_jax.report import figures, page, parts

DPI = 110
# (file name, title, how to read it, function); in the order of the page.
PICTURES = (
    (
        "loss_curves",
        "Training",
        "The loss and each term of it in nats, unweighted, per epoch; points are the "
        "test split. The last panels show the effective number of clusters and the "
        "weights that change over training.",
        figures.loss_curves,
    ),
    (
        "rate_distortion",
        "Rate and distortion",
        "The test split after each evaluation of the bound, to the last (large point). "
        "Dotted lines have the same ELBO; to the right the code says more of x.",
        figures.rate_distortion,
    ),
    (
        "members",
        "Members of the population",
        "Every member at the end of training, on the test split, in the plane of rate "
        "and distortion; a colour for each value that was swept, and the member of "
        "this page ringed. Dotted lines have the same ELBO.",
        parts.members,
    ),
    (
        "reconstructions",
        "Reconstructions",
        "Test images, and below each the decoder's mean at its posterior mean.",
        figures.reconstructions,
    ),
    (
        "cluster_samples",
        "Samples of each cluster",
        "Columns are clusters (with the label matched to each), rows are independent "
        "draws z ~ N(mu_c, I). A clean column means that the cluster is one thing.",
        figures.cluster_samples,
    ),
    (
        "confusion_matrix",
        "Clusters against labels",
        "Test examples of each label (columns) in each cluster (rows). Labels were "
        "never used in training; the one-to-one matching that names the rows is the "
        "Hungarian one.",
        figures.confusion_matrix,
    ),
    (
        "latent_map",
        "Latent space",
        "Posterior means of test examples, laid out in the plane by t-SNE (codes of "
        "two dims as they are): near points have near codes, distances between "
        "groups mean little.",
        figures.latent_map,
    ),
    (
        "occupancy",
        "Use of the clusters",
        "Share of test examples in each cluster, by the most probable cluster and by "
        "the mean probability.",
        figures.occupancy,
    ),
    (
        "interpolations",
        "Interpolations",
        "Ten equal steps from one centroid to the next (with a prior of one mode: "
        "between the codes of two test images).",
        figures.interpolations,
    ),
    (
        "moving_away",
        "Moving away from the origin",
        "Rows are clusters, columns multiples of the centroid: 0 is the origin that "
        "all clusters share, 1 the centroid itself.",
        figures.moving_away,
    ),
    (
        "traversals",
        "Latent traversals",
        "One latent dim a row, moved by up to 2.5 prior standard deviations about the "
        "code of one test image; a dim without prior from its smallest to its largest "
        "value on the test split.",
        figures.traversals,
    ),
    (
        "masked",
        "What each part of the code holds",
        "Test images, their reconstructions, and the reconstructions from one part of "
        "the code alone, the others at their mean over the test split.",
        parts.masked,
    ),
    (
        "plane",
        "One dim of each part",
        "The dim of the second part that varies most, left to right, and that of the "
        "first, top to bottom, about the code of one test image.",
        parts.plane,
    ),
    (
        "information_curves",
        "Information and rate over training",
        "The lower bound on I(z; x') of what is generated and the rate, of each part "
        "of the code and of each dim, with the reconstruction beside them, in nats.",
        parts.information_curves,
    ),
    (
        "factor_kl",
        "Factors of the classes",
        "Mean KL of each shared dim and of each class's own dims over the test "
        "examples of the class. A dim well above zero holds a factor.",
        parts.factor_kl,
    ),
    (
        "shared_traversals",
        "Shared factors across classes",
        "The two shared dims of the largest KL, moved in the same way in every class "
        "about z = 0: what changes should be the same in every row.",
        parts.shared_traversals,
    ),
    (
        "class_traversals",
        "Factors of one class",
        "For each class the dim of its own block with the largest KL, moved about "
        "z = 0: what changes may differ from row to row.",
        parts.class_traversals,
    ),
    (
        "class_samples_wide",
        "Samples beyond the prior",
        "Columns are classes, rows draws of z from a normal distribution of standard "
        "deviation 1.4 instead of 1.",
        parts.class_samples_wide,
    ),
    (
        "prior_samples",
        "Samples of the prior",
        "Decoder means of independent draws from the whole prior.",
        figures.prior_samples,
    ),
)


def write(run: Run, params: Any, workdir: pathlib.Path) -> pathlib.Path:
    """Writes `figures/*.png` and `report.html` of a run.

    Args:
      run: from `loop.open_run`.
      params: restored parameters.
      workdir: holds `metrics.jsonl` and, where evaluated, `evaluation.json`.

    Returns:
      The path of the page.
    """
    scene = _scene(run, params, workdir)
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    sections, skipped = [], []
    for name, title, caption, draw in PICTURES:
        figure = draw(scene)
        path = folder / f"{name}.png"
        if figure is None:
            skipped.append(title)
            path.unlink(missing_ok=True)
            continue
        _save(figure, path)
        sections.append(page.Section(title, caption, path))
    result = workdir / "evaluation.json"
    evaluation = json.loads(result.read_text()) if result.exists() else None
    return page.write(run, workdir, sections, skipped, evaluation)


def compare_runs(results: dict[str, dict[str, float]], path: pathlib.Path) -> None:
    """Saves a PNG of finished runs in the plane of rate and distortion.

    Args:
      results: name of a run -> its figures, as in `evaluation.json`.
      path: of the PNG.
    """
    paths = [
        (
            name,
            np.array(
                [
                    [
                        sum(v for k, v in found.items() if k.startswith("elbo/kl")),
                        found["elbo/reconstruction"],
                    ]
                ]
            ),
        )
        for name, found in results.items()
    ]
    _save(figures.rate_distortion_plane(paths), path)


def sample_grid(images: np.ndarray, path: pathlib.Path) -> None:
    """Saves images `[n, H, W, C]` as one PNG; black to white is their own range."""
    limits = (min(0.0, float(images.min())), max(1.0, float(images.max())))
    _save(figures.square_grid(images, limits), path)


def _save(figure, path: pathlib.Path) -> None:
    # No date and no version in the file: the same run gives the same bytes.
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _scene(run: Run, params: Any, workdir: pathlib.Path) -> figures.Scene:
    codes = encode_split(run, params, run.dataset.test_x)
    key = jax.random.key(run.config.evaluation.seed)
    matched = None
    if codes.logits is not None and run.dataset.test_y is not None:
        clusters = codes.logits.argmax(-1)
        table = clustering.contingency(
            clusters, run.dataset.test_y, codes.logits.shape[-1]
        )
        matched = clustering.match_clusters(table)
    return figures.Scene(
        run=run,
        params=params,
        codes=codes,
        test_x=prepared(run, run.dataset.test_x),
        rows=metrics.read_metrics(workdir, run.member),
        population=population_run.read(workdir),
        key=key,
        matched=matched,
    )
