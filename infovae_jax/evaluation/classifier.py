"""A small classifier of images, trained here: features and a judge of what is made.

It makes the distances of `generation` work offline and on any data with labels. Its
recipe stands beside every number: the features are its last hidden layer's.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from infovae_jax import networks
from infovae_jax.data import batches
from infovae_jax.types import Network

NUM_FEATURES = 128
BATCH_SIZE = 128
CONV_FROM = 16  # pixels a side, from which convolutions are used
CHUNK = 100  # steps of one program
APPLIED = 500  # images that it is applied to at once


class Classifier(NamedTuple):
    """A trained classifier.

    Attributes:
      features: `features(x) -> [n, 128]` of images `[n, H, W, C]`, float32.
      probabilities: `probabilities(x) -> [n, L]`.
      recipe: what it is, in words.
    """

    features: Any
    probabilities: Any
    recipe: str


def train_classifier(
    x: np.ndarray, labels: np.ndarray, num_classes: int, num_steps: int, seed: int
) -> Classifier:
    """Trains by cross-entropy with Adam, 1e-3 falling to 0 by half a cosine.

    Args:
      x: images as the model sees them, `[n, H, W, C]` float32.
      labels: `[n]`.
      num_classes: L.
      num_steps: of 128 examples.
      seed: fixes weights and order.
    """
    kind, encoder, size = _make_encoder(tuple(x.shape[1:]))
    head = networks.make_classifier(size, num_classes)
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-3, num_steps))

    def logits(params, images):
        return head.apply(params["head"], encoder.apply(params["encoder"], images))

    def loss(params, images, target):
        log_p = jax.nn.log_softmax(logits(params, images))
        return -jnp.take_along_axis(log_p, target[:, None], -1).mean()

    @jax.jit
    def run(params, opt_state, images, targets, indices):
        def step(carry, rows):
            params, opt_state = carry
            grads = jax.grad(loss)(params, images[rows], targets[rows])
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        return jax.lax.scan(step, (params, opt_state), indices)[0]

    key_encoder, key_head = jax.random.split(jax.random.key(seed))
    params = {"encoder": encoder.init(key_encoder), "head": head.init(key_head)}
    opt_state = optimizer.init(params)
    images, targets = jnp.asarray(x, jnp.float32), jnp.asarray(labels, jnp.int32)
    batch = min(BATCH_SIZE, len(x))
    for first in range(0, num_steps, CHUNK):
        count = min(CHUNK, num_steps - first)
        indices = batches.batch_indices(seed, first, count, len(x), batch)
        params, opt_state = run(params, opt_state, images, targets, indices)

    features = jax.jit(lambda a: encoder.apply(params["encoder"], a))
    softmax = jax.jit(lambda a: jax.nn.softmax(logits(params, a)))
    return Classifier(
        features=lambda a: batches.map_batches(features, a, APPLIED),
        probabilities=lambda a: batches.map_batches(softmax, a, APPLIED),
        recipe=f"{kind} classifier of these data, {num_steps} steps, {size} features",
    )


def _make_encoder(shape: tuple[int, ...]) -> tuple[str, Network, int]:
    """Kind, network and number of features for images `[H, W, C]`."""
    kind = "conv" if min(shape[:2]) >= CONV_FROM else "mlp"
    settings = {
        "kind": kind,
        "encoder_hidden": (256, NUM_FEATURES),
        "normalization": "none",
        "activation": "relu",
        "initializer": "lecun",
        "conv_channels": (32, 64),
        "conv_kernel": 4,
        "conv_hidden": NUM_FEATURES,
        "conv_form": "auto",
    }
    return kind, *networks.make_encoder(ConfigDict(settings), shape)


def accuracy(classifier: Classifier, x: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose most probable class is their label."""
    return float((classifier.probabilities(x).argmax(-1) == labels).mean())
