"""A signal at any moment: one line, the right code, and the same command goes on.

    python -m pytest -n0 -m process tests/signals_test.py

INFOVAE_SIGNALS=all sends each of the signals in each stage, once and twice, and each
time compares what the same command then ends with.
"""

import functools
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import chex
import forked
import numpy as np
import pytest
import small_run

from infovae_jax.evaluation import parts
from infovae_jax.report import results
from infovae_jax.training import checkpoint, metrics

pytestmark = pytest.mark.process
# Of the line, the work in hand and the way out.
SECONDS = 15


def saved(folder):
    return checkpoint.Checkpoints(folder / "run" / "checkpoints").steps()


def said(folder, text):
    return text in (folder / "log").read_text()


STAGES = {
    "import": lambda folder: True,
    "data": lambda folder: said(folder, "data: "),
    "compile": lambda folder: said(folder, "workdir: "),
    "block": lambda folder: len(metrics.read_metrics(folder / "run")) > 2,
    "save": lambda folder: any((folder / "run").glob("checkpoints/*tmp*")),
    "evaluation": lambda folder: 2000 in saved(folder),
    "report": lambda folder: said(folder, "sha256 of the config"),
    # Of --mode=evaluate --metrics=representation, after the core.
    "groups": lambda folder: (folder / "run" / parts.FILE).exists(),
}
EVERY = os.environ.get("INFOVAE_SIGNALS") == "all"
# A few of all, so that each stage, signal and number of signals comes up.
SOME = [
    (stage, number, count)
    for (stage, number), count in zip(
        zip(STAGES, itertools.cycle(("SIGTERM", "SIGINT", "SIGHUP"))),
        itertools.cycle((1, 2)),
    )
]
ALL = list(itertools.product(STAGES, ("SIGTERM", "SIGINT", "SIGHUP"), (1, 2)))


def command(folder, stage):
    if stage == "groups":
        metrics = "--metrics=representation"
        return "--mode=evaluate", metrics, f"--workdir={folder / 'run'}"
    options = ("--config.train.num_epochs=1000", "--config.train.checkpoint_every=25")
    return small_run.command(folder, *options)


def start(folder, stage):
    arguments = command(folder, stage)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "infovae_jax.main", *arguments],
            cwd=small_run.ROOT,
            stdout=log,
            stderr=log,
        )


def wait_for(reached, process, folder):
    deadline = time.monotonic() + 120
    while not reached(folder):
        ended = process.poll() if hasattr(process, "poll") else process.exitcode
        assert ended is None or reached(folder), (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def finish(folder, stage):
    """The same command to its end; what it stores but a page is compared elsewhere."""
    before = (folder / "run" / results.FILE).exists() and stage != "groups"
    process = forked.start(command(folder, stage), folder / "log")
    if stage == "report" or before:
        process.join()
    else:
        wait_for(lambda folder: settled(folder, stage), process, folder)
        process.kill()
        process.join()


def settled(folder, stage):
    """Whether there are all figures, and nothing of a part of them."""
    run = folder / "run"
    if not (run / results.FILE).exists() or (run / parts.FILE).exists():
        return False
    return stage != "groups" or "probe/" in (run / results.FILE).read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run to which no signal came, evaluated by its core."""
    folder = tmp_path_factory.mktemp("trained")
    np.savez(folder / "x.npz", **small_run.images())
    finish(folder, "save")
    return folder


@pytest.fixture(scope="module")
def expected(trained, tmp_path_factory):
    """`expected(stage)`: what its command ends with where no signal comes."""

    @functools.cache
    def of(groups):
        if not groups:
            return small_run.finished(trained / "run")
        folder = tmp_path_factory.mktemp("groups")
        shutil.copytree(trained / "run", folder / "run")
        finish(folder, "groups")
        return small_run.finished(folder / "run")

    return lambda stage: of(stage == "groups")


@pytest.mark.parametrize(
    ("stage", "name", "count"),
    ALL if EVERY else SOME,
)
def test_a_signal_ends_with_its_code_and_one_line(
    tmp_path, trained, expected, stage, name, count
):
    np.savez(tmp_path / "x.npz", **small_run.images())
    if stage == "groups":
        shutil.copytree(trained / "run", tmp_path / "run")
    process = start(tmp_path, stage)
    if stage == "import":
        time.sleep(0.7)
    wait_for(STAGES[stage], process, tmp_path)
    sent = time.monotonic()
    for _ in range(count):
        process.send_signal(getattr(signal, name))
        time.sleep(0.02)
    code = process.wait(timeout=60)
    seconds = time.monotonic() - sent
    log = (tmp_path / "log").read_text()
    assert code == 128 + getattr(signal, name), log
    assert seconds < SECONDS
    errors = [line for line in log.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, log
    assert f"stopped by {name}" in errors[0]
    assert "Traceback" not in log
    if stage == "compile":
        assert not re.search(r"step \d+ is saved", errors[0])
    if stage == "block" and count == 1:
        assert saved(tmp_path) == [metrics.read_metrics(tmp_path / "run")[-1]["step"]]
    if stage in ("evaluation", "report", "groups") and count == 1:
        assert "step 2000" in errors[0]
    if not EVERY and stage != "groups":
        return
    finish(tmp_path, stage)
    if stage == "groups":
        assert said(tmp_path, "kept of an evaluation that was stopped: core")
    after, before = small_run.finished(tmp_path / "run"), expected(stage)
    chex.assert_trees_all_equal(after[0], before[0])
    assert after[1:] == before[1:]
