"""Faults by the hundred: flipped bits in every file of a run, and SIGKILLs.

    python -m pytest -m faults

The other tests of that mark are beside what they test; docs/promises.md says which.
INFOVAE_FLIPS, INFOVAE_KILLS and INFOVAE_WRITERS say how many; few in the default run.
"""

import os
import random
import shutil
import signal
import sys
import time

import chex
import forked
import numpy as np
import pytest
import small_run

from infovae_jax import config as config_lib
from infovae_jax.config import sealed
from infovae_jax.data import cache
from infovae_jax.errors import ConfigError, UserError
from infovae_jax.report import results
from infovae_jax.training import checkpoint, files, identity, metrics

FLIPS = int(os.environ.get("INFOVAE_FLIPS", "60"))
KILLS = int(os.environ.get("INFOVAE_KILLS", "3"))
WRITERS = int(os.environ.get("INFOVAE_WRITERS", "2"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with all of its files, and a decoded cache."""
    folder = tmp_path_factory.mktemp("faults")
    np.savez(folder / "x.npz", **small_run.images())
    small_run.train(folder / "run", small_run.make_config(folder / "x.npz"))
    figures = {"elbo": -15.25, "nll": 12.5, "rate/z": [0.25, 0.5], "none": None}
    table = [["elbo", "-15.25", "1 sample"]]
    record = {"step": 6, "metrics": figures, "table": table}
    files.write_record(folder / "run" / results.FILE, record)
    x = np.arange(480, dtype=np.uint8).reshape(30, 4, 4, 1)
    streams = {s: cache.Stream(30, [(x, np.arange(30) % 3)]) for s in cache.SPLITS}
    cache.open_or_build(folder / "cache", lambda: (streams, {}))
    return folder


def read_checkpoint(folder):
    saved = checkpoint.Checkpoints(folder / "run" / "checkpoints")
    saved.verify(6)
    manifest = saved.manifest(6)
    return {key: manifest[key] for key in ("sha256", "identity", "step")}


def read_config(folder):
    try:
        config = small_run.read_config(folder / "run")
    except ValueError:  # which the command line says in a line
        raise ConfigError("damaged", "config.json", "restore it") from None
    identity.check_config(folder / "run", config)
    config_lib.check(config)
    return config.to_dict()


def read_evaluation(folder):
    return results.figures(folder / "run"), results.read(folder / "run").table


def read_cache(folder):
    arrays = cache.open_or_build(folder / "cache", lambda: pytest.fail("built")).arrays
    return {name: np.asarray(array).tolist() for name, array in arrays.items()}


FILES = {
    "checkpoint": ("run/checkpoints/6", read_checkpoint),
    "manifest": (f"run/checkpoints/6/{checkpoint.MANIFEST}", read_checkpoint),
    "config": ("run/config.json", read_config),
    "evaluation": (f"run/{results.FILE}", read_evaluation),
    "cache": ("cache", read_cache),
}


@pytest.mark.parametrize("kind", FILES)
def test_no_flipped_bit_is_believed(trained, kind):
    """It is refused by one of our errors, or what is read is as it was."""
    name, read = FILES[kind]
    place, expected = trained / name, read(trained)
    paths = [place] if place.is_file() else sorted(place.rglob("*"))
    paths = [p for p in paths if p.is_file() and p.stat().st_size]
    sizes = [path.stat().st_size for path in paths]
    chance, refused = random.Random(0), 0
    for _ in range(FLIPS):
        (path,) = chance.choices(paths, sizes)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(flipped))
        try:
            found = read(trained)
        except UserError:
            refused += 1
        else:
            assert found == expected
        path.write_bytes(whole)
    assert refused > FLIPS // 2


def test_no_good_row_is_lost_to_a_flipped_bit(trained, capfd):
    folder = trained / "run"
    path, chance = folder / metrics.FILE, random.Random(0)
    whole, rows = path.read_bytes(), metrics.read_metrics(folder)
    for _ in range(FLIPS):
        flipped = bytearray(whole)
        at = chance.randrange(len(whole))
        flipped[at] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(flipped))
        found = metrics.read_metrics(folder)
        assert all(row in rows for row in found)
        assert len(found) >= len(rows) - 1
    path.write_bytes(whole)
    capfd.readouterr()


def start(folder):
    options = ("--config.train.num_epochs=1500", "--config.train.checkpoint_every=50")
    command = small_run.command(folder, *options)
    log = folder / "log"
    return forked.Popen([sys.executable, "-m", "infovae_jax.main", *command], log, log)


@pytest.mark.process
def test_sigkill_at_any_moment_costs_nothing(tmp_path):
    """Every other one as soon as a save has begun."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        np.savez(tmp_path / "x.npz", **small_run.images())
        shutil.copy(tmp_path / "x.npz", folder / "x.npz")
    assert start(whole).wait(timeout=300) == 0, (whole / "log").read_text()
    chance, kills, inside = random.Random(os.getpid()), 0, 0
    for number in range(KILLS):
        process = start(killed)
        if number % 2:
            time.sleep(chance.uniform(1.0, 4.0))
        else:
            while process.poll() is None:
                if any((killed / "run").glob("checkpoints/*tmp*")):
                    inside += 1
                    break
        if process.poll() is None:
            kills += 1
            process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(killed).wait(timeout=300) == 0, (killed / "log").read_text()
    print(f"{kills} kills, {inside} inside a save")
    assert kills
    params, step, rows, figures = small_run.finished(killed / "run")
    expected, last, all_rows, expected_figures = small_run.finished(whole / "run")
    assert step == last
    chex.assert_trees_all_equal(params, expected)
    assert rows == all_rows
    assert figures == expected_figures
    left = {path.name for path in (killed / "run" / "checkpoints").iterdir()}
    assert all(name.isdigit() for name in left)
    assert sealed.read(killed / "run" / results.FILE)["step"] == step


@pytest.mark.process
def test_a_second_trainer_is_refused_and_costs_no_row(tmp_path):
    np.savez(tmp_path / "x.npz", **small_run.images())
    epochs = "--config.train.num_epochs=3000"
    command = small_run.command(tmp_path, epochs, "--config.train.checkpoint_every=50")
    first = forked.start(command, tmp_path / "log")
    while len(metrics.read_metrics(tmp_path / "run")) < 2:
        assert first.is_alive(), (tmp_path / "log").read_text()
        time.sleep(0.01)
    for number in range(WRITERS):
        # As soon as the first has ended it would not be a second one.
        os.kill(first.pid, signal.SIGSTOP)
        log = tmp_path / f"log{number}"
        second = forked.start(command, log)
        second.join()
        os.kill(first.pid, signal.SIGCONT)
        assert second.exitcode == 2, log.read_text()
        assert f"process {first.pid}" in log.read_text()
        time.sleep(0.1)
    while not (tmp_path / "run" / results.FILE).exists():
        assert first.is_alive(), (tmp_path / "log").read_text()
        time.sleep(0.01)
    first.kill()
    first.join()
    found = (tmp_path / "run" / metrics.FILE).read_text().splitlines()
    steps = [row["step"] for row in metrics.read_metrics(tmp_path / "run")]
    assert steps == list(range(2, 6001, 2))
    assert len(found) == len(steps)
