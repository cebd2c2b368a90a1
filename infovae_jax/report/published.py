"""Published figures of the five systems, their baselines and of clustering.

Where we have a figure to compare, `record` names the file in `results/` and `metric`
the figure in it; `why` says what stands between the two. Accuracies are shares.
"""

from typing import NamedTuple

from infovae_jax.report import robust_codes

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
      scale: of our figure to their unit.
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
    scale: float = 1.0
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
                f'launch/seeds.sh configs/mi_vae.py:mnist "0 1 2 3 4"{flag}',
                record,
                metric,
                better=NEAR,
                why="which half of the code is used is decided by chance" * free,
            )


_VIM = "Crescimanna & Graham 2019 (arXiv 1905.10549)"
# The paper has no InfoVAE.
_METHODS = tuple(name for name in robust_codes.METHODS if name != "InfoVAE")
_FILES = tuple(robust_codes.METHODS[name] for name in _METHODS)
_ROBUSTNESS = {
    "mnist": 'launch/robustness.sh mnist "0 1 2" --config.train.num_epochs=25',
    "omniglot": 'launch/robustness.sh omniglot "0 1 2"',
    "cifar10": 'launch/robustness.sh cifar10 "0" --network=mlp '
    "--config.train.num_epochs=25",
}
# Table I, NLL; table II; their 5.7 and 89 are misprints (the text denies them).
_NLL = {
    "mnist": (1158, 1113, 1123, 1169, 1171),
    "omniglot": (1224, 1254, 1228, 1190, 1223),
}
_RECONSTRUCTION = {
    "mnist": (0.51, 0.62, 0.50, 0.47, 0.48),
    "omniglot": (0.75, 0.75, None, 0.75, 0.76),
    "cifar10": (8.29, 9.8, None, 4.74, 4.85),
}
# Their colours are in [-1, 1], ours in [0, 1]: four times the squared error.
_COST = {"mnist": 0.05, "omniglot": 0.05, "cifar10": 0.2}
_FID = {
    "cifar10": (168, 262, 174, 103, 104),
    "celeba": (82, None, 89, 56, 55),
}
# Tables IV, III and V, %: of whom each condition, and our figure for it.
_LEVELS = ("gaussian_0.2", "gaussian_0.5", "mask_0.2", "mask_0.5")
_FIVE = dict(
    zip(
        ("clean", "noise low", "noise high", "mask low", "mask high"),
        ("clean", *_LEVELS),
        strict=True,
    )
)
_READING = "that the table is of these data is our reading"
_SAID = {
    "mnist": "the paper's levels are not given",
    "omniglot": f"of 100 images one standard error is 5 points; {_READING}",
    "cifar10": f"10,000 images for each split, from JPEG; {_READING}",
}
_THREE = {"clean": "clean", "noise": "gaussian_0.2", "mask": "mask_0.2"}
_TSVM = {
    "mnist": (
        "IV",
        1000,
        _FIVE,
        (80, 77, 70, 72, 52),
        (92, 86, 82, 91, 84),
        (93, 66, 13, 85, 65),
        (93, 92, 86, 92, 86),
        (93, 92, 88, 92, 87),
    ),
    "omniglot": (
        "III",
        100,
        _THREE,
        (30, 25, 16),
        (29, 26, 19),
        (31, 31, 18),
        (29, 28, 23),
        (32, 34, 23),
    ),
    "cifar10": (
        "V",
        1000,
        _FIVE,
        (22, 22, 17, 22, 16),
        (21, 21, 22, 19, 17),
        (22, 22, 21, 21, 24),
        (22, 23, 24, 22, 22),
        (24, 23, 20, 23, 22),
    ),
}


def _of_vimae(place, data, figure, value, number, metric, **more):
    """A figure of the method at `place` in the paper's tables."""
    return Published(
        VIM,
        _METHODS[place],
        data,
        figure,
        value,
        None,
        None,
        f"{_VIM}, table {number}",
        _ROBUSTNESS[data],
        f"{_FILES[place]}_{data}",
        metric,
        **more,
    )


def _vimae():
    why = "the estimator and its unit are not given"
    more = {"better": LOWER, "why": why}
    for data, values in _NLL.items():
        for place, value in enumerate(values):
            yield _of_vimae(place, data, "NLL, nats", value, "I", "nll", **more)
    figure = "reconstruction, 0.05 x squared error"
    more["why"] = "the cost, its unit and the networks' width are not given"
    for data, values in _RECONSTRUCTION.items():
        own = "II", "reconstruction/squared_error"
        more["scale"] = _COST[data]
        for place, value in enumerate(values):
            if value is not None:
                yield _of_vimae(place, data, figure, value, *own, **more)
    yield from _robustness()
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


def _robustness():
    for data, (number, labels, conditions, *table) in _TSVM.items():
        note = f"ours with {labels:,} labels on multi-layer perceptrons; {_SAID[data]}"
        for place, row in enumerate(table):
            for (condition, level), value in zip(conditions.items(), row, strict=True):
                figure = f"accuracy of a transductive SVM, {condition}"
                metric = f"robust/tsvm_{labels}_{level}"
                yield _of_vimae(
                    place, data, figure, value / 100, number, metric, note=note
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
