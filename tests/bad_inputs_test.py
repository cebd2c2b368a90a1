"""Bad input: one line on stderr, the documented exit code, no traceback."""

import json
import pathlib

import numpy as np
import pytest

from infovae_jax import config as config_lib

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
    "no preset behind the colon": (
        ("--config=configs/vae.py:", "--config.train.num_epochs=0"),
        ("config.train.num_epochs",),
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
    "a space after --config, and a mistyped key": (
        ("--config", "configs/vae.py", "--config.train.batchsize=3"),
        ("train.batchsize", "did you mean 'train.batch_size'"),
    ),
    "no folder": (("--config=configs/vae.py", "--workdir="), ("--workdir",)),
    "no user": (
        ("--config=configs/vae.py", "--mode=sample", "--workdir=~nobody/here"),
        ("no run here",),
    ),
    "a name of 300 letters": (
        ("--config=configs/vae.py", f"--workdir=/tmp/{'x' * 300}"),
        ("cannot be used as a folder",),
    ),
    "a folder of the system": (
        ("--config=configs/vae.py", "--workdir=/proc/here"),
        ("cannot be used as a folder", "/proc/here"),
    ),
    "learning rate that never rises": (
        ("--config=configs/vae.py", "--config.optimizer.learning_rate=linear(0,0,5)"),
        ("never above 0", "config.optimizer.learning_rate"),
    ),
    "beta of 2": (
        ("--config=configs/vae.py", "--config.optimizer.b1=2.0"),
        ("config.optimizer.b1", "below 1"),
    ),
    "negative decay": (
        ("--config=configs/vae.py", "--config.optimizer.weight_decay=-1"),
        ("config.optimizer.weight_decay", "from 0"),
    ),
    "an option of networks that are not there": (
        ("--config=configs/vae.py", "--config.network.conv_form=foo"),
        ("config.network.conv_form", "auto, dot, lax"),
    ),
    "layers of half a unit": (
        ("--config=configs/vae.py", "--config.network.encoder_hidden=(1.5,)"),
        ("config.network.encoder_hidden", "integer"),
    ),
    "layers in a layer": (
        ("--config=configs/vae.py", "--config.network.encoder_hidden=(1,(2,3))"),
        ("config.network.encoder_hidden", "integer"),
    ),
    "images of true": (
        ("--config=configs/vae.py", "--config.data.image_size=True"),
        ("config.data.image_size",),
    ),
    "images of half a pixel": (
        ("--config=configs/vae.py", "--config.data.image_size=8.5"),
        ("config.data.image_size", "integer"),
    ),
    "a log that never comes": (
        ("--config=configs/vae.py", "--config.train.log_every=1000000000"),
        ("config.train.log_every", "100000"),
    ),
    "a seed of 33 bits": (
        ("--config=configs/vae.py", "--config.seed=4294967296"),
        ("config.seed", "4294967295"),
    ),
    "a seed of 65 bits": (
        ("--config=configs/vae.py", "--config.evaluation.seed=18446744073709551616"),
        ("config.evaluation.seed", "4294967295"),
    ),
    "a billion members": (
        ("--config=configs/vae.py", "--config.num_seeds=1000000000"),
        ("config.num_seeds", "4096"),
    ),
    "two sweeps of 4,096": (
        (
            "--config=configs/vae.py",
            "--config.sweep.kl_z=lin(0, 1, 4096)",
            "--config.sweep.reconstruction=lin(0.5, 1, 4096)",
        ),
        ("16777216 members",),
    ),
    "a weight beyond single precision": (
        ("--config=configs/vae.py", "--config.weights.kl_z=1e38"),
        ("config.weights.kl_z", "precision"),
    ),
    "a weight below it": (
        ("--config=configs/vae.py", "--config.weights.kl_z=1e-320"),
        ("config.weights.kl_z", "precision"),
    ),
    "minus two hundred times": (
        ("--config=configs/vae.py", f"--config.weights.kl_z={'-' * 200}1"),
        ("config.weights.kl_z", "schedule"),
    ),
    "an endless schedule": (
        ("--config=configs/vae.py", "--config.weights.kl_z=linear(0,1,1e300)"),
        ("config.weights.kl_z", "epochs"),
    ),
    "temperature of 0": (
        ("--config=configs/catvae.py", "--config.weights.temperature=0"),
        ("config.weights.temperature", "above 0"),
    ),
    "a key of a saved run that is no evaluation's": (
        ("--mode=evaluate", "--workdir=nowhere", "--config.evaluation.nll_sample=7"),
        ("nll_sample", "did you mean 'nll_samples'"),
    ),
    "a senseless one": (
        ("--mode=evaluate", "--workdir=nowhere", "--config.evaluation.nll_samples=0"),
        ("config.evaluation.nll_samples", "from 1"),
    ),
    "a key without a config": (("--config.seed=3",), ("no --config", "config.seed")),
    "a key of a saved run": (
        ("--mode=encode", "--workdir=nowhere", "--config.train.num_epochs=7"),
        ("--config.train.num_epochs", "leave it out"),
    ),
    "a billion samples": (
        ("--mode=sample", "--workdir=nowhere", "--num_samples=1000000000"),
        ("num_samples", "1000000"),
    ),
    "a config of 300 letters": ((f"--config={'x' * 300}",), ("no config file",)),
    "a run of 300 letters": (
        ("--mode=encode", f"--workdir={'x' * 300}"),
        ("no run here",),
    ),
    "one that another mode would not use": (
        ("--mode=report", "--workdir=nowhere", "--config.evaluation.nll_samples=7"),
        ("only --mode=evaluate",),
    ),
}


