"""Images in, a checked `Dataset` out.

`load(config.data)` reads a source, checks every value once and decides what the
data are. `batches` turns a (seed, step) into a batch. Neither scikit-learn, Pillow
nor TensorFlow Datasets is imported before a source asks for it, and TensorFlow
never is.
"""

from infovae_jax.data.batches import batch_indices, prepare, steps_per_epoch
from infovae_jax.data.sources import load

__all__ = ["batch_indices", "load", "prepare", "steps_per_epoch"]
