"""What is computed: an objective, networks, a size of image; `infocatvae_mlp`.

JAX is imported by the functions that need it alone, so that a worker of another
library does not carry it in its memory.
"""

import pathlib
import re
from typing import NamedTuple

import numpy as np

from infovae_jax.errors import ConfigError, nearest

# Cases of a run without --cases and --all.
DEFAULT = ("catvae_mlp", "catvae_topk_mlp", "infocatvae_mlp", "vae_mlp", "vae_conv")
BATCH_SIZE = 128
ALL_BATCH_SIZES = (128, 1024, 8192)
SHAPES = {28: (28, 28, 1), 64: (64, 64, 3)}
NUM_EXAMPLES = {28: 20_000, 64: 10_000}
NUM_LABELS = 10
LEARNING_RATE = 1e-3
# The networks of 64x64 images: disentanglement_lib's (Locatello et al. 2019).
CHANNELS = {28: (32, 64), 64: (32, 32, 64, 64)}
NETWORKS = ("mlp", "conv", "conv64")
# A whole config instead of the loss its paper has; see `make_config`.
RECIPE = "infocatvae_recipe"
# CatVAE by its unbiased estimate from three of the ten decodings, beside peers that
# take them all: equal models and equal expected gradients, not an equal computation.
TOPK = "catvae_topk"
# VIMAE with normalised layers, `config.network.normalization=batch`.
BATCH_NORM = "vimae_batch_norm"
# What people train, all terms and switches: the cases of --recipes.
RECIPES = (
    "infocatvae_recipe_mlp",
    "n_vae_mlp",
    "mi_vae_mlp",
    "vimae_batch_norm_mlp",
    "infomax_vae_conv",
)
# Objective of a case -> its config, where that has another name.
_CONFIGS = {RECIPE: "infocatvae", TOPK: "catvae", BATCH_NORM: "vimae"}
_NAME = re.compile(r"(?P<objective>\w+)_(?P<kind>mlp|conv)(?P<size>28|64)?")


class Case(NamedTuple):
    """One computation.

    Attributes:
      objective: a name of `objectives.names()`, or RECIPE, TOPK or BATCH_NORM.
      kind: of the networks, mlp or conv.
      size: height and width of the images, a key of SHAPES.
      batch_size: B.
      precision: of the products, float32 or bfloat16.
      own_rate: whether the learning rate is that of its config, over as many epochs as
        the config has, in place of LEARNING_RATE.
    """

    objective: str
    kind: str
    size: int
    batch_size: int = BATCH_SIZE
    precision: str = "float32"
    own_rate: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(H, W, C)`."""
        return SHAPES[self.size]

    @property
    def model(self) -> str:
        """The name of its config: what is trained, however it is computed."""
        return _CONFIGS.get(self.objective, self.objective)

    @property
    def likelihood(self) -> str:
        """Bernoulli; of the WAE its own squared error."""
        return "gaussian" if self.objective == "wae_mmd" else "bernoulli"

    @property
    def uses_labels(self) -> bool:
        """Whether a batch holds `even_labels` too."""
        return self.objective == "n_vae"

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{self.objective}_{self.kind}{self.size if self.size != 28 else ''}"

    def spec(self, num_examples: int):
        """The `DataSpec` of its images."""
        from infovae_jax.types import DataSpec

        labels = NUM_LABELS if self.uses_labels else 0
        return DataSpec(
            self.shape, "uint8", self.likelihood, num_examples, labels, False
        )


def all_names() -> list[str]:
    """Every objective with every kind of network."""
    return [f"{objective}_{network}" for objective in known() for network in NETWORKS]


def known() -> list[str]:
    """Names of objectives, found by discovery, and RECIPE, TOPK and BATCH_NORM."""
    from infovae_jax import objectives

    return [*objectives.names(), *_CONFIGS]


def parse(name: str, batch_size: int = BATCH_SIZE, precision: str = "float32") -> Case:
    """The case called `<objective>_<mlp|conv>[28|64]`; 28 where no size is given.

    Raises:
      ConfigError: no such objective or form; names the nearest.
    """
    match = _NAME.fullmatch(name)
    if not match or match["objective"] not in known():
        raise ConfigError(
            f"unknown case '{name}'{nearest(name, all_names())}",
            "--cases",
            f"use <objective>_<mlp|conv>[28|64], of {', '.join(known())}",
        )
    size = int(match["size"] or 28)
    return Case(match["objective"], match["kind"], size, batch_size, precision)


def shipped_batch_size(name: str) -> int:
    """Of the config of MNIST that the case called `name` starts from."""
    return shipped_config(parse(name)).train.batch_size


def random_images(case: Case) -> np.ndarray:
    """uint8 `[n, H, W, C]`, a fifth of the pixels lit."""
    rng = np.random.default_rng(0)
    shape = (max(NUM_EXAMPLES[case.size], case.batch_size), *case.shape)
    lit = rng.random(shape, np.float32) < 0.2
    return (lit * rng.integers(1, 256, shape, np.uint8)).astype(np.uint8)


def even_labels(num: int) -> np.ndarray:
    """int32 `[num]`, every class as often as any other."""
    return np.arange(num, dtype=np.int32) % NUM_LABELS


def shipped_config(case: Case):
    """The config of MNIST that a case starts from, as it is shipped."""
    from infovae_jax import config as config_lib

    folder = pathlib.Path(__file__).resolve().parents[2] / "configs"
    paper = "_paper" if case.objective == "infocatvae" else ""
    return config_lib.load_config_file(f"{folder / case.model}{paper}.py:mnist")


def make_config(case: Case):
    """The shipped MNIST config, at the sizes and with the weights that are compared.

    Schedules of weights give way to constants: all terms count from the first step.
    InfoCatVAE is computed as its authors do, so that the PyTorch code of it is an
    equal computation; RECIPE is our own config of it as it is shipped.
    """
    config = shipped_config(case)
    config.network.kind = case.kind
    config.network.encoder_hidden = config.network.decoder_hidden = (500, 500)
    config.network.conv_channels = CHANNELS[case.size]
    config.train.batch_size = case.batch_size
    config.train.precision = case.precision
    if not case.own_rate:
        config.optimizer.learning_rate = LEARNING_RATE
    if case.objective == BATCH_NORM:
        config.network.normalization = "batch"
    if case.objective == TOPK:
        config.model.reconstruction = "topk"
    if case.objective == "infocatvae":
        config.weights.reclassification = 100.0 / case.batch_size
    if case.objective == "wae_mmd":
        config.model.scale = 0.5**0.5  # the squared error itself
        config.model.input_noise = 0.0
    return config


def peer_settings(case: Case) -> dict:
    """What another library needs to build the same computation; plain values."""
    from infovae_jax.config import schedules

    config = make_config(case)
    weights = {name: value for name, value in config.weights.items()}
    epochs = config.train.num_epochs
    rate = schedules.make_schedule(
        config.optimizer.learning_rate, 1, "config.optimizer.learning_rate", epochs
    )
    return {
        **config.model.to_dict(),
        "hidden": list(config.network.encoder_hidden),
        "channels": list(config.network.conv_channels),
        "conv_hidden": config.network.conv_hidden,
        "activation": config.network.activation,
        "normalization": config.network.normalization,
        "initializer": config.network.initializer,
        "weights": weights,
        # At the end of each epoch; between two of them on a line.
        "rates": [float(rate(epoch)) for epoch in range(epochs + 1)],
    }
