"""Many tiny steps: neither memory nor files nor threads grow, nothing is compiled anew.

    INFOVAE_SOAK=200000 python -m pytest -n0 -m slow tests/soak_test.py

INFOVAE_SOAK says how many steps.
"""

import logging
import os
import pathlib
import threading
import time

import jax
import numpy as np
import pytest
import small_run

from infovae_jax.training import loop, metrics
from infovae_jax.training.run import claim_workdir, open_run

pytestmark = pytest.mark.slow
STEPS = int(os.environ.get("INFOVAE_SOAK", "200000"))
PER_EPOCH, SETTLED = 2, 60.0  # seconds


def measured():
    """Resident KiB, open files and threads of this process."""
    status = pathlib.Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    files = len(list(pathlib.Path("/proc/self/fd").iterdir()))
    return int(line.split()[1]), files, threading.active_count()


def test_nothing_grows(tmp_path, caplog):
    np.savez(tmp_path / "x.npz", **small_run.images())
    config = small_run.make_config(tmp_path / "x.npz")
    config.train.num_epochs = STEPS // PER_EPOCH
    config.train.log_every = 20  # a row each
    config.train.checkpoint_every = config.train.num_epochs // 20
    config.train.eval_every = config.train.num_epochs // 40
    run = open_run(config, say=lambda text: None)
    claim_workdir(config, tmp_path / "run")
    series, began, done = [], time.monotonic(), threading.Event()

    def watch():
        while not done.wait(1.0):
            series.append((time.monotonic() - began, *measured()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with jax.log_compiles(), caplog.at_level(logging.WARNING, "jax"):
        loop.train(run, tmp_path / "run", run.make_mesh())
    done.set()
    watcher.join()
    compiled = [r for r in caplog.records if "Finished XLA comp" in r.getMessage()]
    late = [r for r in compiled if r.created > compiled[0].created + SETTLED]
    assert len(metrics.read_metrics(tmp_path / "run")) == STEPS // 20
    after = np.array([s for s in series if s[0] > SETTLED])
    assert len(after) > 30, "give more steps by INFOVAE_SOAK"
    third = len(after) // 3
    first, last = (np.median(part, 0) for part in (after[:third], after[-third:]))
    growth = last[1] / first[1] - 1
    files, threads = (
        f"{a:g} to {b:g}" for a, b in zip(first[2:], last[2:], strict=True)
    )
    print(
        f"{STEPS} steps in {series[-1][0]:.0f} s: resident {first[1] / 1024:.1f} MiB "
        f"to {last[1] / 1024:.1f} ({growth:+.2%}), files {files}, threads {threads}, "
        f"{len(compiled)} programs compiled, {len(late)} late"
    )
    assert growth < 0.01
    assert last[2] <= first[2]
    assert last[3] <= first[3]
    assert not late
