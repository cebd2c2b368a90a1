"""Objectives of other packages: found by path and entry point, faults in one line."""

import importlib.metadata
import pathlib
import sys

import pytest

from infovae_jax import config as config_lib
from infovae_jax import objectives
from infovae_jax.config import groups
from infovae_jax.errors import ConfigError

ROOT = pathlib.Path(objectives.__file__).parents[2]

GOOD = '''
"""A VAE whose rate costs nothing below a floor."""
import dataclasses
import jax.numpy as jnp
from infovae_jax.config.knobs import knob
from infovae_jax.objectives import _gaussian
from infovae_jax.objectives._terms import weighted_loss

HPARAMS = {"reconstruction": _gaussian.RECONSTRUCTION, "kl_z": _gaussian.KL_Z}


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.Config):
    floor: float = knob(2.0, "nats of the rate that are free", at_least=0)


class System(_gaussian.GaussianVAE):
    def loss(self, params, batch, key, hparams):
        terms, _, _, statistics = self.training_terms(params, batch, key)
        terms["kl_z"] = jnp.maximum(terms["kl_z"], self.options.floor)
        return weighted_loss(terms, hparams, statistics)


def make(config, spec):
    options = Config(**config.model)
    return _gaussian.make(options, config, spec, system=System).objective(
        config, HPARAMS
    )
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(**modules)` writes a package `elsewhere` with these modules."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**modules):
        folder = tmp_path / "elsewhere"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text("")
        for name, text in modules.items():
            (folder / f"{name}.py").write_text(text)
        return tmp_path

    yield write
    for name in [n for n in sys.modules if n.split(".")[0] == "elsewhere"]:
        del sys.modules[name]


def test_found_by_path(package, spec):
    package(floored=GOOD)
    config = groups.default_config()
    objectives.recast(
        config, "elsewhere.floored", {"model.floor": 3, "weights.kl_z": 2}
    )
    assert (config.model.floor, config.weights.kl_z) == (3.0, 2)
    config_lib.check(config)
    objectives.check(config)
    assert objectives.make(config, spec).hparams["kl_z"] == 2
    with pytest.raises(ConfigError, match="takes no parts of one's own"):
        objectives.make(config, spec, prior=object())


def test_found_by_entry_point(package, monkeypatch):
    package(floored=GOOD)
    point = importlib.metadata.EntryPoint(
        "floored", "elsewhere.floored", objectives.ENTRY_POINTS
    )
    points = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: points.select(group=group)
    )
    assert objectives.load("floored").__name__ == "elsewhere.floored"
    with pytest.raises(ConfigError, match="did you mean 'floored'"):
        objectives.load("flored")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nowhere.at_all", "", "no module 'nowhere'; config.objective=nowhere.at_all"),
        ("elsewhere.other", "", "no module 'elsewhere.other'"),
        ("elsewhere.mine", "import not_there", "'not_there', which elsewhere.mine im"),
        ("elsewhere.mine", "def", "syntax error: .*mine.py:1"),
        ("elsewhere.mine", "1 / 0", "raised ZeroDivisionError: .*mine.py:1"),
        ("elsewhere.mine", "raise SystemExit(3)", "raised SystemExit: 3"),
        ("elsewhere.mine", "", "no HPARAMS"),
        ("elsewhere.mine", "HPARAMS = {'kl_z': 1.0}", "no HPARAMS"),
        ("elsewhere.mine", "HPARAMS = {}", "no Config"),
        ("elsewhere.mine", GOOD.split("def make")[0], "no function make"),
        (".mine", "", "is no path of a module"),
        ("../mine.py", "", "is no path of a module"),
        ("elsewhere..mine", "", "is no path of a module"),
    ],
)
def test_faults_are_one_line(name, text, message, package):
    package(mine=text)
    with pytest.raises(ConfigError, match=message) as found:
        objectives.load(name)
    assert "\n" not in found.value.line()


def test_values_of_its_keys_are_checked(package):
    package(floored=GOOD)
    for texts, message in [
        ({"model.flor": 1.0}, "did you mean 'floor'"),
        ({"model.floor": -1.0}, "-1.0 is too small"),
        ({"model.floor": "much"}, "is no number"),
        ({"weights.kl": 1.0}, "did you mean 'kl_z'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            objectives.recast(groups.default_config(), "elsewhere.floored", texts)


def test_a_run_trains_resumes_and_says_when_its_objective_is_gone(
    package, run_main, tmp_path
):
    root = package(floored=GOOD)
    workdir = tmp_path / "run"
    env = {"PYTHONPATH": f"{root}:{ROOT}"}
    # X.__path__[0].rsplit('/', 2)[0]}"
    command = [
        "--config=configs/vae.py",
        "--config.objective=elsewhere.floored",
        "--config.model.floor=3",
        "--config.network.encoder_hidden=(8,)",
        "--config.data.num_train=128",
        "--config.evaluation.nll_samples=2",
        "--config.evaluation.nll_examples=8",
        f"--workdir={workdir}",
        "--config.train.num_epochs=2",
    ]
    first = run_main(*command, env=env)
    assert first.returncode == 0, first.stderr
    config = config_lib.from_json((workdir / "config.json").read_text())
    assert config.objective == "elsewhere.floored"
    assert config.model.floor == 3
    again = run_main("--mode=evaluate", f"--workdir={workdir}", env=env)
    assert again.returncode == 0, again.stderr
    (root / "elsewhere" / "floored.py").unlink()
    for arguments in (command, ["--mode=evaluate", f"--workdir={workdir}"]):
        gone = run_main(*arguments, env=env)
        assert gone.returncode == 2
        assert gone.stderr.startswith(
            "error: no module 'elsewhere.floored'; config.obj"
        )
        assert gone.stderr.count("\n") == 1
