"""The knobs that all runs share, and the data presets. Not a run by itself.

Every knob is declared once, with its range and meaning: those shared by all runs in
infovae_jax/config/groups.py, those of an objective in its module. All of them in one
table: docs/reference.md, or `python -m infovae_jax.report.reference`.

A config file takes `get_config(preset)`, changes what its paper changed and adds
`config.model` (sizes and switches) and `config.weights` (scalars of the loss); those
of the package take `get_recipe`, which the estimators start from, too.
"""

from infovae_jax import objectives
from infovae_jax.config import groups

model, weights = objectives.default_model, objectives.default_weights


def get_recipe(objective, preset="digits", **options):
    """Base with the recipe of an objective: infovae_jax/objectives/_recipes.py."""
    config = get_config(preset)
    if preset == "table" and objective == "infocatvae":
        options |= {"images": False, "columns": True}
    few = preset in ("digits", "table")
    return objectives.use(config, objective, few, **options)


def get_config(preset="digits"):
    """Shared defaults, with the data and network sizes of one preset."""
    config = groups.default_config(preset)
    data, network, train = config.data, config.network, config.train
    evaluation = config.evaluation
    if preset == "digits":
        network.encoder_hidden = network.decoder_hidden = (256, 256)
        data.levels = 17
        train.num_epochs = 100
        train.eval_every = train.checkpoint_every = 10
    elif preset == "table":  # of data.source=FILE.csv, .tsv or .parquet
        network.encoder_hidden = network.decoder_hidden = (256, 256)
        train.num_epochs = 100
        train.eval_every = train.checkpoint_every = 10
    elif preset in ("mnist", "fashion_mnist", "kmnist"):
        data.source = f"tfds:{preset}"
    elif preset.startswith("basicprop"):
        data.source = preset
        train.num_epochs = 10
    elif preset == "shapes":
        data.source = "shapes"
        train.num_epochs = 100
        train.eval_every = train.checkpoint_every = 10
    elif preset == "dsprites":
        data.source = "tfds:dsprites"
        data.test_fraction = 0.02  # 14,746 of 737,280 images
        network.kind = "conv"
        network.conv_channels = (32, 32, 64, 64)
        train.num_epochs = 10
    elif preset == "yale_b":
        data.source = "yale_b_48.npz"  # made by launch/prepare_yale_b.py
        network.kind = "conv"
        network.conv_channels = (32, 64, 128)
        network.conv_kernel = 5
        train.num_epochs = 100
        train.eval_every = train.checkpoint_every = 10
        # Convolutions, for N-VAE once for each of 38 classes.
        evaluation.nll_samples, evaluation.nll_examples = 20, 100
    elif preset == "omniglot":
        data.source = "omniglot_28.npz"  # made by launch/prepare_omniglot.py
        train.batch_size = 50
        train.num_epochs = 200
        train.eval_every = train.checkpoint_every = 20
    elif preset == "cifar10":
        data.source = "cifar10.npz"  # made by launch/prepare_cifar10.py
        network.kind = "conv"
        network.conv_channels = (32, 64, 128)
    else:
        raise ValueError(
            f"unknown preset '{preset}': use digits, table, mnist, fashion_mnist, "
            "kmnist, shapes, dsprites, basicprop, basicprop_angle, basicprop_noise, "
            "basicprop_noise_bg, yale_b, omniglot or cifar10"
        )
    return config
