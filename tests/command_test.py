"""The command `infovae`: help, names of configs, errors, the doctor."""

import pathlib
import subprocess
import sys

import pytest

import infovae_jax
from infovae_jax import __main__ as command
from infovae_jax import commands, doctor
from infovae_jax import config as config_lib
from infovae_jax.errors import ConfigError

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["infovae", *arguments])
    code = 0
    try:
        command.main()
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr()


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    """Those of the test's own process are left alone."""
    monkeypatch.setattr(command.SIGNAL_ENDING, "install", lambda: None)


def test_help_is_one_screen_and_names_every_command():
    lines = command.HELP.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 88
    for name in (*commands.NAMES, *command.MODULES, "doctor"):
        assert any(line.split()[:1] == [name] for line in lines), name


def test_version_and_help(monkeypatch, capsys):
    code, said = run(monkeypatch, capsys, "--version")
    assert (code, said.out) == (0, f"infovae_jax {infovae_jax.__version__}\n")
    assert run(monkeypatch, capsys, "--help")[1].out == command.HELP
    assert run(monkeypatch, capsys)[0] == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["trian"], "did you mean 'train'"),
        (["--config=vae"], "where a command belongs"),
        (["train", "--mode=encode"], "leave --mode out"),
    ],
)
def test_slips_end_in_one_line(monkeypatch, capsys, arguments, text):
    code, said = run(monkeypatch, capsys, *arguments)
    (line,) = said.err.splitlines()
    assert code == 2
    assert text in line


def test_configs_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = config_lib.packaged_configs()
    for name in ("infocatvae", "infocatvae.py", "configs/infocatvae.py"):
        assert config_lib.find_config_file(name) == own / "infocatvae.py"
    assert config_lib.load_config_file("infocatvae:mnist").preset == "mnist"
    (tmp_path / "vae").mkdir()  # a folder of that name is no config
    assert config_lib.find_config_file("vae") == own / "vae.py"
    (tmp_path / "vae.py").write_text("mine")
    assert config_lib.find_config_file("vae.py") == pathlib.Path("vae.py")


@pytest.mark.parametrize(
    "name", ["infocatvea", "elsewhere/vae.py", "/x/configs/vae.py"]
)
def test_configs_that_are_not_there(name):
    with pytest.raises(ConfigError, match="no config file"):
        config_lib.find_config_file(name)


def test_the_wheel_holds_the_configs():
    text = (ROOT / "setup.py").read_text()
    assert 'package_dir={"infovae_jax.configs": "configs"}' in text
    inside = ROOT / "infovae_jax" / "configs"
    assert not inside.exists()


def test_doctor_finds_what_is_amiss(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    findings = {finding.topic: finding for finding in doctor.examine()}
    topics = {"package", "devices", "configs", "data", "cache", "disk"}
    assert topics <= findings.keys()
    assert findings["devices"].text.startswith("1 x cpu")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setattr(doctor, "LOW_BYTES", 1 << 70)
    assert doctor.main() == 2
    amiss = [line for line in capsys.readouterr().out.splitlines() if line[0] == "!"]
    assert any("set XDG_CACHE_HOME" in line for line in amiss)
    assert any("free space" in line for line in amiss)


@pytest.mark.process
def test_the_package_is_light_as_a_module(tmp_path):
    """Help comes before JAX and NumPy; a run's export is a model elsewhere."""
    code = (
        "import sys, time; start = time.perf_counter(); import infovae_jax.__main__\n"
        "assert time.perf_counter() - start < 0.5\n"
        "assert not {'jax', 'numpy', 'absl'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PACKAGE = ROOT / "infovae_jax"
# Runs main inside, or needs nothing but NumPy.
OTHERS = {"benchmark/budget.py", "export/numpy_runtime.py"}


def test_a_closed_pipe_ends_the_output_of_every_command_and_not_the_command():
    commands = {
        path
        for path in PACKAGE.rglob("*.py")
        if '\nif __name__ == "__main__":' in path.read_text()
        and path.relative_to(PACKAGE).as_posix() not in OTHERS
    }
    assert len(commands) > 15
    lacking = [p for p in commands if "output.keep_harmless()" not in p.read_text()]
    assert not lacking
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m infovae_jax.report.reference | true"],
        capture_output=True,
        text=True,
    )
    assert not done.stderr
