"""Bad input: one line on stderr, the documented exit code, no traceback."""

import json

import numpy as np
import pytest

SMALL = ("--config.train.num_epochs=1", "--config.evaluation.nll_samples=2")


def assert_refused(done, code, *parts):
    """One `error:` line `what; where; what to do` with every part, and the code."""
    lines = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert lines[0].count("; ") >= 2
    assert "Traceback" not in done.stderr + done.stdout
    for part in parts:
        assert part in lines[0], lines[0]


CONFIG_CASES = {
    "no config": ((), ("no --config",)),
    "unknown key": (
        ("--config=configs/vae.py", "--config.train.batchsize=3"),
        ("train.batchsize", "did you mean 'train.batch_size'"),
    ),
    "unknown short key": (
        ("--config=configs/vae.py", "--config.lr=3"),
        ("did you mean 'optimizer.learning_rate'",),
    ),
    "unknown flag": (("--conf=x",), ("conf",)),
    "wrong type": (
        ("--config=configs/vae.py", "--config.train.batch_size=many"),
        ("train.batch_size",),
    ),
    "unknown objective": (
        ("--config=configs/catvae.py", "--config.objective=catvaee"),
        ("unknown objective 'catvaee'", "did you mean 'catvae'", "infocatvae, "),
    ),
    "unknown dataset": (
        ("--config=configs/vae.py", "--config.data.source=digitss"),
        ("digitss", "did you mean 'digits'"),
    ),
    "missing config": (
        ("--config=configs/catva.py",),
        ("no config file", "configs/catva.py"),
    ),
    "unknown preset": (("--config=configs/vae.py:mnits",), ("mnits", "mnist")),
    "clusters below 2": (
        ("--config=configs/catvae.py", "--config.model.num_clusters=1"),
        ("1 is too small", "config.model.num_clusters", "at least 2"),
    ),
    "latent size": (
        ("--config=configs/infocatvae.py", "--config.model.latent_dim=25"),
        ("not a multiple of the 10 clusters", "20 or 30"),
    ),
    "more top clusters than clusters": (
        (
            "--config=configs/catvae.py",
            "--config.model.reconstruction=topk",
            "--config.model.top_clusters=11",
        ),
        ("11 most probable of 10", "config.model.top_clusters", "give 0 to 10"),
    ),
    "no draw of the other clusters": (
        (
            "--config=configs/infocatvae.py",
            "--config.model.reconstruction=topk",
            "--config.model.top_clusters=0",
            "--config.model.rest_samples=0",
        ),
        ("0 draws", "config.model.rest_samples", "at least 1"),
    ),
    "negative learning rate": (
        ("--config=configs/vae.py", "--config.optimizer.learning_rate=-0.1"),
        ("-0.1", "config.optimizer.learning_rate"),
    ),
    "learning rate nan": (
        ("--config=configs/vae.py", "--config.optimizer.learning_rate=nan"),
        ("config.optimizer.learning_rate",),
    ),
    "bad schedule": (
        ("--config=configs/vae.py", "--config.weights.kl_z=linea(0,1,2)"),
        ("did you mean 'linear'", "config.weights.kl_z"),
    ),
    "negative weight": (
        ("--config=configs/vae.py", "--config.weights.kl_z=-1"),
        ("config.weights.kl_z", "at least 0"),
    ),
    "batch larger than the data": (
        ("--config=configs/vae.py", "--config.train.batch_size=2000"),
        ("2000", "1438", "batch_size"),
    ),
    "batch of zero": (
        ("--config=configs/vae.py", "--config.train.batch_size=0"),
        ("config.train.batch_size",),
    ),
    "too many convolutions": (
        (
            "--config=configs/vae.py",
            "--config.network.kind=conv",
            "--config.network.conv_channels=(4,4,4,4,4)",
        ),
        ("8x8", "at most 3 layers"),
    ),
    "unknown network": (
        ("--config=configs/vae.py", "--config.network.kind=con"),
        ("did you mean 'conv'",),
    ),
    "too many devices": (
        ("--config=configs/vae.py", "--config.train.num_devices=7"),
        ("7 devices", "config.train.num_devices"),
    ),
    "no run to evaluate": (("--mode=evaluate", "--workdir=nowhere"), ("no run here",)),
    "no workdir": (("--mode=report",), ("no --workdir",)),
    "unknown metrics": (
        ("--mode=evaluate", "--workdir=nowhere", "--metrics=generatoin"),
        ("unknown metrics 'generatoin'", "did you mean 'generation'"),
    ),
    "bad target": (
        ("--config=configs/vae.py", "--config.weights.kl_z=target(-1)"),
        ("config.weights.kl_z", "target(nats)"),
    ),
    "too many labels": (
        ("--config=configs/n_vae.py", "--config.data.labels_per_class=1000"),
        ("config.data.labels_per_class", "at most"),
    ),
    "batch normalisation without its place": (
        ("--config=configs/catvae.py", "--config.network.normalization=batch"),
        ("config.network.normalization", "use 'none' or 'layer'"),
    ),
    "unknown mode": (("--mode=trian",), ("trian",)),
}


