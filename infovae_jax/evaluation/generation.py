"""How generated images compare with real ones, on features of one's choice.

Features are `[n, f]` arrays from any network (name it beside the number: a distance
on the features of a classifier of one's own is not "FID"). Plain numbers come out.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import linalg

from infovae_jax.errors import DataError, MetricError
from infovae_jax.evaluation import checks

WHERE = "generation metrics"


class Features(NamedTuple):
    """What images are compared by: any function of them.

    Attributes:
      name: of the network.
      function: `function(images) -> [n, f]` of images `[n, H, W, C]`.
      recipe: what it is, in words, to stand beside a number.
    """

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    recipe: str


class Distances(NamedTuple):
    """Distances of two sets of images in some features.

    Attributes:
      frechet: of Gaussians fitted to both, see `frechet_distance`.
      kernel: see `kernel_distance`.
      kernel_error: its standard error, or None of a few images.
    """

    frechet: float
    kernel: float
    kernel_error: float | None


def distances(
    features: Features, real: np.ndarray, made: np.ndarray, seed: int = 0
) -> Distances:
    """How far made images `[m, H, W, C]` are from real ones `[n, H, W, C]`.

    Raises:
      DataError: fewer than two images, or features that are not finite.
    """
    a, b = features.function(real), features.function(made)
    frechet = frechet_distance(*moments(a), *moments(b))
    return Distances(frechet, *kernel_distance(a, b, seed=seed))


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean `[f]` and covariance `[f, f]` (with n - 1) of features `[n, f]`.

    Raises:
      DataError: another rank, or fewer than two examples.
      MetricError: values that are not finite.
    """
    features = _checked(features)
    return features.mean(0), np.atleast_2d(np.cov(features, rowvar=False))


def _checked(features: np.ndarray, name: str = "features") -> np.ndarray:
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2:
        raise DataError(
            f"{name} of shape {features.shape}", WHERE, "give [n, f] with n above 1"
        )
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise MetricError(
            f"{features[row, column]} in the {name} at [{row}, {column}]",
            WHERE,
            "remove or repair that example",
        )
    return features


