"""Output that cannot be written costs no result."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

from infovae_jax.training import output


def test_a_closed_pipe_is_dropped():
    read, write = os.pipe()
    stream = output.Lenient(open(write, "w"))  # noqa: SIM115
    os.close(read)
    for _ in range(3):
        assert stream.write("text\n") == 5
        stream.flush()
    stream.close()


def test_a_full_disk_is_dropped():
    stream = output.Lenient(open("/dev/full", "w"))  # noqa: SIM115
    print("x" * 100_000, file=stream, flush=True)
    stream.close()


def test_letters_that_the_encoding_lacks_are_escaped():
    raw = io.BytesIO()
    stream = output.Lenient(io.TextIOWrapper(raw, "ascii"))
    print("caf\u00e9", file=stream, flush=True)
    assert raw.getvalue() == b"caf\\xe9\n"


def test_what_a_terminal_obeys_is_escaped():
    raw = io.StringIO()
    stream = output.Lenient(raw, harmless=True)
    print("wrote \x1b[31mx\x9b\tcaf\u00e9", file=stream)
    assert raw.getvalue() == "wrote \\x1b[31mx\\x9b\tcaf\u00e9\n"


def test_a_line_is_ended_where_one_is_begun():
    raw = io.StringIO()
    stream = output.Lenient(raw)
    for text in ("", "one line\n", "begun", ""):
        stream.write(text)
        stream.end_line()
    assert raw.getvalue() == "one line\nbegun\n"


def test_a_signal_within_a_line_leaves_the_error_one_of_its_own():
    code = """
import os, signal, sys
from infovae_jax.errors import SIGNAL_ENDING
from infovae_jax.training import output
output.keep_harmless()
SIGNAL_ENDING.install()
sys.stdout.write("a line without its end")
os.kill(os.getpid(), signal.SIGTERM)
"""
    command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, text=True, **pipes)
    assert done.returncode == 143
    first, second = done.stdout.splitlines()
    assert first == "a line without its end"
    assert second.startswith("error: stopped by SIGTERM at the start")


@pytest.mark.parametrize("kind", ["head", "full", "closed"])
def test_the_result_is_there_and_the_end_is_quiet(there, kind):
    command = f"{sys.executable} -m infovae_jax.main --mode=encode"
    command += f" --workdir={there / 'run'}"
    shown = {"head": "| head -c 1", "full": "> /dev/full", "closed": ">&- 2>&-"}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {shown[kind]}"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert np.load(there / "run" / "codes.npz")["train_mean"].shape[0] == 48


def test_a_program_that_another_run_has_half_written_is_compiled_anew(there):
    """JAX writes its cache in place, and two runs may share it."""
    environment = dict(os.environ, XDG_CACHE_HOME=str(there / "cache"))
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-m", "infovae_jax.main", "--mode=encode"]
    for _ in range(2):
        done = subprocess.run(
            [*command, f"--workdir={there / 'run'}"],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert (done.returncode, done.stderr) == (0, "")
        entries = [p for p in (there / "cache").rglob("*-cache") if p.is_file()]
        assert entries
        for entry in entries:
            os.truncate(entry, entry.stat().st_size // 2)
