"""Random values of random keys: one of our errors, or a step that can be traced.

    INFOVAE_FUZZ=500 python -m pytest -n0 tests/config/fuzz_test.py

INFOVAE_FUZZ says how many; few in the default run.
"""

import os
import pathlib
import random
import string
import time

import jax
import pytest

from infovae_jax import commands
from infovae_jax import config as config_lib
from infovae_jax.config import sweeps
from infovae_jax.training import loop, memory, population
from infovae_jax.training.run import open_run

ROOT = pathlib.Path(__file__).parents[2]
NAMES = sorted(p.stem for p in (ROOT / "configs").glob("*.py") if p.stem != "base")
COUNT = int(os.environ.get("INFOVAE_FUZZ", "12"))
SECONDS = 30
WORDS = (
    *("", "0", "1", "-1", "2", "7", "1.5", "-0.0", "1e-320", "1e38", "1e400", "nan"),
    *("inf", "-inf", "4294967295", "4294967296", str(2**63), str(10**30), "1_000"),
    *("0x10", "True", "False", "None", "()", "(1,)", "(64, 32)", "(1.5,)", "(True,)"),
    *("((),)", "(None,)", "(1,(2,3))", "('a',)", "[1]", "{}", "{'a': 1}", "(-1, 4)"),
    *(
        "linear(0, 1, 5)",
        "linear(1,0,1e300)",
        "cosine(1, 0, 3)",
        "target(2)",
        "linear(",
    ),
    *("lin(0, 1, 4)", "log(0, 1, 4)", "list(1, 2)", "target(-1)", "-" * 200, "9" * 400),
    *(f"list(1, {'9' * 400})", f"linear(0, 1, {'9' * 400})", f"({'9' * 400},)"),
    *("digits", "shapes", "tfds:", "tfds:nothing", "~nobody/x", "/proc/1/mem", "/"),
    *(
        "adam",
        "conv",
        "mlp",
        "auto",
        "batch",
        "layer",
        "bernoulli",
        "gaussian",
        "exact",
    ),
    *("\x1b[31m", "\u00e9\u4e2d", "a\nb", "\x00", "x" * 5000, "../" * 40, "lambda: 1"),
    *("__import__('os')", "1 if", "%s", "$HOME", "b'x'", "1j", "..."),
)


def value(chance):
    kind = chance.randrange(4)
    if kind == 0:
        return str(chance.choice((1, -1)) * 10 ** chance.uniform(-12, 12))
    if kind == 1:
        return str(chance.randrange(-(2 ** chance.randrange(1, 70)), 2**33))
    if kind == 2:
        letters = chance.choices(string.printable, k=chance.randrange(12))
        return "".join(letters)
    return chance.choice(WORDS)


def trace(config, workdir, how, fit_batch):
    """What training does before the first compilation, and a step without numbers."""
    del workdir, how
    config = config_lib.from_json(config_lib.to_json(config))
    run = open_run(config, lambda text: None, fit_batch=fit_batch)
    many = sweeps.is_population(config)
    mesh = population.make_mesh(run) if many else run.make_mesh()
    members = len(sweeps.members_of(config)) if many else 1
    state = loop.abstract_state(run)
    memory.check(run, state, members, mesh)
    rows = run.batch_indices(0, 1)
    jax.eval_shape(loop.make_multi_step(run), state, run.training_data(), rows)


def keys(name):
    config = config_lib.load_config_file(str(ROOT / "configs" / f"{name}.py"))
    return [*config_lib.flatten(config), "sweep.kl_z", "sweep.learning_rate"]


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_values(run_main_inprocess, tmp_path, monkeypatch, seed):
    monkeypatch.setattr(commands, "train", trace)
    chance = random.Random(seed)
    name = chance.choice(NAMES)
    chosen = chance.sample(keys(name), chance.choice((1, 1, 2)))
    given = [f"--config.{key}={value(chance)}" for key in chosen]
    began = time.monotonic()
    done = run_main_inprocess(
        f"--config=configs/{name}.py",
        f"--config.data.cache_dir={tmp_path}",
        *given,
        f"--workdir={tmp_path / 'run'}",
    )
    assert time.monotonic() - began < SECONDS, given
    assert done.returncode in (0, 2, 3), (given, done.stderr)
    errors = [line for line in done.stderr.splitlines() if line]
    assert len(errors) == bool(done.returncode), (given, done.stderr)
    assert all(line.startswith("error: ") for line in errors)
