"""Questions to the command line, and slips that get their hint."""

import pathlib

import pytest

import infovae_jax
from infovae_jax import config as config_lib


@pytest.mark.parametrize("flag", ["--help", "-h", "-help", "--helpshort"])
def test_help_tells_the_modes_and_the_flags(run_main_inprocess, flag):
    done = run_main_inprocess(flag)
    assert done.returncode == 0
    assert done.stderr == ""
    for part in ("--config=configs/", "--mode=", "--workdir:", "--num_samples:"):
        assert part in done.stdout
    assert "train.num_epochs" not in done.stdout


def test_the_full_help_tells_the_keys(run_main_inprocess):
    done = run_main_inprocess("--helpfull")
    assert done.returncode == 0
    assert "train.num_epochs: passes over the data (default: 30)" in done.stdout
    assert "  seed: every random number" in done.stdout


def test_the_version(run_main_inprocess):
    done = run_main_inprocess("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"infovae_jax {infovae_jax.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--config", "configs/catvae.py", "--config.model.K=3"], "model.num_clusters"),
        (["--config=configs/vae.py", "--config.model.z_dim=3"], "model.latent_dim"),
        (["--config=configs/vae.py", "--config.lr=1"], "optimizer.learning_rate"),
        (["--config", "configs/vae.py", "--epochs=3"], "--config.train.num_epochs="),
        (["--config", "configs/vae.py", "--batch_size=3"], "--config.train.batch_size"),
        (["--config=configs/vae.py", "--wrkdir=x"], "did you mean '--workdir'"),
        (["--confg=configs/vae.py"], "did you mean '--config'"),
        (
            ["--config=configs/vae.py", "--config.train.num_epochs=ten"],
            "num_epochs=ten: not an integer;",
        ),
        (["configs/vae.py:mnist"], "write --config=configs/vae.py:mnist"),
        (["train.num_epochs=3"], "write --config.train.num_epochs=3"),
        (["workdir=x"], "write --workdir=x"),
        (["train"], "flags start with --"),
        (["--mode=report", "--output=x.html"], "--mode=report takes no --output;"),
        (["--mode=sample", "--workdir=x", "--output", "x.csv"], "takes no --output;"),
        (["--mode=predict", "--workdir=x", "--cluster=1"], "use --mode=sample"),
        (["--mode=evaluate", "--workdir=x", "--output=x.csv"], "name them by --input"),
        (["--mode=sample", "--workdir=~/none"], f"{pathlib.Path.home()}/none"),
    ],
)
def test_slips_get_their_hint(run_main_inprocess, arguments, hint):
    done = run_main_inprocess(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert hint in done.stderr


@pytest.mark.parametrize(
    ("named", "dims", "top"),
    [
        (["num_clusters=3"], 6, 2),
        (["num_clusters=2"], 4, 2),
        (["num_clusters=3", "latent_dim=9"], 9, 2),
        (["num_clusters=7", "top_clusters=1"], 14, 1),
    ],
)
def test_another_number_of_clusters_takes_dims_with_it(
    run_main_inprocess, monkeypatch, tmp_path, named, dims, top
):
    class Opened(Exception):
        pass

    def opens(config, *arguments, **options):
        raise Opened(config_lib.to_json(config))

    monkeypatch.setattr("infovae_jax.commands.open_run", opens)
    keys = [f"--config.model.{text}" for text in named]
    with pytest.raises(Opened) as opened:
        run_main_inprocess(
            "--config=configs/infocatvae.py", f"--workdir={tmp_path / 'run'}", *keys
        )
    model = config_lib.from_json(str(opened.value)).model
    assert (model.latent_dim, model.top_clusters) == (dims, top)