@pytest.mark.parametrize("case", CONFIG_CASES)
def test_configuration_and_usage(run_main_inprocess, tmp_path, case):
    arguments, parts = CONFIG_CASES[case]
    if "--mode" not in " ".join(arguments) and "--workdir" not in " ".join(arguments):
        arguments = (*arguments, f"--workdir={tmp_path / 'run'}")
    assert_refused(run_main_inprocess(*arguments), 2, *parts)
    assert not (tmp_path / "run").exists()


def test_config_file_that_fails(run_main_inprocess, tmp_path):
    for text, part in (
        ("def get_config(:\n", "bad.py:1"),
        ("x = 1\n", "no function get_config()"),
        ("def get_config():\n    return 1 / 0\n", "bad.py:2"),
        ("def get_config():\n    return {'seed': 0}\n", "the config is a dict"),
        ("def get_config():\n    pass\n", "the config is a NoneType"),
        (
            "from ml_collections import FrozenConfigDict\n"
            "def get_config():\n    return FrozenConfigDict()\n",
            "the config is a FrozenConfigDict",
        ),
        ("def get_config():\0 pass\n", "bad.py"),
        ("import sys\ndef get_config():\n    sys.exit(0)\n", "SystemExit"),
    ):
        path = tmp_path / "bad.py"
        path.write_text(text)
        assert_refused(run_main_inprocess(f"--config={path}"), 2, part)


def test_a_config_file_is_found_from_another_folder(run_main_inprocess, tmp_path):
    """And where it is not, the line says where was looked."""
    done = run_main_inprocess(
        "--config=configs/vae.py", "--config.train.num_epochs=0", cwd=tmp_path
    )
    assert_refused(done, 2, "config.train.num_epochs")
    done = run_main_inprocess("--config=configs/va.py", cwd=tmp_path)
    assert_refused(done, 2, str(tmp_path), "did you mean 'vae'")


