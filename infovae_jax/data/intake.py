"""What a trained model knows of its data, so that it can take new ones without them.

Kept in the workdir as `intake.json`.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from infovae_jax.data import columns, scaling
from infovae_jax.data.columns import Scheme
from infovae_jax.data.scaling import Scaling
from infovae_jax.types import ColumnBlock, Dataset, DataSpec

FILE = "intake.json"
# Of standardised data values beyond are rare; others may make training diverge.
LARGE = 20.0


class Intake(NamedTuple):
    """How new examples become such as the model was trained on.

    Attributes:
      scheme: of a table; None of images.
      scaling: what was done to the numbers of an array; None: nothing.
      divisor: what the numbers of the source were divided by.
      bits: whether bytes 0 and 1 of the source meant black and white.
      low: the smallest value of the data in the range that the model sees.
      high: the largest.
      image_size: what images of a folder are resized to: side, (H, W) or None.
    """

    scheme: Scheme | None = None
    scaling: Scaling | None = None
    divisor: float = 1.0
    bits: bool = False
    low: float = -math.inf
    high: float = math.inf
    image_size: Any = None

    def original(self, images: np.ndarray) -> np.ndarray:
        """Images in the range of the model in that of the data, before `scaling`."""
        return images if self.scaling is None else self.scaling.original(images)


def to_json(dataset: Dataset) -> dict[str, Any]:
    """All that new data need of a dataset, as JSON holds it; no example of it."""
    intake = dataset.intake
    scheme = intake.scheme and columns.to_json(intake.scheme)
    scale = intake.scaling and scaling.to_json(intake.scaling)
    return {
        "spec": spec_to_json(dataset.spec),
        "intake": intake._replace(scheme=scheme, scaling=scale)._asdict(),
        "label_names": list(dataset.label_names),
        "decision": dataset.decision,
    }


def without_examples(dataset: Dataset) -> Dataset:
    """What new data need of a dataset: all but its examples."""
    empty = np.zeros((0, *dataset.spec.shape), dataset.spec.dtype)
    return dataset._replace(
        train_x=empty,
        train_y=None,
        test_x=empty,
        test_y=None,
        factors=None,
        origin=None,
    )


def from_json(values: Mapping[str, Any]) -> Dataset:
    """A dataset without examples, from `to_json`.

    Raises:
      TypeError, KeyError, AttributeError: it is not.
    """
    spec = spec_of(values["spec"])
    own = dict(values["intake"])
    own["scheme"] = own["scheme"] and columns.from_json(own["scheme"])
    own["scaling"] = own.get("scaling") and scaling.from_json(own["scaling"])
    if isinstance(own["image_size"], list):
        own["image_size"] = tuple(own["image_size"])
    empty = np.zeros((0, *spec.shape), spec.dtype)
    names = tuple(values["label_names"])
    return Dataset(
        empty, None, empty, None, spec, names, values["decision"], intake=Intake(**own)
    )


def spec_to_json(spec: DataSpec) -> dict[str, Any]:
    """As JSON holds it."""
    return spec._asdict() | {"blocks": [block._asdict() for block in spec.blocks]}


def spec_of(values: Mapping[str, Any]) -> DataSpec:
    """A `DataSpec` as JSON holds it; one of a time before tables too."""
    blocks = tuple(
        ColumnBlock(**{**block, "log_means": tuple(block["log_means"])})
        for block in values.get("blocks", ())
    )
    return DataSpec(**{**values, "shape": tuple(values["shape"]), "blocks": blocks})
