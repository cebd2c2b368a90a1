"""A signal at any moment: one line, the right code, and the same command goes on.

    python -m pytest -n0 -m process tests/signals_test.py

INFOVAE_SIGNALS=all sends each of the signals in each stage, once and twice.
"""

import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import small_run

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
}
# A few of all, so that each stage, signal and number of signals comes up.
SOME = [
    (stage, number, count)
    for (stage, number), count in zip(
        zip(STAGES, itertools.cycle(("SIGTERM", "SIGINT", "SIGHUP"))),
        itertools.cycle((1, 2)),
    )
]
ALL = list(itertools.product(STAGES, ("SIGTERM", "SIGINT", "SIGHUP"), (1, 2)))


def start(folder):
    options = ("--config.train.num_epochs=1000", "--config.train.checkpoint_every=25")
    arguments = small_run.command(folder, *options)
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
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("stage", "name", "count"),
    ALL if os.environ.get("INFOVAE_SIGNALS") == "all" else SOME,
)
def test_a_signal_ends_with_its_code_and_one_line(tmp_path, stage, name, count):
    np.savez(tmp_path / "x.npz", **small_run.images())
    process = start(tmp_path)
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
    if stage == "block" and count == 1:
        assert saved(tmp_path) == [metrics.read_metrics(tmp_path / "run")[-1]["step"]]
    if stage in ("evaluation", "report") and count == 1:
        assert "step 2000" in errors[0]
