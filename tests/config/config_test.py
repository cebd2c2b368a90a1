"""Config files, overrides and the JSON of a run."""

import pytest
from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax.config import groups, knobs
from infovae_jax.errors import ConfigError, UserError, nearest


def load(name, preset="digits"):
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    return config_lib.load_config_file(f"{root / 'configs' / name}.py:{preset}")


@pytest.mark.parametrize("name", ["vae", "catvae", "infocatvae"])
@pytest.mark.parametrize(
    "preset", ["digits", "mnist", "fashion_mnist", "kmnist", "shapes", "dsprites"]
)
def test_json_gives_the_config_back(name, preset):
    config = load(name, preset)
    config_lib.check(config)
    again = config_lib.from_json(config_lib.to_json(config))
    assert config_lib.difference(config, again) == []
    assert again.network.encoder_hidden == config.network.encoder_hidden
    assert isinstance(again.network.encoder_hidden, tuple)


def test_difference_names_keys_with_both_values():
    old, new = ConfigDict({"a": {"b": 1}, "c": 2}), ConfigDict({"a": {"b": 3}, "d": 4})
    assert config_lib.difference(old, new) == [
        "a.b: 1 -> 3",
        "c: 2 -> absent",
        "d: absent -> 4",
    ]


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("train.batch_size", 0, "config.train.batch_size"),
        ("train.checkpoint_every", 0, "config.train.checkpoint_every"),
        ("network.encoder_hidden", (8, 0), "config.network.encoder_hidden"),
        ("optimizer.name", "adamm", "did you mean 'adam'"),
        (
            "optimizer.learning_rate",
            0,
            "learning_rate; give one above 0",
        ),
        ("optimizer.clip_norm", -1.0, "config.optimizer.clip_norm"),
        ("data.likelihood", "bernouli", "did you mean 'bernoulli'"),
        ("population.strategy", "vmapp", "did you mean 'vmap'"),
        ("population.validation", 1.0, "config.population.validation"),
        ("population.chunk", 0, "config.population.chunk"),
        ("data.binarize", "yes", "none, threshold, stochastic"),
    ],
)
def test_values_out_of_range_are_named(key, value, part):
    config = config_lib.from_json(config_lib.to_json(load("vae")))
    group, name = key.split(".")
    config[group][name] = value
    with pytest.raises(ConfigError) as caught:
        config_lib.check(config)
    assert part in caught.value.line()


def test_a_config_without_base_is_refused():
    with pytest.raises(ConfigError, match="configs/base.py"):
        config_lib.check(ConfigDict({"objective": "vae"}))


def test_errors_are_one_line():
    error = UserError("two\nlines", "here", "mend")
    assert error.line() == "error: two lines; here; mend"
    assert nearest("sed", ["seed", "other"]) == " (did you mean 'seed'?)"
    assert nearest("zzz", ["seed"]) == ""


def test_keys_are_those_of_the_base_config(make_config):
    config = make_config("vae")
    found = {
        key
        for key in config_lib.flatten(config)
        if not key.startswith(("model.", "weights."))
    }
    shared = {"": groups.Run, **groups.BY_NAME}
    known = {
        f"{name}.{key}".removeprefix(".")
        for name, group in shared.items()
        for key in knobs.declared(group)
    }
    assert known == found
    config_lib.check(config)
    del config.data["num_train"]
    with pytest.raises(ConfigError, match=r"no 'num_train'; config\.data"):
        config_lib.check(config)
