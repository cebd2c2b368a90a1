"""Which labels a learner may see: a pure function of the labels and a seed."""

import numpy as np

from infovae_jax.data.permutation import VISIBLE_LABELS, permutation
from infovae_jax.errors import ConfigError, DataError

UNKNOWN = -1


def visible_labels(
    labels: np.ndarray | None,
    num_examples: int,
    num_labels: int,
    per_class: int | None,
    seed: int,
) -> np.ndarray:
    """Labels with those set to -1 that training must not see.

    Args:
      labels: `[n]`, or None where the data carry none.
      num_examples: n.
      num_labels: number of classes.
      per_class: labels kept of each class, drawn at random; None: all, 0: none.
      seed: of the draw.

    Returns:
      int32 `[n]`.

    Raises:
      ConfigError: a class has fewer examples than `per_class`.
      DataError: labels are asked of data that have none.
    """
    if labels is None:
        if per_class == 0:
            return np.full(num_examples, UNKNOWN, np.int32)
        raise DataError(
            "the data carry no labels, which this objective learns from",
            "config.data.source",
            "give labels, or set data.labels_per_class=0",
        )
    if per_class is None:
        return np.asarray(labels, np.int32)
    visible = np.full(num_examples, UNKNOWN, np.int32)
    order = permutation(seed, VISIBLE_LABELS, num_examples)
    shuffled = np.asarray(labels)[order]
    for label in range(num_labels):
        members = order[shuffled == label]
        if not len(members):
            continue  # a class of no examples, as where labels begin at 1
        if len(members) < per_class:
            raise ConfigError(
                f"{per_class} labels of class {label}, which has {len(members)} "
                "training examples",
                "config.data.labels_per_class",
                f"give at most {len(members)}",
            )
        visible[members[:per_class]] = label
    return visible
