"""Python's processes, cheap to start and to kill: forks of one that has imported much.

A server imports what a run needs and initialises no device. `run` and `Popen` take the
commands that those of subprocess would, `python -m module` or `python -c code`.
"""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[1]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *("infovae_jax.main", "infovae_jax.evaluation.workdir", "infovae_jax.report"),
        *("infovae_jax.objectives", "orbax.checkpoint", "forked"),
        *("infovae_jax.estimators.systems", "sklearn.cluster", "matplotlib.pyplot"),
    ]
)


def xla_flags(more: str) -> str:
    """XLA_FLAGS of this process, and more of them, for one that it starts."""
    return f"{os.environ.get('XLA_FLAGS', '')} {more}"


def start(arguments: tuple[str, ...], log: pathlib.Path) -> multiprocessing.Process:
    """`python -m infovae_jax.main *arguments`; what it writes is added to `log`."""
    command = [sys.executable, "-m", "infovae_jax.main", *arguments]
    return _start(command, ROOT, None, (log, log))


class Popen:
    """What subprocess's has, of a command that writes to files."""

    def __init__(self, command, stdout, stderr, cwd=ROOT, env=None):
        self._process = _start(command, cwd, env, (stdout, stderr))
        self.pid = self._process.pid

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout)
        return self.poll()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self._process.kill()


def run(command, cwd=ROOT, env=None, timeout=600) -> subprocess.CompletedProcess:
    """As `subprocess.run` with `capture_output` and `text`."""
    command = list(map(str, command))
    with tempfile.TemporaryDirectory() as folder:
        out, error = (pathlib.Path(folder, name) for name in ("out", "error"))
        process = Popen(command, out, error, cwd, env)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        texts = [p.read_text() if p.exists() else "" for p in (out, error)]
        return subprocess.CompletedProcess(command, code, *texts)


def _start(command, cwd, env, streams):
    env = dict(os.environ if env is None else env)
    for name in {**env, **os.environ}:  # what an import has read does not change
        fixed = name.startswith(("JAX_", "PYTHON")) and name != "PYTHONPATH"
        assert not fixed or env.get(name) == os.environ.get(name), name
    command = list(map(str, command))
    assert command[0] == sys.executable
    assert command[1] in ("-m", "-c")
    process = _CONTEXT.Process(
        target=_main, args=(command[1:], str(cwd), env, list(map(str, streams)))
    )
    process.start()
    return process


def _main(command, cwd, env, streams):
    for number, name in zip((1, 2), streams, strict=True):
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    paths = env.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [cwd, *filter(None, paths)]
    kind, what, *arguments = command
    if (kind, what) == ("-m", "infovae_jax.main"):
        from infovae_jax import main
        from infovae_jax.errors import SIGNAL_ENDING
        from infovae_jax.training import output

        sys.argv = [what, *arguments]
        SIGNAL_ENDING.install()
        output.keep_harmless()
        main.main()
    elif kind == "-m":
        sys.argv = [what, *arguments]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
            runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *arguments]
        # In `__main__` itself, where classes and functions of a program belong.
        scope = sys.modules["__main__"].__dict__
        exec(compile(what, "<string>", "exec"), scope)
