"""A tiny run on a file of images: three epochs of two steps, checkpoints 4 and 6."""

import json
import pathlib

import numpy as np

from infovae_jax import config as config_lib
from infovae_jax.config import sealed
from infovae_jax.report import results
from infovae_jax.training import checkpoint, loop, metrics, origin
from infovae_jax.training.run import claim_workdir, open_run
from infovae_jax.training.saved import keep_intake

ROOT = pathlib.Path(__file__).resolve().parents[1]
COMMAND = (
    "--config=configs/vae.py",
    "--config.network.encoder_hidden=(8,)",
    "--config.network.decoder_hidden=(8,)",
    "--config.train.batch_size=20",
    "--config.train.num_epochs=3",
    "--config.train.checkpoint_every=1",
    "--config.evaluation.plane=False",
    "--config.evaluation.nll_samples=2",
)


def images(seed=0, count=60):
    """Arrays of an npz file."""
    x = np.random.default_rng(seed).random((count, 4, 4)).astype(np.float32)
    return {"x": x, "y": np.arange(count) % 3}


def command(folder, *more):
    """What trains the run in `folder/run` on `folder/x.npz`."""
    source = f"--config.data.source={folder / 'x.npz'}"
    return (*COMMAND, source, f"--workdir={folder / 'run'}", *more)


def make_config(source):
    """The config that `command` resolves to."""
    config = config_lib.load_config_file(str(ROOT / "configs" / "vae.py"))
    config.network.encoder_hidden = config.network.decoder_hidden = (8,)
    config.train.batch_size, config.train.num_epochs = 20, 3
    config.train.checkpoint_every = 1
    config.evaluation.plane, config.evaluation.nll_samples = False, 2
    config.data.source = str(source)
    return config_lib.from_json(config_lib.to_json(config))


def read_config(workdir):
    """The resolved config of a run."""
    return config_lib.from_json((workdir / "config.json").read_text())


def train(workdir, config, **options):
    """Trains without evaluation."""
    run = open_run(config, say=lambda text: None)
    claim_workdir(config, workdir)
    return loop.train(run, workdir, run.make_mesh(), **options)


def train_for_new_data(workdir, config):
    """The same, and keeps what takes new data without the old ones."""
    train(workdir, config)
    keep_intake(workdir, open_run(config, say=lambda text: None).dataset)


def finished(workdir):
    """Parameters, step, rows (but for the clock's) and figures of a run that ended."""
    run = open_run(read_config(workdir), say=lambda text: None)
    rows = metrics.read_metrics(workdir)
    for row in rows:
        row.pop("time/examples_per_second")
    return *loop.restore_params(run, workdir), rows, results.figures(workdir)


def move(workdir, before, after):
    """The same run, as if trained on a file at another place."""
    path = workdir / "config.json"
    path.write_text(path.read_text().replace(str(before), str(after)))
    for path in workdir.glob(f"checkpoints/*/{checkpoint.MANIFEST}"):
        manifest = sealed.read(path)
        manifest["identity"]["config"]["data"]["source"] = str(after)
        path.write_text(json.dumps(sealed.seal(manifest)))
    origin.mark(workdir, read_config(workdir))


def damage(path):
    """One bit of a checkpoint's largest file is another."""
    files = [f for f in path.rglob("*") if f.is_file() and f.name != "manifest.json"]
    largest = max(files, key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(bytes(content))
