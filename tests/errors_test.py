"""What a user can mend ends in one line with its exit code, anything else is a bug."""

import errno

import pytest

from infovae_jax.errors import ConfigError, as_user_error, ending_in_one_line
from infovae_jax.training import processes


@pytest.mark.parametrize(
    ("error", "code", "parts"),
    [
        (IsADirectoryError(errno.EISDIR, "x", "run/report.html"), 6, ("report.html",)),
        (NotADirectoryError(errno.ENOTDIR, "x", "run/figures"), 6, ("move away",)),
        (FileExistsError(errno.EEXIST, "x", "run/checkpoints"), 6, ("checkpoints",)),
        (OSError(errno.ENAMETOOLONG, "x", "y" * 300), 6, ("name another",)),
        (PermissionError(errno.EACCES, "x", "run/.lock"), 6, ("check its rights",)),
        (OSError(errno.EMFILE, "x", "run"), 6, ("Too many open files",)),
        (
            RuntimeError("Unable to initialize backend 'cuda': not in the list\nmore"),
            2,
            ("no such device", "JAX_PLATFORMS=cuda", "unset JAX_PLATFORMS"),
        ),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
            2,
            ("out of memory", "the device", "config.train.batch_size"),
        ),
        (MemoryError("Unable to allocate 9. GiB"), 2, ("9. GiB", "the machine")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_surroundings(monkeypatch, capsys, error, code, parts):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(SystemExit) as stopped, ending_in_one_line():
        raise error
    assert stopped.value.code == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert line.count("; ") >= 2
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    "error",
    [RuntimeError("a bug"), FileNotFoundError(errno.ENOENT, "x", "y"), KeyError("k")],
)
def test_bugs_stay_bugs(error):
    assert as_user_error(error) is None
    with pytest.raises(type(error)), ending_in_one_line():
        raise error


def test_a_line_is_one_whatever_it_names():
    line = ConfigError("a\nb", "\x1b[31mcaf\udce9", "c").line()
    assert line == "error: a b; \\x1b[31mcaf\\udce9; c"


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("Unknown backend")])
def test_devices_that_are_not_there(monkeypatch, error):
    """JAX without its plugin for CUDA asserts, and says nothing."""

    def fail():
        raise error

    monkeypatch.setattr(processes.jax, "devices", fail)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    processes.require_devices()  # Nobody asked: JAX takes what there is.
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(ConfigError, match="JAX_PLATFORMS=cuda; unset JAX_PLATFORMS"):
        processes.require_devices()
