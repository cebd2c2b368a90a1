"""Published figures of the five systems, their baselines and of clustering.

Where we have a figure to compare, `record` names the file in `results/` and `metric`
the figure in it; `why` says what stands between the two. Accuracies are shares.
"""

import itertools
from typing import NamedTuple

CATVAE, MI = "CatVAE and InfoCatVAE", "MI-VAE"
INFOMAX, NATURAL, VIM = "InfomaxVAE", "N-VAE", "VIMAE and baselines"
SYSTEMS = (CATVAE, INFOMAX, MI, NATURAL, VIM)
HIGHER, LOWER, NEAR = "higher", "lower", "near"


class Published(NamedTuple):
    """A figure of a paper.

    Attributes:
      system: one of SYSTEMS.
      method: whose figure it is.
      data: data set and split.
      figure: what was measured.
      value: as published, or None where a claim in words stands for it.
      spread: standard deviation, or None.
      runs: how many, or None.
      source: where it stands.
      command: that fills the row.
      record: name of a file in `results/`, or ''.
      metric: of that file.
      better: HIGHER, LOWER or NEAR (a figure to meet, not to beat).
      why: why the two cannot be compared, or ''.
      note: what the reader should know besides.
    """

    system: str
    method: str
    data: str
    figure: str
    value: float | None
    spread: float | None
    runs: int | None
    source: str
    command: str
    record: str = ""
    metric: str = "cluster/accuracy"
    better: str = HIGHER
    why: str = ""
    note: str = ""


_BRB = "Miklautz et al., ICLR 2025 (BRB)"
_ODC = "OpenDeepClustering, 2026"
_SEEDS = 'launch/seeds.sh configs/infocatvae.py:{} "0 1 2 3 4 5 6 7 8 9"'
# Method, data, accuracy, deviation, runs, source.
_CLUSTERINGS = (
    ("VaDE", "mnist", 0.716, 0.044, 20, _ODC),
    ("DEC", "mnist", 0.779, 0.028, 5, _ODC),
    ("IDEC", "mnist", 0.794, 0.029, 5, _ODC),
    ("ClusterGAN", "mnist", 0.910, 0.040, 10, "Mukherjee et al., AAAI 2019"),
    ("MFCVAE, 25 clusters", "mnist", 0.920, 0.030, 10, "Falck et al., NeurIPS 2021"),
    ("best with BRB, augmented", "mnist", 0.964, 0.001, 10, _BRB),
    ("IMSAT", "mnist", 0.984, 0.004, 12, "Hu et al., ICML 2017"),
    ("N2D", "mnist", 0.979, None, 1, "McConville et al., ICPR 2020"),
    ("VaDE, best run", "mnist", 0.9446, None, 1, "Jiang et al., IJCAI 2017"),
    ("DEC-DA", "mnist", 0.985, None, None, "Guo et al., ACML 2018"),
    ("ClusterGAN", "fashion_mnist", 0.612, 0.023, 10, "Mukherjee et al., AAAI 2019"),
    ("best with BRB, augmented", "fashion_mnist", 0.607, 0.005, 10, _BRB),
    ("N2D", "fashion_mnist", 0.672, None, 1, "McConville et al., ICPR 2020"),
    ("DEC-DA", "fashion_mnist", 0.586, None, None, "Guo et al., ACML 2018"),
    ("best with BRB", "digits", 0.923, 0.017, 10, _BRB),
)


def _clusterings():
    for method, data, value, spread, runs, source in _CLUSTERINGS:
        note = ""
        if data == "digits":
            note = "theirs on all 5,620 images of Optdigits, ours on 1,797 of them"
        elif runs in (1, None):
            note = "a single figure, not a mean over seeds"
        yield Published(
            CATVAE,
            method,
            data,
            "accuracy, clusters matched one to one",
            value,
            spread,
            runs,
            source,
            _SEEDS.format(data),
            f"infocatvae_{data}",
            note=note,
        )


_MI_LOG = "logs of the authors' code, fducau/infoVAE"
# Run, reconstruction, KL, bound on c, bound on z, loss: last 500 of 13,750 steps, nats.
_MI_RUNS = (
    ("with the bound", "mi_vae_mnist", "", 86.93, 19.14, 27.68, 0.354, 78.39),
    (
        "without the bound",
        "mi_vae_mnist_without",
        " --config.weights.information=0",
        79.47,
        19.75,
        11.35,
        5.03,
        99.21,
    ),
)
_MI_FIGURES = (
    ("reconstruction", "term/reconstruction"),
    ("KL", "term/kl_z"),
    ("bound on I(c; x')", "info/mi_enforced"),
    ("bound on I(z; x')", "info/mi_free"),
    ("loss", "loss"),
)