def test_none_is_taken_where_it_is_the_default(run_main_inprocess, tmp_path):
    done = run_main_inprocess(
        "--config=configs/vae.py",
        "--config.data.num_train=None",
        "--config.optimizer.clip_norm=None",
        "--config.train.batch_size=0",
        f"--workdir={tmp_path / 'run'}",
    )
    assert_refused(done, 2, "config.train.batch_size")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("np.int64(8)", "int64"),
        ("'64'", "no integer"),
    ],
)
def test_values_of_other_types_in_a_config(run_main_inprocess, tmp_path, text, part):
    path = tmp_path / "odd.py"
    root = pathlib.Path(__file__).parents[1] / "configs"
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\n"
        "import numpy as np\nimport vae\n"
        "def get_config(preset='digits'):\n"
        "    config = vae.get_config(preset)\n"
        f"    config = type(config)(config.to_dict(), type_safe=False)\n"
        f"    config.train.batch_size = {text}\n"
        "    return config\n"
    )
    done = run_main_inprocess(f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert_refused(done, 2, "config.train.batch_size", part)


@pytest.mark.parametrize(
    ("line", "part"),
    [("d[5] = 3", "'<' not supported"), ("d['more'] = d", "Circular")],
    ids=["a number as key", "a circle"],
)
def test_a_config_that_cannot_be_stored(run_main_inprocess, tmp_path, line, part):
    path = tmp_path / "odd.py"
    root = pathlib.Path(__file__).parents[1] / "configs"
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(root)!r})\nimport vae\n"
        "def get_config():\n"
        "    config = vae.get_config()\n"
        "    d = config.to_dict()\n"
        f"    {line}\n"
        "    return type(config)(d, type_safe=False)\n"
    )
    done = run_main_inprocess(f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert_refused(done, 2, "config", part)


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "5", "{", "[" * 100_000, '{"seed": 0}', '{"data": [1]}'],
    ids=["list", "null", "number", "cut", "deep", "no groups", "a list as group"],
)
def test_a_config_json_that_is_none(run_main_inprocess, tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    for arguments in (
        ("--mode=evaluate",),
        ("--config=configs/vae.py",),
    ):
        done = run_main_inprocess(*arguments, f"--workdir={tmp_path}")
        assert_refused(done, 2)


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


@pytest.mark.parametrize("mode", ["predict", "encode", "evaluate"])
def test_the_input_is_not_overwritten(run_main_inprocess, tmp_path, mode):
    """By its own name or by a link to it; before the run is opened."""
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "link.csv").symlink_to("rows.csv")
    for output in ("rows.csv", "link.csv"):
        done = run_main_inprocess(
            *(f"--mode={mode}", "--workdir=run", "--input=rows.csv"),
            f"--output={output}",
            cwd=tmp_path,
        )
        assert_refused(done, 2, "the input would be overwritten", output, "another")
    assert (tmp_path / "rows.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--mode=predict", "--input=rows.csv", "--output=run/clusters.npz"),
        ("--mode=encode", "--output=link/clusters.npz"),
        ("--mode=reconstruct", "--input=rows.csv", "--output=run/clusters.npz"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_file_of_the_run_is_overwritten(run_main_inprocess, tmp_path, arguments):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "run" / "clusters.npz").write_text("as it was")
    done = run_main_inprocess(*arguments, "--workdir=run", cwd=tmp_path)
    assert_refused(done, 2, "the run's own folder", "clusters.npz", "name another")
    assert (tmp_path / "run" / "clusters.npz").read_text() == "as it was"


@pytest.mark.parametrize("mode", ["predict", "encode"])
def test_the_training_data_are_not_overwritten(run_main_inprocess, tmp_path, mode):
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    (tmp_path / "new.csv").write_text("a,b\n1,2\n")
    config = config_lib.load_config_file("vae")
    config.data.source = str(tmp_path / "data.csv")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(config_lib.to_json(config))
    new = ("--input=new.csv",) if mode == "predict" else ()
    done = run_main_inprocess(
        f"--mode={mode}", "--workdir=run", "--output=data.csv", *new, cwd=tmp_path
    )
    assert_refused(done, 2, "the training data of the run would be overwritten")
    assert (tmp_path / "data.csv").read_text() == "a,b\n1,2\n"
