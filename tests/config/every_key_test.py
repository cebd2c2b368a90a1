"""Every key of every config: what makes no sense is refused in one line, code 2.

What each kind of key may be is written here by hand, apart from the declarations.
"""

import functools
import math
import pathlib

import pytest

from infovae_jax import config as config_lib
from infovae_jax import objectives
from infovae_jax.config import sweeps
from infovae_jax.errors import ConfigError

ROOT = pathlib.Path(__file__).parents[2]
NAMES = sorted(p.stem for p in (ROOT / "configs").glob("*.py") if p.stem != "base")
HUGE = 10**30
# Keys of which a value may be 0, negative, None or empty; all others may not.
MAY_BE_ZERO = {
    "seed",
    "data.split_seed",
    "data.test_fraction",
    "data.labels_per_class",
    "network.conv_hidden",
    "optimizer.b1",
    "optimizer.b2",
    "optimizer.weight_decay",
    "train.log_every",
    "train.num_devices",
    "train.hang_seconds",
    "population.validation",
    "evaluation.nll_examples",
    "evaluation.seed",
    "model.separation",
    "model.input_noise",
    "model.class_dim",
    "model.code_dim",
    "model.informative_dims",
    "model.top_clusters",
    "model.rest_samples",
    "model.affine_rotation",
    "model.affine_shear",
    "model.affine_scale",
    "model.affine_shift",
    "model.invariance_rank",
}
MAY_BE_NONE = {
    "data.data_dir",
    "data.cache_dir",
    "data.num_train",
    "data.labels_per_class",
    "data.image_size",
    "data.label_column",
    "data.columns",
    "optimizer.clip_norm",
    "evaluation.inception",
    "evaluation.inception_sha256",
}
SIGNED = {"weights.kl_c"}
NO_TERMS = {"weights.temperature"}
INTEGERS = {"data.num_train", "data.labels_per_class"}
TEXTS = {
    "data.label_column",
    "data.columns",
    "data.data_dir",
    "data.cache_dir",
    "evaluation.inception",
    "evaluation.inception_sha256",
}


@functools.cache
def saved(name):
    path = str(ROOT / "configs" / f"{name}.py")
    return config_lib.to_json(config_lib.load_config_file(path))


def load(name):
    config = config_lib.from_json(saved(name))
    if "rest_samples" in config.model:
        # Of `topk` alone some keys depend on one another.
        config.model.reconstruction = "exact"
    return config


def check(config):
    """All that is checked before the data are read."""
    config_lib.check(config)
    objectives.check(config)


def refused(config, key, value):
    """Whether the config with this value is refused; any other error is a failure."""
    group, _, last = key.rpartition(".")
    target = config[group] if group else config
    there, before = last in target, target.get(last)
    with config.unlocked():
        target[last] = value
    try:
        check(config)
    except ConfigError as error:
        line = error.line()
    else:
        return False
    finally:
        with config.unlocked():
            # Else ConfigDict would give the old value the type of the new one.
            del target[last]
            if there:
                target[last] = before
    assert line.startswith("error: ")
    assert line.count("; ") >= 2
    assert "\n" not in line
    assert last in line, line
    return True


def keys(name):
    flat = config_lib.flatten(load(name))
    return {key: value for key, value in flat.items() if not key.startswith("sweep")}


