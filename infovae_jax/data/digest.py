"""Digests of decoded data, by which a run knows what it was trained on."""

import hashlib
from collections.abc import Mapping

import numpy as np

from infovae_jax.data import cache
from infovae_jax.types import Dataset


def of_dataset(dataset: Dataset) -> dict[str, str]:
    """What the data of a run are: name of a part -> SHA-256 in hex.

    The parts are images, labels and factors of both splits; those that are not there
    are left out. An array that lies in the decoded cache as it is has its digest there.
    """
    parts = {
        "train images": dataset.train_x,
        "train labels": dataset.train_y,
        "test images": dataset.test_x,
        "test labels": dataset.test_y,
    }
    for name, (train, test) in (dataset.factors or {}).items():
        parts |= {f"train factor {name}": train, f"test factor {name}": test}
    return {name: of_array(array) for name, array in parts.items() if array is not None}


def of_array(array: np.ndarray) -> str:
    """SHA-256 in hex, from the decoded cache where the array lies there as it is."""
    return cache.known_digest(array) or cache.array_digest(array)


def combined(digests: Mapping[str, str]) -> str:
    """One SHA-256 in hex of all parts."""
    return of_text("".join(f"{name} {digests[name]}\n" for name in sorted(digests)))


def of_text(text: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