def _mi_vae():
    for name, record, flag, *values in _MI_RUNS:
        for (figure, metric), value in zip(_MI_FIGURES, values, strict=True):
            free = "bound" in figure and "without" in name
            yield Published(
                MI,
                f"MI-VAE, 10 + 10 dims, {name}",
                "mnist",
                f"{figure}, nats, last 500 steps",
                value,
                None,
                1,
                _MI_LOG,
                f'launch/seeds.sh configs/mi_vae.py:mnist "0 1 2"{flag}',
                record,
                metric,
                NEAR,
                why="which half of the code is used is decided by chance" * free,
            )


_VIM = "Crescimanna & Graham 2019 (arXiv 1905.10549)"
_METHODS = ("VAE", "beta-VAE", "epsilon-VAE", "VIMAE-n", "VIMAE-l")
_FILES = ("vae", "beta_vae", "epsilon_vae", "vimae_n", "vimae_l")
# Table II, MNIST and CIFAR-10; FID on CIFAR-10 and CelebA; Table IV, % on MNIST.
_RECONSTRUCTION = (0.51, 0.62, 0.50, 0.47, 0.48)
_FID = {
    "cifar10": (168, 262, 174, 103, 104),
    "celeba": (82, None, 89, 56, 55),
}
_CONDITIONS = ("clean", "noise low", "noise high", "mask low", "mask high")
_TSVM = (
    (80, 77, 70, 72, 52),
    (92, 86, 82, 91, 84),
    (93, 66, 13, 85, 65),
    (93, 92, 86, 92, 86),
    (93, 92, 88, 92, 87),
)
_ROBUST = (
    "robust/tsvm_1000_clean",
    "robust/tsvm_1000_gaussian_0.2",
    "robust/tsvm_1000_gaussian_0.5",
    "robust/tsvm_1000_mask_0.2",
    "robust/tsvm_1000_mask_0.5",
)


def _vimae():
    shell = 'launch/robustness.sh mnist "0 1 2" --config.train.num_epochs=25'
    for method, file, value in zip(_METHODS, _FILES, _RECONSTRUCTION, strict=True):
        yield Published(
            VIM,
            method,
            "mnist",
            "reconstruction, 0.05 x squared error",
            value,
            None,
            None,
            f"{_VIM}, table II",
            shell,
            f"{file}_mnist",
            "squared_error/all",
            LOWER,
            why="the cost, its unit and the networks' width are not given",
        )
    for (method, file, row), (column, condition) in itertools.product(
        zip(_METHODS, _FILES, _TSVM, strict=True), enumerate(_CONDITIONS)
    ):
        levels = "" if column == 0 else "; the paper's levels are not given"
        yield Published(
            VIM,
            method,
            "mnist",
            f"accuracy of a transductive SVM, {condition}",
            row[column] / 100,
            None,
            None,
            f"{_VIM}, table IV",
            shell,
            f"{file}_mnist",
            _ROBUST[column],
            note=f"ours with 1,000 labels on multi-layer perceptrons{levels}",
        )
    for data, values in _FID.items():
        for method, value in zip(_METHODS, values, strict=True):
            if value is None:
                continue
            name = method.lower().replace("-", "_")
            yield Published(
                VIM,
                method,
                data,
                "FID",
                value,
                None,
                None,
                f"{_VIM}, table I",
                f"python -m infovae_jax.main --config=configs/{name.split('_n')[0]}.py:"
                f"{data} --config.evaluation.inception=FILE (an accelerator)",
                better=LOWER,
            )


_CLAIMS = (
    (
        INFOMAX,
        "InfomaxVAE",
        "faces",
        "correlation of c with the light: 'c is the illumination'",
        "README of bacdavid/InfomaxVAE",
        "python -m infovae_jax.main --config=configs/infomax_vae.py:yale_b",
        "infomax_vae_yale_b",
        "factor/luminance/correlation_c",
    ),
    (
        NATURAL,
        "N-VAE",
        "Yale B",
        "the shared dims follow azimuth: R^2",
        "slides of Antoran & Miguel 2019 (arXiv 1901.09415)",
        "python -m infovae_jax.main --config=configs/n_vae.py:yale_b",
        "n_vae_yale_b",
        "factor/azimuth/r2_z_s",
    ),
    (
        NATURAL,
        "N-VAE",
        "Yale B",
        "the shared dims follow elevation: R^2",
        "slides of Antoran & Miguel 2019 (arXiv 1901.09415)",
        "python -m infovae_jax.main --config=configs/n_vae.py:yale_b",
        "n_vae_yale_b",
        "factor/elevation/r2_z_s",
    ),
    (
        CATVAE,
        "InfoCatVAE",
        "mnist",
        "each cluster generates one digit: share of samples classified as it",
        "pictures of Pineau & Lelarge 2018 (arXiv 1806.08240)",
        _SEEDS.format("mnist"),
        "infocatvae_mnist",
        "sample/accuracy",
    ),
)


def _claims():
    for system, method, data, figure, source, command, record, metric in _CLAIMS:
        yield Published(
            system,
            method,
            data,
            figure,
            None,
            None,
            None,
            source,
            command,
            record,
            metric,
            why="a claim in words and pictures",
        )


ROWS = (*_clusterings(), *_claims(), *_mi_vae(), *_vimae())
