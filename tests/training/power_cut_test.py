"""After a power cut the same command goes on. Needs root and loop devices.

    python -m pytest -n0 -m slow tests/training/power_cut_test.py

A run writes into an ext4 image. At random moments it is stopped, the image is copied
without what the page cache of that file system still holds back, and the copy, its
journal replayed, is what a power cut would have left. INFOVAE_CUTS says how many.
"""

import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import pytest
from file_systems import can_mount, mounted

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVERY = 2_000  # Steps between two saves: a second or two.
CUTS = int(os.environ.get("INFOVAE_CUTS", "5"))
OPTIONS = (
    "--config=configs/vae.py",
    "--config.network.encoder_hidden=(32,)",
    "--config.network.decoder_hidden=(32,)",
    "--config.evaluation.plane=False",
    "--config.evaluation.nll_samples=2",
    "--config.train.eval_every=50",
)

pytestmark = [pytest.mark.slow, pytest.mark.process]


def command(folder, every):
    return [
        sys.executable,
        "-m",
        "infovae_jax.main",
        *OPTIONS,
        "--config.train.num_epochs=100000",
        f"--config.train.checkpoint_every={every}",
        f"--workdir={folder / 'run'}",
    ]


def saved(folder):
    """Steps of the checkpoints whose manifest is there."""
    manifests = (folder / "run" / "checkpoints").glob("*/manifest.json")
    return {int(path.parent.name) for path in manifests}


def cut(image, folder, every, patience, copies):
    """Train in the mounted image; yield copies of it, each with the steps saved."""
    chance = random.Random(0)
    process = subprocess.Popen(
        command(folder, every), cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        while not saved(folder):
            assert process.poll() is None
            time.sleep(0.1)
        for number in range(CUTS):
            time.sleep(chance.uniform(0.2, patience))
            process.send_signal(signal.SIGSTOP)
            before = saved(folder)
            copy = copies / f"cut{number}.img"
            subprocess.run(["cp", "--sparse=always", image, copy], check=True)
            process.send_signal(signal.SIGCONT)
            yield copy, before
    finally:
        process.kill()
        process.wait()


def resumed_at(folder, every):
    """The step from which the same command goes on, and all it said."""
    process = subprocess.Popen(
        command(folder, every),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if match := re.search(r"resumed at step (\d+)", line):
            process.terminate()
            process.communicate()
            return int(match[1]), said
        if line.startswith("epoch"):
            break
    process.kill()
    process.communicate()
    return None, said


@pytest.mark.skipif(not can_mount(), reason="needs root, mkfs.ext4 and a loop device")
@pytest.mark.parametrize("every", [EVERY, 20 * EVERY])
def test_the_same_command_goes_on_after_a_power_cut(tmp_path, every):
    image = tmp_path / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(200 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    patience = 3.0 if every == EVERY else 20.0
    with mounted(image, tmp_path / "disk") as disk:
        copies = list(cut(image, disk, every, patience, tmp_path))
    lost = []
    for copy, before in copies:
        with mounted(copy, tmp_path / "after") as disk:
            there = saved(disk)
            step, said = resumed_at(disk, every)
            # The newest may have been named a moment before it was safe.
            if step is None or step < sorted(before)[-2:][0]:
                lost.append((copy.name, sorted(before), sorted(there), said[-5:]))
        copy.unlink()
    assert not lost
