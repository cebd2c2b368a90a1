"""Shared set-up: strict numerics, shape checks, small configs.

Array shapes in signatures are checked while testing (jaxtyping with beartype) and
are free in production.
"""

import pathlib
import sys

import jaxtyping
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

jaxtyping.install_import_hook(
    [
        "infovae_jax.objectives._rao_blackwell",
        "infovae_jax.distributions",
        "infovae_jax.objectives",
        "infovae_jax.priors",
        "infovae_jax.distributions.cluster_gaussians",
    ],
    "beartype.beartype",
)

import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

from infovae_jax import config as config_lib  # noqa: E402
from infovae_jax.types import DataSpec  # noqa: E402


def load_config(name: str, preset: str = "digits"):
    """The config of `configs/<name>.py`, as main would resolve it."""
    config = config_lib.load_config_file(f"{ROOT / 'configs' / name}.py:{preset}")
    return config_lib.from_json(config_lib.to_json(config))


@pytest.fixture
def make_config():
    """`make_config(objective, **model)`: a shipped config with tiny networks."""

    def make(name: str, **model):
        config = load_config(name)
        config.network.encoder_hidden = config.network.decoder_hidden = (16,)
        for key, value in model.items():
            config.model[key] = value
        for key, value in config.weights.items():
            if isinstance(value, str):
                config.weights[key] = 1.0
        return config

    return make


@pytest.fixture
def spec():
    """Small grey images with a Bernoulli likelihood."""
    return DataSpec((4, 4, 1), "float32", "bernoulli", 64, 10, False)


@pytest.fixture
def run_main():
    """Runs the command line in a process of its own; returns the completed process."""
    import os
    import subprocess

    def run(*arguments, cwd=ROOT, timeout=300, env=None):
        return subprocess.run(
            [sys.executable, "-m", "infovae_jax.main", *map(str, arguments)],
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
        )

    return run