def senseless(key, value):
    """Values that no key of this kind may have."""
    kind = type(value)
    # True where a number is declared is 1.0 before anybody sees it: ConfigDict's rule.
    wrong = [math.nan, math.inf, -math.inf, {}, object, 1j, b"x"]
    # No hidden layer is a linear map.
    if not key.endswith("coder_hidden"):
        wrong += [(), []]
    if key not in MAY_BE_NONE:
        wrong.append(None)
    if key.startswith("weights."):
        wrong += ["", "kl", (1.0, 2.0), HUGE, 1e-320, "linear(0, 1)", "-" * 200]
        wrong += ["linear(0, 1, 1e300)", "target(-1)", "lin(0, 1, 2)"]
        wrong += [] if key in SIGNED else [-1.0, "ramp(0, 1, -1, 2)"]
        wrong += [0, "target(3)"] if key in NO_TERMS else ["target(0)"]
    elif kind is bool:
        wrong += [0, 1, "True", (True,), 0.5]
    elif kind is str or key in TEXTS:
        wrong += [0, -1, True, HUGE, "", " ", ("mlp",), "x" * 10_000, "a\0b"]
    elif kind is tuple or key == "data.image_size":
        wrong += [0, -3, True, "", "abc", "(8, 8)", (0,), (-1, 8), (1.5, 8), ("a", 8)]
        wrong += [(True, 8), ((1, 2), 8), (None, 8), (HUGE, 8), (8,) * 1000]
    elif key == "optimizer.learning_rate":
        wrong += [0, -1e-3, "", "target(1)", "linear(0, 0, 5)", HUGE, (1e-3,)]
        wrong += ["cosine(1, -1, 3)", 1e-320, "exponential(0, 1, 2)"]
    else:
        wrong += ["", "many", (1,), -1, HUGE]
        if key not in MAY_BE_ZERO:
            wrong.append(0)
        if kind is int or key in INTEGERS:
            wrong += [1.5, "8", 10**12, True]
        else:
            wrong += [1e-320, 1e35]
    return wrong


@pytest.mark.parametrize("name", NAMES)
def test_senseless_values_are_refused(name):
    config = load(name)
    accepted = [
        (key, value)
        for key, default in keys(name).items()
        for value in senseless(key, default)
        if not refused(config, key, value)
    ]
    assert accepted == []


@pytest.mark.parametrize("name", NAMES)
def test_what_makes_sense_is_taken(name):
    """The defaults, whole numbers for numbers, lists for tuples, None where allowed."""
    config = load(name)
    check(config)
    for key, value in keys(name).items():
        if key in MAY_BE_NONE:
            assert not refused(config, key, None), key
        if key in MAY_BE_ZERO:
            assert not refused(config, key, 0), key
        if isinstance(value, tuple):
            assert not refused(config, key, list(value)), key
        if key.startswith("weights.") and key not in NO_TERMS:
            assert not refused(config, key, "linear(0, 1, 2.5)"), key
            assert not refused(config, key, 2), key
            assert not refused(config, key, "target(3, 0.1)"), key
    assert not refused(
        config, "optimizer.learning_rate", "warmup_cosine(1e-3, 1, 0, 9)"
    )
    assert not refused(config, "data.image_size", 32)
    assert not refused(config, "data.image_size", (32, 24))
    assert not refused(config, "seed", 2**32 - 1)


@pytest.mark.parametrize("name", ["vae", "n_vae"])
def test_keys_that_no_config_has_are_refused(name):
    config = load(name)
    for key in ("sed", "data.sorce", "model.latent_dims", "weights.kl", "train.x"):
        assert refused(config, key, 1)


def test_missing_and_misshapen_groups():
    for group in ("data", "network", "sweep", "model", "weights", "evaluation"):
        for value in (None, 5, "x", [1], ()):
            config = config_lib.from_json(config_lib.to_json(load("vae")))
            with config.unlocked():
                config[group] = value
            with pytest.raises(ConfigError, match=group):
                check(config)


def test_seeds_end_where_their_keys_do():
    config = load("vae")
    config.seed, config.num_seeds = 2**32 - 1, 2
    with pytest.raises(ConfigError, match=r"config\.seed"):
        check(config)


def test_members_are_counted_before_they_are_made():
    config = load("vae")
    config.sweep.kl_z = "lin(0, 1, 4096)"
    config.sweep.reconstruction = "lin(0.5, 1, 4096)"
    assert sweeps.count_members(config) == 4096**2
    with pytest.raises(ConfigError, match="16777216 members"):
        check(config)


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "5", '"x"', "{", "[" * 100_000, '{"a":' * 50_000],
    ids=["list", "null", "number", "text", "cut", "deep list", "deep dict"],
)
def test_text_that_is_no_config(text):
    with pytest.raises(ValueError, match=r"."):
        config_lib.from_json(text)
