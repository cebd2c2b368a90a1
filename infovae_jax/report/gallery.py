"""The pictures of a report, in the order of the page."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from infovae_jax.report import (
    cluster_members,
    code_parts,
    figures,
    pictures,
    rate_and_information,
    scores,
    tables,
)


class Picture(NamedTuple):
    """One picture of the page.

    Attributes:
      name: of the PNG, and of the `.npz` with its arrays.
      title: of its section.
      caption: what one sees, and how to read it.
      take: `take(scene)`, the arguments of `draw` by name; those that are None are
        left out. None or nothing: it does not apply to the run.
      recipe: beginnings of the names of the figures it shows; the recipe of the
        first of each stands below the picture.
      caption_of_classes: in its place where the clusters are classes that training
        learned from labels.
    """

    name: str
    title: str
    caption: str
    take: Callable[[figures.Scene], dict[str, Any] | None]
    recipe: tuple[str, ...] = ()
    caption_of_classes: str = ""

    def caption_for(self, uses_labels: bool) -> str:
        """The caption of a run that learned from labels, or of one that did not."""
        return (uses_labels and self.caption_of_classes) or self.caption

    @property
    def draw(self) -> Callable[..., Figure]:
        """The function of `pictures` of its name, else a grid of images."""
        name = self.name if self.name in pictures.__all__ else "image_grid"
        return getattr(pictures, name)

    def arrays(self, scene: figures.Scene) -> dict[str, np.ndarray]:
        """The arguments of `draw`, as its `.npz` holds them; empty: none applies."""
        given = self.take(scene) or {}
        return {k: np.asarray(v) for k, v in given.items() if v is not None}


# What one asks, and the pictures that help to answer it, in the order of the page.
QUESTIONS = {
    "Are the data explained?": ("reconstructions", "columns", "density", "masked"),
    "What are the clusters?": (
        *("cluster_members", "cluster_profiles", "confusion_matrix", "cluster_samples"),
        *("occupancy", "calibration", "moving_away"),
    ),
    "What does the code hold?": (
        *("latent_map", "traversals", "plane", "factor_kl", "shared_traversals"),
        *("class_traversals", "disentanglement", "probe_accuracy", "robustness"),
    ),
    "What does the model make?": (
        *("prior_samples", "interpolations", "class_samples_wide"),
        *("generation", "artificial"),
    ),
    "How did training go?": (
        *("loss_curves", "rate_distortion", "information_plane"),
        *("information_curves", "members"),
    ),
}


def question_of(name: str) -> tuple[int, str, int]:
    """Place and words of a picture's question, and its place among its pictures."""
    for place, (question, names) in enumerate(QUESTIONS.items()):
        if name in names:
            return place, question, names.index(name)
    return len(QUESTIONS), "What else is there?", 0


def of_classes(words: str, uses_labels: bool) -> str:
    """A title of clusters, or of classes where these were learned from labels."""
    if not uses_labels:
        return words
    for word, other in (("lusters", "lasses"), ("luster", "lass")):
        words = words.replace(word, other)
    return words


