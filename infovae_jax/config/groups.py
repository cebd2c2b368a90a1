"""Every knob that all runs share, by group: default, range and meaning.

The knobs of an objective stand in its module, as `Config` and `HPARAMS`.
"""

import dataclasses

from ml_collections import ConfigDict

from infovae_jax import networks
from infovae_jax.config import knobs
from infovae_jax.config.knobs import knob
from infovae_jax.distributions.likelihoods import LIKELIHOODS
from infovae_jax.networks import conv, layers

# Keys of the random numbers are 32 bits wide: a larger seed would repeat another's.
MAX_SEED = 2**32 - 1
_BATCH = {"at_least": 1, "at_most": 10**6}
_SIZES = {"at_least": 1, "at_most": 10**5}
SCALINGS = ("auto", "none", "grey", "unit", "standardize")
# Endings of files of tables.
TABLES = (".csv", ".tsv", ".parquet")


@dataclasses.dataclass(frozen=True)
class Run:
    """Keys of no group."""

    objective: str = knob("", "name of a module in infovae_jax/objectives")
    preset: str = knob("digits", "name of the data preset, for the record")
    seed: int = knob(
        0, "every random number of a run follows from it", at_least=0, at_most=MAX_SEED
    )
    num_seeds: int = knob(
        1,
        "runs with seed, seed + 1, ...: a population in one program",
        at_least=1,
        at_most=4096,
    )


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the data come from, and what they are taken for."""

    source: str = knob(
        "digits",
        "digits, shapes, basicprop..., tfds:<name>, FILE.npz, FILE.npy, FOLDER, or a "
        "table: FILE.csv, FILE.tsv, FILE.parquet",
    )
    data_dir: str | None = knob(None, "where TFDS prepared its datasets")
    cache_dir: str | None = knob(None, "decoded copies; None: ~/.cache")
    num_train: int | None = knob(
        None, "training examples, drawn by split_seed; None: all", at_least=1
    )
    test_fraction: float = knob(
        0.2,
        "held out where the source has no test split; 0: train on all",
        at_least=0,
        below=1,
    )
    split_seed: int = knob(
        0,
        "of that split; apart from config.seed on purpose",
        at_least=0,
        at_most=MAX_SEED,
    )
    likelihood: str = knob(
        "auto",
        "p(x | z); auto: bernoulli for values in [0, 1], gaussian for others; mixed "
        "for tables, each column by its kind",
        options=("auto", *LIKELIHOODS),
    )
    levels: int = knob(
        256, "grey levels of discretized_logistic", at_least=2, at_most=65536
    )
    labels_per_class: int | None = knob(
        None, "labels seen in training; None: all, 0: none", at_least=0
    )
    binarize: str = knob(
        "none",
        "stochastic: a draw in every step",
        options=("none", "threshold", "stochastic"),
    )
    stream: bool = knob(False, "send log_every batches at a time, not all data at once")
    follow_links: bool = knob(
        False, "read images of a folder that links lead to outside it"
    )
    image_size: int | tuple[int, ...] | None = knob(
        None,
        "side or (H, W): resize the images of a folder",
        at_least=1,
        at_most=4096,
        length=2,
    )
    scaling: str = knob(
        "auto",
        "of arrays of numbers; auto: floats [n, d] outside [0, 1] column by column, "
        "where data.likelihood is auto; grey: over the greatest; unit: to [0, 1]",
        options=SCALINGS,
    )
    label_column: str | None = knob(
        None, "of a table: the column that holds labels; None: none"
    )
    columns: str | None = knob(
        None,
        "of a table: kinds that its values do not tell, 'age=count, city=ignore'; "
        "numeric, binary, categorical, count, poisson or ignore",
    )
    missing: str = knob(
        "refuse",
        "values of a table; impute: the mean, or the most frequent value",
        options=("refuse", "impute"),
    )


@dataclasses.dataclass(frozen=True)
class Network:
    """Encoder and decoder."""

    kind: str = knob("mlp", "of encoder and decoder", options=networks.KINDS)
    encoder_hidden: tuple[int, ...] = knob(
        (500, 500), "dense layers, also after convolutions", shortest=0, **_SIZES
    )
    decoder_hidden: tuple[int, ...] = knob(
        (500, 500), "dense layers", shortest=0, **_SIZES
    )
    normalization: str = knob(
        "none",
        "before each activation; layer: encoders only",
        options=layers.NORMALIZATIONS,
    )
    activation: str = knob("relu", "of all layers", options=tuple(layers.ACTIVATIONS))
    initializer: str = knob(
        "lecun", "weights of dense layers", options=tuple(layers.INITIALIZERS)
    )
    conv_channels: tuple[int, ...] = knob((32, 64), "one stride-2 layer each", **_SIZES)
    conv_kernel: int = knob(4, "side of a kernel, pixels", at_least=1, at_most=64)
    conv_hidden: int = knob(
        256,
        "dense layer between convolutions and code; 0: none",
        at_least=0,
        at_most=10**5,
    )
    conv_form: str = knob(
        "auto",
        "dot is fast on CPU, lax on accelerators",
        options=conv.FORMS,
    )


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Of the parameters."""

    name: str = knob("adam", "optax's", options=("adam", "adamw", "rmsprop", "sgd"))
    learning_rate: float = knob(1e-3, "may be a schedule", above=0, schedule=True)
    b1: float = knob(0.9, "of Adam", at_least=0, below=1)
    b2: float = knob(0.999, "of Adam", at_least=0, below=1)
    weight_decay: float = knob(0.0, "adamw only", at_least=0, at_most=100)
    clip_norm: float | None = knob(
        None, "global gradient norm; None: any", above=0, at_most=10**6
    )


