"""Every knob that all runs share, with its meaning. Not a run by itself.

A config file takes `get_config(preset)`, changes what its paper changed and adds
`config.model` (sizes and switches) and `config.weights` (scalars of the loss).
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import FieldReference, placeholder


def scalar(value):
    """A number or a schedule such as 'linear(0, 1, 5)' (durations in epochs)."""
    return FieldReference(value, field_type=object)


def weights(**values):
    """The scalars of a loss; each is a number or a schedule."""
    return ConfigDict({name: scalar(value) for name, value in values.items()})


def get_config(preset="digits"):
    """Shared defaults, with the data and network sizes of one preset."""
    config = ConfigDict()
    config.objective = ""  # name of a module in infovae_jax/objectives
    config.preset = preset  # name of the data preset, for the record
    config.seed = 0  # every random number of a run follows from it
    config.num_seeds = 1  # runs with seed, seed + 1, ...: a population in one program
    # Runs with other scalars: sweep.<weight> or sweep.learning_rate = "geom(a, b, n)",
    # "lin(a, b, n)" or "0.5, 1, 4"; with every seed and every combination.
    config.sweep = ConfigDict()

    config.data = data = ConfigDict()
    # digits | shapes | basicprop... | tfds:<name> | FILE.npz | FILE.npy | FOLDER
    data.source = "digits"
    data.data_dir = placeholder(str)  # where TFDS prepared its datasets
    data.cache_dir = placeholder(str)  # decoded copies; default ~/.cache
    data.num_train = placeholder(int)  # first examples of the training split; None: all
    data.test_fraction = 0.2  # held out where the source has no test split
    data.split_seed = 0  # of that split; apart from config.seed on purpose
    # auto | bernoulli | continuous_bernoulli | gaussian | learned_gaussian |
    # discretized_logistic
    data.likelihood = "auto"
    data.levels = 256  # grey levels of discretized_logistic
    data.labels_per_class = placeholder(int)  # seen in training; None: all, 0: none
    data.binarize = "none"  # none | threshold | stochastic (per step)
    data.stream = False  # send log_every batches at a time, not all data at once
    data.image_size = scalar(None)  # (H, W): resize the images of a folder

    config.network = network = ConfigDict()
    network.kind = "mlp"  # mlp | conv
    network.encoder_hidden = (500, 500)  # dense layers, also after convolutions
    network.decoder_hidden = (500, 500)
    # before each activation: none | layer (encoders only) | batch (decoders too)
    network.normalization = "none"
    network.activation = "relu"  # relu | softplus | tanh | gelu | silu
    network.initializer = "lecun"  # lecun | glorot: weights of dense layers
    network.conv_channels = (32, 64)  # one stride-2 layer each
    network.conv_kernel = 4
    network.conv_hidden = 256  # dense layer between convolutions and code; 0: none
    network.conv_form = "auto"  # auto | dot (fast on CPU) | lax (accelerators)

    config.optimizer = optimizer = ConfigDict()
    optimizer.name = "adam"  # adam | adamw | rmsprop | sgd
    optimizer.learning_rate = scalar(1e-3)
    optimizer.b1 = 0.9
    optimizer.b2 = 0.999
    optimizer.weight_decay = 0.0  # adamw only
    optimizer.clip_norm = scalar(None)  # global gradient norm, or none

    config.train = train = ConfigDict()
    train.batch_size = 128
    train.labelled_batch_size = 32  # added to a batch where labels_per_class is set
    train.num_epochs = 30
    train.log_every = 0  # steps between rows of metrics; 0: one epoch, at most 100
    train.eval_every = 1  # epochs between evaluations of the test bound
    train.checkpoint_every = 1  # epochs
    train.keep_checkpoints = 2
    # float32 | bfloat16: of the products in encoder and decoder. Parameters, losses,
    # divergences and the optimiser are float32; CPUs are slower in bfloat16.
    train.precision = "float32"
    train.num_devices = 0  # devices that share a batch, or the members; 0: all
    train.shard_params = False  # split large kernels over the devices, too
    train.hang_seconds = 1800  # exit code 7 if a dispatch takes longer; 0: no limit

    config.population = population = ConfigDict()
    # vmap (all members at once) | scan (one by one) | chunks | auto: the fastest here
    population.strategy = "auto"
    population.chunk = 4  # members at once with chunks
    # Share of the training split held out, by which a member is chosen (in single runs
    # too, which so stay equal to members); 0: by the bound on the test split.
    population.validation = 0.0

    config.evaluation = evaluation = ConfigDict()
    evaluation.batch_size = 256
    evaluation.nll_samples = 500  # importance samples an image
    evaluation.nll_examples = 1000  # test images of the NLL (0: all)
    evaluation.plane = True  # log the information plane at each eval_every
    evaluation.samples_per_cluster = 100  # conditional samples re-classified
    evaluation.seed = 0
    # File of Inception weights (launch/convert_inception.py) for FID and KID, or none.
    evaluation.inception = placeholder(str)
    evaluation.inception_sha256 = placeholder(str)  # of that file; None: the published
    evaluation.inception_samples = 10_000  # at most, against as many test images

    if preset == "digits":
        network.encoder_hidden = network.decoder_hidden = (256, 256)
        data.levels = 17
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
            f"unknown preset '{preset}': use digits, mnist, fashion_mnist, kmnist, "
            "shapes, dsprites, basicprop, basicprop_angle, basicprop_noise, "
            "basicprop_noise_bg, yale_b, omniglot or cifar10"
        )
    return config