# Pictures of what the decoder puts out: of a table that is no picture.
OF_IMAGES = {
    *("reconstructions", "cluster_samples", "interpolations", "moving_away"),
    *("traversals", "masked", "plane", "shared_traversals", "class_traversals"),
    *("class_samples", "class_samples_wide", "prior_samples"),
}
OF_TABLES = {"cluster_profiles", "columns"}
PICTURES = (
    Picture(
        "loss_curves",
        "Training",
        "The loss and each term of it in nats, unweighted, per epoch; points are the "
        "test split. Where there are such, the last panels show the effective number "
        "of clusters, their test examples, and weights that change over training.",
        figures.loss_curves,
    ),
    Picture(
        "rate_distortion",
        "Rate and distortion",
        "The test split after each evaluation of the bound, to the last (large point). "
        "Dotted lines have the same ELBO; to the right the code says more of x.",
        rate_and_information.rate_distortion,
    ),
    Picture(
        "information_plane",
        "Information plane",
        "What the code says of the example (to the right) and of its label (upwards) "
        "after each evaluation: two lower bounds, of one code z ~ q(z|x) an example. "
        "I(x; z) is that of at most 1,000 test examples and cannot pass the log of "
        "their number (dotted): near it, read 'at least'. I(z; y) is H(y) less the "
        "cross-entropy of a logistic probe fitted on 2,000 training codes. Good codes "
        "for the label alone are high up and far left (Tishby et al. 1999; bounds: "
        "Barber & Agakov 2003, Alemi et al. 2018).",
        rate_and_information.information,
    ),
    Picture(
        "density",
        "Density",
        "Lower bounds on the mean log-likelihood, the loosest first. Bars are two "
        "standard errors over the examples; that of AIS reaches up by its gap too, "
        "between the two bounds on samples of the model. Each row is of the examples "
        "that it names: only equal sets compare.",
        scores.density,
    ),
    Picture(
        "probe_accuracy",
        "Classifiers on few labels",
        "How much of the label simple classifiers find in posterior means, against the "
        "number of labels they see.",
        scores.probe_accuracy,
        ("probe",),
    ),
    Picture(
        "robustness",
        "Robustness of the code",
        "A classifier fitted on codes of clean training images meets corrupted test "
        "images; level 0 is the clean test split.",
        scores.robustness,
        ("robust",),
    ),
    Picture(
        "disentanglement",
        "Disentanglement",
        "Scores of the posterior means against the known factors of the data; the "
        "scores measure different things and often disagree.",
        scores.disentanglement,
        ("disentanglement",),
    ),
    Picture(
        "generation",
        "Samples against test images",
        "Left: the share of samples that look like test images (precision, density), "
        "and of test images that samples come near (recall, coverage). Right: distance "
        "of features to those of test images; training images give the floor.",
        scores.generation,
        ("generation/precision", "generation/frechet"),
    ),
    Picture(
        "artificial",
        "Training on samples",
        "A classifier of images trained on real images, samples, or both, and tested "
        "on real images. The fall from left to right is what samples lack.",
        scores.artificial,
        ("artificial",),
    ),
    Picture(
        "calibration",
        "Calibration",
        "Accuracy of the classifier of the model among examples of equal confidence: "
        "below the diagonal it is too sure. Below: how many examples each bin holds, "
        "in numbers and as a share.",
        scores.calibration,
        ("calibration",),
    ),
    Picture(
        "members",
        "Members of the population",
        "Every member at the end of training, on the test split, in the plane of rate "
        "and distortion; a colour for each value that was swept, and the member of "
        "this page ringed. Dotted lines have the same ELBO.",
        rate_and_information.members,
    ),
    Picture(
        "cluster_profiles",
        "What each cluster is",
        "Means of the test rows of each cluster, with how many it has, in the units of "
        "the column; of a category its share. Red is above the mean of all rows and "
        "blue below (of counts, of their logarithm), fully at two standard deviations. "
        "Of many columns those that differ most.",
        tables.cluster_profiles,
    ),
    Picture(
        "columns",
        "Columns",
        "Each column of the test split, and as many rows drawn from the model; values "
        "beyond those of the data stand at the edge. Beside the name: how well the "
        "column comes back from the codes, R^2 of numbers (of counts, of their "
        "logarithm) or the share of categories that is right.",
        tables.columns,
    ),
    Picture(
        "reconstructions",
        "Reconstructions",
        "Test images, and below each the decoder's mean at its posterior mean.",
        figures.reconstructions,
    ),
    Picture(
        "cluster_members",
        "Real members of each cluster",
        "Test examples. Each row is a cluster, with the label matched to it and how "
        "many it has: those whose codes are nearest to the mean of the cluster, those "
        "at the middle distance, those with the smallest lead over another cluster, "
        "and, with labels, the most certain of another label than the matched one.",
        cluster_members.gallery,
        caption_of_classes="Test examples. Each row is a class, with how many the "
        "classifier puts there: those nearest to the mean code, those at the middle "
        "distance, those with the smallest lead over another class, and the most "
        "certain mistakes.",
    ),
    Picture(
        "cluster_samples",
        "Samples of each cluster",
        "Columns are clusters (with the label matched to each), rows are independent "
        "draws z ~ N(mu_c, I). A clean column means that the cluster is one thing. "
        "Of more than 40 clusters, here and below, the 40 most used.",
        figures.cluster_samples,
        caption_of_classes="Columns are classes, rows are independent draws of the "
        "code from the prior with the class given. A clean column means that the "
        "decoder obeys the class. Of more than 40 classes, here and below, the 40 "
        "most used.",
    ),
    Picture(
        "confusion_matrix",
        "Clusters against labels",
        "Test examples of each label (columns) in each cluster (rows), with "
        "totals. Labels were never used in training; the one-to-one matching that "
        "names the rows is the Hungarian one.",
        figures.confusion_matrix,
        caption_of_classes="Test examples of each label (columns) and what the "
        "classifier q(y|x), trained with labels, takes them for (rows).",
    ),
    Picture(
        "latent_map",
        "Latent space",
        "Posterior means of test examples, laid out in the plane by t-SNE (codes of "
        "two dims as they are): near points have near codes, distances between "
        "groups mean little.",
        figures.latent_map,
    ),
    Picture(
        "occupancy",
        "Use of the clusters",
        "Share of test examples in each cluster, by the most probable cluster and by "
        "the mean probability.",
        figures.occupancy,
        caption_of_classes="Share of test examples that the classifier puts in each "
        "class, by the most probable class and by the mean probability.",
    ),
    Picture(
        "interpolations",
        "Interpolations",
        "Ten equal steps from one centroid to the next (with a prior of one mode: "
        "between the codes of two test images).",
        figures.interpolations,
    ),
    Picture(
        "moving_away",
        "Moving away from the origin",
        "Rows are clusters, columns multiples of the centroid: 0 is the origin that "
        "all clusters share, 1 the centroid itself.",
        figures.moving_away,
        caption_of_classes="Rows are classes, columns multiples of the code of the "
        "class without factors.",
    ),
    Picture(
        "traversals",
        "Latent traversals",
        "One latent dim a row, moved by up to 2.5 prior standard deviations about the "
        "code of one test image; a dim without prior from its smallest to its largest "
        "value on the test split. The dim that changes most comes first; those that "
        "change less than a hundredth of that are left out.",
        figures.traversals,
    ),
    Picture(
        "masked",
        "What each part of the code holds",
        "Test images, their reconstructions, and the reconstructions from one part of "
        "the code alone, the others at their mean over the test split.",
        code_parts.masked,
    ),
    Picture(
        "plane",
        "One dim of each part",
        "The dim of the second part that varies most, left to right, and that of the "
        "first, top to bottom, about the code of one test image.",
        code_parts.plane,
    ),
    Picture(
        "information_curves",
        "Information and rate over training",
        "The lower bound on I(z; x') of what is generated and the rate, of each part "
        "of the code and of each dim, with the reconstruction beside them, in nats.",
        code_parts.information_curves,
    ),
    Picture(
        "factor_kl",
        "Factors of the classes",
        "Mean KL of each shared dim and of each class's own dims over the test "
        "examples of the class. A dim well above zero holds a factor.",
        code_parts.factor_kl,
    ),
    Picture(
        "shared_traversals",
        "Shared factors across classes",
        "The two shared dims of the largest KL, moved in the same way in every class "
        "about z = 0: what changes should be the same in every row.",
        code_parts.shared_traversals,
    ),
    Picture(
        "class_traversals",
        "Factors of one class",
        "For each class the dim of its own block with the largest KL, moved about "
        "z = 0: what changes may differ from row to row.",
        code_parts.class_traversals,
    ),
    Picture(
        "class_samples_wide",
        "Samples beyond the prior",
        "Columns are classes, rows draws of z from a normal distribution of standard "
        "deviation 1.4 instead of 1.",
        code_parts.class_samples_wide,
    ),
    Picture(
        "prior_samples",
        "Samples of the prior",
        "Decoder means of independent draws from the whole prior.",
        figures.prior_samples,
    ),
)