@dataclasses.dataclass(frozen=True)
class Train:
    """How long, how often, on what."""

    batch_size: int = knob(128, "examples in a step", **_BATCH)
    labelled_batch_size: int = knob(
        32, "added to a batch where labels_per_class is set", **_BATCH
    )
    num_epochs: int = knob(30, "passes over the data", at_least=1, at_most=10**6)
    log_every: int = knob(
        0,
        "steps between rows of metrics; 0: one epoch, at most 100",
        at_least=0,
        at_most=10**5,
    )
    eval_every: int = knob(
        1, "epochs between evaluations of the test bound", at_least=1, at_most=10**6
    )
    checkpoint_every: int = knob(1, "epochs", at_least=1, at_most=10**6)
    keep_checkpoints: int = knob(2, "the newest ones", at_least=1, at_most=10**4)
    # Parameters, losses, divergences and the optimiser are float32 either way.
    precision: str = knob(
        "float32",
        "of the products in encoder and decoder; CPUs are slower in bfloat16",
        options=tuple(layers.PRECISIONS),
    )
    num_devices: int = knob(
        0,
        "devices that share a batch, or the members; 0: all",
        at_least=0,
        at_most=10**5,
    )
    shard_params: bool = knob(False, "split large kernels over the devices, too")
    hang_seconds: int = knob(
        1800, "exit code 7 if a dispatch takes longer; 0: no limit", at_least=0
    )
    tracker: str = knob(
        "none",
        "takes the rows of metrics, too; its failures cost no result",
        options=("none", "wandb", "trackio", "mlflow"),
    )
    tracker_project: str = knob("infovae_jax", "project or experiment of the tracker")


@dataclasses.dataclass(frozen=True)
class Population:
    """Of runs with several seeds or swept scalars."""

    strategy: str = knob(
        "auto",
        "all members at once, one by one, or `chunk` at once; auto: the fastest here",
        options=("auto", "vmap", "scan", "chunks"),
    )
    chunk: int = knob(4, "members at once with chunks", at_least=1, at_most=4096)
    # Held out in single runs too, which so stay equal to members.
    validation: float = knob(
        0.0,
        "share of the training split by which a member is chosen; 0: by the test bound",
        at_least=0,
        below=1,
    )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Of the finished run, on its test split."""

    batch_size: int = knob(256, "examples at once", **_BATCH)
    nll_samples: int = knob(500, "importance samples per image", **_BATCH)
    nll_examples: int = knob(1000, "test images of the NLL; 0: all", at_least=0)
    plane: bool = knob(True, "log the information plane at each eval_every")
    assignments: bool = knob(True, "log what the clusters are at each eval_every")
    samples_per_cluster: int = knob(
        100, "conditional samples re-classified", at_least=1, at_most=10**5
    )
    seed: int = knob(0, "of its draws", at_least=0, at_most=MAX_SEED)
    inception: str | None = knob(
        None, "weights for FID and KID, by launch/convert_inception.py; None: neither"
    )
    inception_sha256: str | None = knob(
        None, "of that file; None: of the published one"
    )
    inception_samples: int = knob(
        10_000, "at most, against as many test images", at_least=2, at_most=10**6
    )


BY_NAME = {
    "data": Data,
    "network": Network,
    "optimizer": Optimizer,
    "train": Train,
    "population": Population,
    "evaluation": Evaluation,
}
RUN_KEYS = tuple(knobs.declared(Run))


def default_config(preset: str = "digits") -> ConfigDict:
    """All shared knobs at their defaults; `preset` is a name for the record."""
    config = knobs.defaults(Run, preset=preset)
    # Runs with other scalars: sweep.<weight> or sweep.learning_rate = "geom(a, b, n)",
    # "lin(a, b, n)" or "0.5, 1, 4"; with every seed and every combination.
    config.sweep = ConfigDict()
    for name, group in BY_NAME.items():
        config[name] = knobs.defaults(group)
    return config
