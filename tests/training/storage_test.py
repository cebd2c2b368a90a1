"""Real faults of a file system: full, without inodes, read-only. Needs root and loop.

    python -m pytest -n0 -m process tests/training/storage_test.py

A run goes on in an ext4 image of its own, a fault comes, and its command ends with exit
code 6 and one line; without the fault the same command ends with the same bits.
"""

import contextlib
import errno
import os
import shutil
import subprocess

import chex
import numpy as np
import pytest
import small_run
from file_systems import can_mount, mounted

from infovae_jax.training import checkpoint, files, loop, metrics
from infovae_jax.training.run import open_run

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not can_mount(), reason="needs root, mkfs.ext4 and loop"),
]


@pytest.fixture
def disk(trained, tmp_path):
    """A small file system with the run up to step 4 of 6."""
    image = tmp_path / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(8 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-N", "256", image], check=True)
    with mounted(image, tmp_path / "disk") as folder:
        shutil.copytree(trained / "run", folder / "run")
        shutil.rmtree(folder / "run" / "checkpoints" / "6")
        yield folder


@contextlib.contextmanager
def full(disk, left):
    """All but so many bytes are taken."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream:
        with contextlib.suppress(OSError):
            while True:
                stream.write(b"x" * 4096)
        stream.truncate(filler.stat().st_size - left)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def without_inodes(disk, left):
    """All but so many inodes are taken."""
    folder, number = disk / "fillers", 0
    folder.mkdir()
    with contextlib.suppress(OSError):
        while True:
            (folder / str(number)).touch()
            number += 1
    for name in range(left):
        (folder / str(name)).unlink()
    try:
        yield
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def read_only(disk, left):
    del left
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


FAULTS = [
    *((full, left, errno.ENOSPC) for left in (0, 4096, 12288, 40960)),
    *((without_inodes, left, errno.ENOSPC) for left in (0, 2, 6, 12)),
    (read_only, 0, errno.EROFS),
]


@pytest.mark.parametrize(("fault", "left", "number"), FAULTS)
def test_a_fault_costs_nothing(run_main_inprocess, trained, disk, fault, left, number):
    command = small_run.command(trained)[:-1]
    command = (*command, f"--workdir={disk / 'run'}")
    with fault(disk, left):
        done = run_main_inprocess(*command)
    assert done.returncode == 6, done.stderr
    errors = [line for line in done.stderr.splitlines() if "error" in line.lower()]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for part in (os.strerror(number), str(disk), "bytes free"):
        assert part in errors[0]
    saved = checkpoint.Checkpoints(disk / "run" / "checkpoints")
    assert saved.steps() == [4]
    saved.verify(4)
    config = small_run.read_config(trained / "run")
    small_run.train(disk / "run", config)
    run = open_run(config, say=lambda text: None)
    params = [loop.restore_params(run, folder / "run") for folder in (disk, trained)]
    chex.assert_trees_all_equal(*params)
    rows = [metrics.read_metrics(folder / "run") for folder in (disk, trained)]
    for row in [*rows[0], *rows[1]]:
        row.pop("time/examples_per_second")
    assert rows[0] == rows[1]
    assert not np.isnan(rows[0][-1]["loss"])


@pytest.mark.parametrize("name", [None, "metrics.jsonl"])
def test_an_error_that_names_no_file_names_the_folder(tmp_path, name):
    full = os.strerror(errno.ENOSPC)
    with pytest.raises(OSError, match=full) as raised, files.writing_in(tmp_path):
        raise OSError(errno.ENOSPC, full, name)
    assert raised.value.filename == (name or str(tmp_path))