@pytest.mark.parametrize("case", CONFIG_CASES)
def test_configuration_and_usage(run_main_inprocess, tmp_path, case):
    arguments, parts = CONFIG_CASES[case]
    if "--mode" not in " ".join(arguments):
        arguments = (*arguments, f"--workdir={tmp_path / 'run'}")
    assert_refused(run_main_inprocess(*arguments), 2, *parts)
    assert not (tmp_path / "run").exists()


def test_config_file_that_fails(run_main_inprocess, tmp_path):
    for text, part in (
        ("def get_config(:\n", "bad.py:1"),
        ("x = 1\n", "no function get_config()"),
        ("def get_config():\n    return 1 / 0\n", "bad.py:2"),
    ):
        path = tmp_path / "bad.py"
        path.write_text(text)
        assert_refused(run_main_inprocess(f"--config={path}"), 2, part)


@pytest.mark.parametrize(
    ("change", "options", "code", "parts"),
    [
        (lambda x: x * 3, ("--config.data.likelihood=bernoulli",), 2, ("bernoulli",)),
        (lambda x: x, (), 3, ("NaN",)),
    ],
    ids=["outside [0, 1]", "NaN"],
)
def test_data(run_main_inprocess, tmp_path, change, options, code, parts):
    x = change(np.random.default_rng(0).random((300, 6, 6)).astype(np.float32))
    if code == 3:
        x[7, 2, 3] = np.nan
        parts = (*parts, "7, 2, 3")
    np.savez(tmp_path / "x.npz", x=x)
    done = run_main_inprocess(
        "--config=configs/vae.py",
        f"--config.data.source={tmp_path / 'x.npz'}",
        "--config.data.test_fraction=0.01",
        f"--workdir={tmp_path / 'run'}",
        *options,
    )
    assert_refused(done, code, *parts)


def test_missing_data_file(run_main, tmp_path):
    source = tmp_path / "gone.npz"
    done = run_main("--config=configs/vae.py", f"--config.data.source={source}")
    assert_refused(done, 3, "gone.npz")


def test_workdir_with_another_run_and_damaged_checkpoint(run_main, tmp_path):
    folder = tmp_path / "run"
    command = ("--config=configs/vae.py", f"--workdir={folder}", *SMALL)
    done = run_main(*command)
    assert done.returncode == 0, done.stderr
    before = (folder / "metrics.jsonl").read_bytes()

    other = run_main(*command, "--config.seed=1")
    assert_refused(other, 2, "another config", "seed: 0 -> 1")
    assert (folder / "metrics.jsonl").read_bytes() == before

    step = max((folder / "checkpoints").iterdir(), key=lambda p: int(p.name))
    manifest = json.loads((step / "manifest.json").read_text())
    largest = max(manifest["sha256"], key=lambda name: (step / name).stat().st_size)
    content = bytearray((step / largest).read_bytes())
    content[len(content) // 2] ^= 1
    (step / largest).write_bytes(content)
    for arguments in (command, ("--mode=evaluate", f"--workdir={folder}")):
        done = run_main(*arguments)
        assert_refused(done, 4, "damaged checkpoint", largest, "delete")

    (folder / "config.json").write_text("{")
    done = run_main("--mode=report", f"--workdir={folder}")
    assert_refused(done, 2, "config.json")


def test_workdir_that_is_a_file(run_main, tmp_path):
    (tmp_path / "file").write_text("")
    done = run_main("--config=configs/vae.py", f"--workdir={tmp_path / 'file'}")
    assert_refused(done, 2, "file")


def test_non_finite_loss_ends_with_its_code(run_main, tmp_path):
    done = run_main(
        "--config=configs/vae.py",
        "--config.optimizer.name=sgd",
        "--config.optimizer.learning_rate=1e6",
        f"--workdir={tmp_path / 'run'}",
    )
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "non-finite" in done.stderr
    assert "Traceback" not in done.stderr
