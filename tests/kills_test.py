"""SIGKILLs for the config of every objective: the same command loses nothing.

    python -m pytest -n0 -m slow tests/kills_test.py

INFOVAE_KILLS says how many each; a third of them fall inside a save.
"""

import functools
import os
import random
import shutil
import time

import chex
import forked
import numpy as np
import pytest
import small_run

from infovae_jax import objectives
from infovae_jax.report import results
from infovae_jax.training import checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.process]
KILLS = int(os.environ.get("INFOVAE_KILLS", "25"))
INSIDE = KILLS * 8 // 25
# 120 saves; the bound is measured eight times.
OPTIONS = (
    "--config.train.num_epochs=240",
    "--config.train.checkpoint_every=2",
    "--config.train.eval_every=30",
)
SECONDS = 240  # until a start has done what is waited for


class Lives:
    """Starts of one command in `folder`, each of which is killed."""

    def __init__(self, folder, name):
        self.folder, self.run = folder, folder / "run"
        own = f"--config=configs/{name}.py"
        self.command = (own, *small_run.command(folder, *OPTIONS)[1:])

    def start(self):
        return forked.start(self.command, self.folder / "log")

    def wait(self, process, reached):
        """Until `reached()`; the process has not ended by itself before."""
        deadline = time.monotonic() + SECONDS
        while not reached():
            assert process.is_alive() or reached(), (self.folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def kill(self, process):
        assert process.is_alive(), (self.folder / "log").read_text()
        process.kill()
        process.join()

    def half_saved(self):
        """Folders of checkpoints that are not complete."""
        folder = self.run / "checkpoints"
        complete = {str(s) for s in checkpoint.Checkpoints(folder).steps()}
        return {path.name for path in folder.glob("*")} - complete

    def saves_or_evaluated(self, left):
        """Whether there is a half-saved one that the last kill did not leave."""
        return self.half_saved() - left or self.evaluated()

    def evaluated(self):
        return (self.run / results.FILE).exists()

    def finish(self):
        """Trains to the end; killed in the report, which takes longest."""
        process = self.start()
        self.wait(process, self.evaluated)
        self.kill(process)


@pytest.mark.parametrize("name", objectives.names())
def test_kills_change_nothing(tmp_path, name):
    (tmp_path / "killed").mkdir()
    np.savez(tmp_path / "killed" / "x.npz", **small_run.images())
    killed = Lives(tmp_path / "killed", name)
    # At once, by the same path: the config names its data.
    killed.finish()
    before = small_run.finished(killed.run)
    shutil.rmtree(killed.run)
    chance, kills, inside, began = random.Random(name), 0, 0, 3.0
    while kills < KILLS or inside < INSIDE:
        assert kills < 4 * KILLS
        process, started = killed.start(), time.monotonic()
        left = killed.half_saved()
        if inside < INSIDE and kills % 2 == 0:
            killed.wait(process, functools.partial(killed.saves_or_evaluated, left))
            began = time.monotonic() - started
            time.sleep(chance.uniform(0.0, 0.1))
            killed.kill(process)
            inside += bool(killed.half_saved())
        else:
            time.sleep(chance.uniform(0.0, 1.2 * began))
            killed.kill(process)
        kills += 1
    if not killed.evaluated():
        killed.finish()
    after = small_run.finished(killed.run)
    steps = [row["step"] for row in after[2]]
    assert steps == sorted(set(steps))
    chex.assert_trees_all_equal(after[0], before[0])
    assert after[1:] == before[1:]
    print(f"{name}: {kills} kills, {inside} inside a save, step {after[1]}")
