"""The test ELBO of every library by one formula, its clusters, and their images.

A worker of a peer imports this too, and JAX only where it is asked for the bound.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np

from infovae_jax.benchmark.cases import Case, make_config, peer_settings
from infovae_jax.errors import ConfigError

SAMPLES = 10
_TINY = 1e-7  # probabilities of float32 closer to 0 or 1 are not kept by all


@functools.lru_cache(maxsize=1)
def read(source: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Both splits of images as uint8 `[n, 28, 28, 1]`, and the test labels, if any.

    Args:
      source: 'digits' (8x8, enlarged threefold on a frame of 2), or an npz file as
        `config.data.source` takes.

    Raises:
      ConfigError: images of another size.
      DataError: see `data.load`.
    """
    from infovae_jax import config as config_lib
    from infovae_jax import data

    config = config_lib.ConfigDict(make_config(Case("vae", "mlp", 28)).to_dict())
    config.data.unlock()
    config.data.source = source
    dataset = data.load(config.data)
    splits = [np.asarray(x) for x in (dataset.train_x, dataset.test_x)]
    return *(_enlarged(x) for x in splits), dataset.test_y


def _enlarged(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.uint8:
        if x.min() < 0.0 or x.max() > 1.0:
            what = f"values from {x.min():g} to {x.max():g}"
            raise ConfigError(what, "--data", "give bytes, or values from 0 to 1")
        x = np.round(x * 255.0).astype(np.uint8)
    if x.shape[1:] == (8, 8, 1):
        x = x.repeat(3, axis=1).repeat(3, axis=2)
        x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    if x.shape[1:] != (28, 28, 1):
        raise ConfigError(
            f"images of {x.shape[1:]}", "--data", "give 28x28 grey ones, or 'digits'"
        )
    return x


def prior_means(settings: dict) -> np.ndarray:
    """Of the components of p(z), whose variances are 1, `[K, d]`.

    Args:
      settings: from `cases.peer_settings`; without clusters p(z) is N(0, I).
    """
    from infovae_jax import priors

    clusters, latent = settings.get("num_clusters", 1), settings["latent_dim"]
    separation = settings.get("separation", 0.0)
    return np.asarray(
        priors.cluster_means(clusters, latent // clusters, separation), np.float64
    )


def scores(variant, case: Case, source: str) -> dict[str, float | None]:
    """What a variant's model is worth on the test images of `source`.

    Args:
      variant: has `posteriors` and `decode`; see `test_elbo`.
      case: whose prior it has.
      source: see `read`.

    Returns:
      `elbo` in nats; `accuracy` of argmax q(c | x), matched to the labels one to one,
      or None where there are no clusters or no labels.
    """
    _, images, labels = read(source)
    prior = prior_means(peer_settings(case))
    found = {"elbo": test_elbo(variant.posteriors, variant.decode, prior, images)}
    found["accuracy"] = None
    if labels is not None and len(prior) > 1:
        from infovae_jax.evaluation import clustering

        log_q = [variant.posteriors(x)[0] for x, _ in _batches(images)]
        clusters = np.concatenate(log_q).argmax(-1)
        found["accuracy"] = clustering.clustering_accuracy(clusters, labels)
    return found


def _batches(images: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Some images at a time, as the models see them, and where they begin."""
    for start in range(0, len(images), 500):
        yield images[start : start + 500].astype(np.float32) / 255.0, start


def test_elbo(
    posteriors: Callable, decode: Callable, prior: np.ndarray, images: np.ndarray
) -> float:
    """Mean ELBO in nats of a VAE or a mixture of K, with a Bernoulli likelihood.

        sum_c q(c | x) (E_q(z | x, c) log p(x | z) - KL(q(z | x, c) || N(mu_c, I)))
        - KL(q(c | x) || uniform)

    The KL terms in closed form, the expectation from SAMPLES codes of each image in
    all, at least one per cluster.

    Args:
      posteriors: images `[n, H, W, C]` float32 -> log q(c | x) `[n, K]`, mean and
        log-variance of q(z | x, c) `[n, K, d]`.
      decode: codes `[n, d]` -> means `[n, H, W, C]`.
      prior: mu, `[K, d]`.
      images: uint8 `[n, H, W, C]`.
    """
    total, clusters = 0.0, len(prior)
    samples = max(SAMPLES // clusters, 1)
    for x, start in _batches(images):
        log_q, mean, log_var = (a.astype(np.float64) for a in posteriors(x))
        noise = np.random.default_rng(start).standard_normal((samples, *mean.shape))
        z = (mean + np.exp(0.5 * log_var) * noise).astype(np.float32)
        log_x = np.empty((samples, len(x), clusters))
        for draw, cluster in np.ndindex(samples, clusters):
            p = decode(z[draw, :, cluster]).astype(np.float64)
            p = np.clip(p, _TINY, 1.0 - _TINY)
            pixels = x * np.log(p) + (1.0 - x) * np.log1p(-p)
            log_x[draw, :, cluster] = pixels.sum((1, 2, 3))
        square = (mean - prior) ** 2
        kl_z = 0.5 * (square + np.exp(log_var) - 1.0 - log_var).sum(-1)
        inner = log_x.mean(0) - kl_z - (log_q + np.log(clusters))
        total += float((np.exp(log_q) * inner).sum())
    return total / len(images)
