"""The command line in processes that are cheap to start, and to kill.

A server imports what a run needs and initialises no device; each process is a fork of
it that goes through the whole of `main`.
"""

import multiprocessing
import os
import pathlib
import sys

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        *("infovae_jax.main", "infovae_jax.evaluation.workdir", "infovae_jax.report"),
        *("infovae_jax.objectives", "orbax.checkpoint", "forked"),
    ]
)


def start(arguments: tuple[str, ...], log: pathlib.Path) -> multiprocessing.Process:
    """`python -m infovae_jax.main *arguments`; what it writes is added to `log`."""
    process = _CONTEXT.Process(target=_main, args=(arguments, str(log)))
    process.start()
    return process


def _main(arguments: tuple[str, ...], log: str) -> None:
    from infovae_jax import main
    from infovae_jax.errors import SIGNAL_ENDING

    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.chdir(pathlib.Path(__file__).resolve().parents[1])
    sys.argv = ["infovae_jax.main", *arguments]
    SIGNAL_ENDING.install()
    main.main()
