"""Whether equal training gives equal bounds: the VAE of every library.

The test ELBO of all of them is computed here, by the same formula and with the same
noise, from the posterior's parameters and the decoder's means.
"""

import functools
from collections.abc import Callable

import numpy as np

from infovae_jax.benchmark import workers
from infovae_jax.benchmark.cases import Case
from infovae_jax.errors import ConfigError

# Variants that are trained; the resident loop and the compiled one compute the same.
NAMES = (workers.OURS, "torch_loader", "pythae")
SAMPLES = 10
_TINY = 1e-7  # probabilities of float32 closer to 0 or 1 are not kept by all


@functools.lru_cache(maxsize=1)
def read(source: str) -> tuple[np.ndarray, np.ndarray]:
    """Both splits of images as uint8 `[n, 28, 28, 1]`.

    Args:
      source: 'digits' (8x8, enlarged threefold on a frame of 2), or an npz file as
        `config.data.source` takes.

    Raises:
      ConfigError: images of another size.
      DataError: see `data.load`.
    """
    from infovae_jax import config as config_lib
    from infovae_jax import data
    from infovae_jax.benchmark.cases import make_config

    config = config_lib.ConfigDict(make_config(Case("vae", "mlp", 28)).to_dict())
    config.data.unlock()
    config.data.source = source
    dataset = data.load(config.data)
    splits = [np.asarray(x) for x in (dataset.train_x, dataset.test_x)]
    return tuple(_enlarged(x) for x in splits)


def _enlarged(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.uint8:
        x = np.round(x * 255.0).astype(np.uint8)
    if x.shape[1:] == (8, 8, 1):
        x = x.repeat(3, axis=1).repeat(3, axis=2)
        x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    if x.shape[1:] != (28, 28, 1):
        raise ConfigError(
            f"images of {x.shape[1:]}", "--data", "give 28x28 grey ones, or 'digits'"
        )
    return x


def test_elbo(encode: Callable, decode: Callable, images: np.ndarray) -> float:
    """Mean ELBO in nats of a VAE with a Bernoulli likelihood.

    The rate in closed form, the distortion from SAMPLES codes of each image.

    Args:
      encode: images `[n, H, W, C]` float32 -> mean and log-variance `[n, d]`.
      decode: codes `[n, d]` -> means `[n, H, W, C]`.
      images: uint8 `[n, H, W, C]`.
    """
    total = 0.0
    for start in range(0, len(images), 500):
        x = images[start : start + 500].astype(np.float32) / 255.0
        mean, log_var = (a.astype(np.float64) for a in encode(x))
        noise = np.random.default_rng(start).standard_normal((SAMPLES, *mean.shape))
        z = (mean + np.exp(0.5 * log_var) * noise).astype(np.float32)
        p = np.stack([decode(codes) for codes in z]).astype(np.float64)
        p = np.clip(p, _TINY, 1.0 - _TINY)
        log_x = (x * np.log(p) + (1.0 - x) * np.log1p(-p)).sum((2, 3, 4)).mean(0)
        rate = 0.5 * (mean**2 + np.exp(log_var) - 1.0 - log_var).sum(-1)
        total += float((log_x - rate).sum())
    return total / len(images)


def compare(
    source: str, epochs: int, options: workers.Options, say=print
) -> dict[str, dict]:
    """Trains the VAE of every library for as many epochs; test ELBO of each, nats."""
    case = Case("vae", "mlp", 28)
    steps = len(read(source)[0]) // case.batch_size
    found = {}
    for name in NAMES:
        try:
            worker = workers.Worker(name, case, options, data=source)
            try:
                for _ in range(epochs):
                    worker.call("steps", count=steps)
                found[name] = {"test_elbo": worker.call("test_elbo")["value"]}
            finally:
                worker.close()
        except workers.Failed as error:
            found[name] = {"failed": str(error)}
        say(f"{name:<15}{_outcome(found[name])}")
    bounds = [row["test_elbo"] for row in found.values() if "test_elbo" in row]
    if len(bounds) > 1:
        say(f"largest difference {max(bounds) - min(bounds):.2f} nats")
    return found


def _outcome(row: dict) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    return f"test ELBO {row['test_elbo']:.2f} nats"