def frechet_distance(mean1, cov1, mean2, cov2) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): Frechet distance of two Gaussians.

    Squared 2-Wasserstein distance (Dowson & Landau 1982; Heusel et al. 2017, arXiv
    1706.08500). The trace of the root is from the eigenvalues of C1^(1/2) C2 C1^(1/2),
    which are real, so that singular covariances (fewer samples than features) need no
    added noise. Sample estimates are biased upwards: compare at equal n.

    Args:
      mean1: `[f]`.
      cov1: `[f, f]`.
      mean2: `[f]`.
      cov2: `[f, f]`.

    Raises:
      DataError: unlike shapes.
      MetricError: a value that is not finite.
    """
    arrays = [np.asarray(a, np.float64) for a in (mean1, cov1, mean2, cov2)]
    m1, m2 = np.atleast_1d(arrays[0]), np.atleast_1d(arrays[2])
    c1, c2 = np.atleast_2d(arrays[1]), np.atleast_2d(arrays[3])
    size = len(m1)
    if m1.shape != m2.shape or not c1.shape == c2.shape == (size, size):
        raise DataError(
            f"mean1 {m1.shape} and mean2 {m2.shape}, covariances cov1 {c1.shape} and "
            f"cov2 {c2.shape}",
            WHERE,
            "give means [f] and covariances [f, f]",
        )
    names = ("mean1", "cov1", "mean2", "cov2")
    for name, values in zip(names, arrays, strict=True):
        if not np.isfinite(values).all():
            raise MetricError(f"{name} is not finite", WHERE, "check the features")
    values, vectors = linalg.eigh(c1)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = root @ c2 @ root
    inner = (inner + inner.T) / 2.0
    traced = np.sqrt(np.maximum(linalg.eigvalsh(inner), 0.0)).sum()
    distance = ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2.0 * traced
    return float(max(distance, 0.0))


def kernel_distance(
    real: np.ndarray,
    made: np.ndarray,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> tuple[float, float | None]:
    """Unbiased MMD^2 with the kernel (a.b / f + 1)^3, and its standard error.

    A mean over subsets drawn without replacement (Binkowski et al. 2018, arXiv
    1801.01401). Unbiased whatever n, and hence sometimes below 0. The error is that of
    the delete-d jackknife: subsets of s out of n spread sqrt((n - s) / s) times as much
    as estimates from n examples do (Shao & Wu 1989, Annals of Statistics 17).

    Args:
      real: features `[n, f]`.
      made: features `[m, f]`.
      num_subsets: how many.
      subset_size: examples of each; at most half of what there are, so that the
        subsets differ. Of fewer than four a side: all, and no error.
      seed: of the draws.
    """
    real, made = _checked(real, "real"), _checked(made, "made")
    checks.same_width(WHERE, real=real, made=made)
    rng = np.random.default_rng(seed)
    fewest = min(len(real), len(made))
    size = min(subset_size, fewest // 2) if fewest > 3 else fewest
    values = []
    for _ in range(num_subsets):
        a = real[rng.choice(len(real), size, replace=False)]
        b = made[rng.choice(len(made), size, replace=False)]
        aa, bb, ab = (
            (x @ y.T / real.shape[1] + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b))
        )
        pairs = size * (size - 1)
        within = (aa.sum() - np.trace(aa)) + (bb.sum() - np.trace(bb))
        values.append(within / pairs - 2.0 * ab.mean())
    if num_subsets < 2 or size == fewest:
        return float(np.mean(values)), None
    error = np.std(values, ddof=1) * np.sqrt(size / (fewest - size))
    return float(np.mean(values)), float(error)


def coverage(
    real: np.ndarray, made: np.ndarray, num_neighbours: int = 5, chunk: int = 1000
) -> dict[str, float]:
    """Precision, recall, density and coverage, by balls to the k-th neighbour.

    precision: share of made examples in some ball of a real one; recall: the reverse;
    density: mean number of real balls around a made example, over k; coverage: share
    of real balls with a made example inside. Kynkaanniemi et al. 2019 (arXiv
    1904.06991), Naeem et al. 2020 (arXiv 2002.09797).

    Args:
      real: features `[n, f]`.
      made: features `[m, f]`.
      num_neighbours: k; an example is not its own neighbour.
      chunk: rows of distances at once.

    Raises:
      DataError: not more than k examples on a side.
    """
    from scipy.spatial.distance import cdist

    real, made = _checked(real, "real"), _checked(made, "made")
    checks.same_width(WHERE, real=real, made=made)
    k = num_neighbours
    if min(len(real), len(made)) <= k:
        raise DataError(
            f"{len(real)} real and {len(made)} made examples for {k} neighbours",
            WHERE,
            f"give more than {k} of each",
        )

    def radii(x):
        parts = [
            np.partition(cdist(x[i : i + chunk], x), k, axis=1)[:, k]
            for i in range(0, len(x), chunk)
        ]
        return np.concatenate(parts)

    real_radii, made_radii = radii(real), radii(made)
    inside, in_made, counts = [], [], np.zeros(len(real), bool)
    covered = 0
    for i in range(0, len(made), chunk):
        distances = cdist(made[i : i + chunk], real)
        within = distances <= real_radii[None]
        inside.append(within.any(1))
        covered += int(within.sum())
        counts |= within.any(0)
        in_made.append((distances <= made_radii[i : i + chunk, None]).any(0))
    return {
        "precision": float(np.concatenate(inside).mean()),
        "recall": float(np.any(in_made, axis=0).mean()),
        "density": covered / k / len(made),
        "coverage": float(counts.mean()),
    }


def sharpness(images: np.ndarray) -> float:
    """Mean over images of the variance of their Laplacian (kernel 0 1 0 / 1 -4 1).

    The colours are averaged first. A blurred image has a small one. Tolstikhin et
    al. 2018 print the smallest over samples in their log; this is the mean.

    Args:
      images: `[n, H, W, C]` with H and W above 2.
    """
    grey = checks.array(images, WHERE, "images", 4).mean(-1)
    if min(grey.shape[1:]) < 3:
        raise DataError(
            f"images of {grey.shape[1]}x{grey.shape[2]}", WHERE, "give at least 3x3"
        )
    centre = grey[:, 1:-1, 1:-1]
    around = (
        grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    )
    return float((around - 4.0 * centre).var((1, 2)).mean())


def class_balance(probabilities: np.ndarray) -> dict[str, float]:
    """What a classifier says of generated images.

    Args:
      probabilities: `[n, L]`, rows on the simplex.

    Returns:
      `kl_to_uniform` of the mean probabilities, nats in [0, log L], and the mean
      largest probability `confidence`.
    """
    probabilities = checks.probabilities(probabilities, WHERE, "probabilities")
    mean = probabilities.mean(0)
    present = mean > 0
    entropy = -(mean[present] * np.log(mean[present])).sum()
    return {
        "kl_to_uniform": float(np.log(len(mean)) - entropy),
        "confidence": float(np.max(probabilities, axis=1).mean()),
    }
