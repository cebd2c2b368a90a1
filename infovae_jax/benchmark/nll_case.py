"""The network, the weights and the images of the NLL benchmark."""

import numpy as np

LATENT_DIM = 20
SIZES = {
    "encoder/dense_0": (784, 500),
    "encoder/dense_1": (500, 500),
    "posterior/features": (500, 2 * LATENT_DIM),
    "decoder/dense_0": (LATENT_DIM, 500),
    "decoder/dense_1": (500, 500),
    "decoder/outputs": (500, 784),
}


def weights() -> dict[str, np.ndarray]:
    """Matrices of SIZES, the same in every variant; all biases are zero."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.normal(size=size) / np.sqrt(size[0])).astype(np.float32)
        for name, size in SIZES.items()
    }


def images(num: int) -> np.ndarray:
    """Binary float32 `[num, 784]`, a fifth of the pixels lit."""
    rng = np.random.default_rng(1)
    return (rng.random((num, 784)) < 0.2).astype(np.float32)
