"""Variants in processes of their own, and the turns they take."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from typing import Any, NamedTuple

from infovae_jax.benchmark import cases, elbo
from infovae_jax.benchmark.cases import Case

OURS = "jax"
# Not a variant: says on what ours would run, and ends.
PROBE = "probe"
PEERS = ("torch_loader", "torch_resident", "torch_compile", "pythae")
# What a process has to tidy up after its last request.
EXIT_SECONDS = 10.0


class Options(NamedTuple):
    """How a run is timed.

    Attributes:
      rounds: turns of each variant that count.
      turn_seconds: what one turn of ours takes; all take as many steps.
      threads: of each worker.
      answer_seconds: longest wait for one answer; compiling is one.
      case_seconds: after so long a case takes no further round.
    """

    rounds: int = 7
    turn_seconds: float = 1.5
    threads: int = 1
    answer_seconds: float = 300.0
    case_seconds: float = 180.0


class Failed(RuntimeError):
    """A variant that cannot go on; the text says why."""


def make_variant(
    name: str, case: Case, settings: dict, images, threads: int, seed: int = 0
):
    """The variant called `name`: `steps(count) -> loss`, `facts()`, `num_params`."""
    if name == OURS:
        from infovae_jax.benchmark.ours import JaxVariant

        return JaxVariant(case, images, seed)
    from infovae_jax.benchmark import torch_loops

    if name == "pythae":
        from infovae_jax.benchmark import pythae_loop

        written, make = pythae_loop.OBJECTIVES, pythae_loop.PythaeVariant
    else:
        written = torch_loops.OBJECTIVES

        def make(*arguments):
            return torch_loops.TorchVariant(name, *arguments)

    if case.objective not in written:
        raise Failed(f"no {case.objective} there")
    return make(case, settings, images, threads, seed)


def serve(request: str) -> None:
    """A worker: a JSON object per line says which method to call, and is answered.

    Args:
      request: JSON of `name`, `case`, `settings`, `threads`, `seed` and `data`, which
        may be empty.
    """
    # Whatever a library prints must not come between the answers.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: dict) -> None:
        channel.write(json.dumps(value) + "\n")
        channel.flush()

    try:
        asked = json.loads(request)
        limit_threads(asked["threads"])
        if asked["name"] == PROBE:
            answer({"num_params": 0, "versions": versions(OURS)})
            return
        case = Case(*asked["case"])
        data = asked["data"]
        images = elbo.read(data)[0] if data else cases.random_images(case)
        own = asked["settings"], images, asked["threads"], asked["seed"]
        variant = make_variant(asked["name"], case, *own)
        answer({"num_params": variant.num_params, "versions": versions(asked["name"])})
        for line in sys.stdin:
            call = json.loads(line)
            method = call.pop("call")
            began = time.perf_counter()
            if method == "scores":
                value = elbo.scores(variant, case, data)
            else:
                value = getattr(variant, method)(**call)
            seconds = time.perf_counter() - began
            at = getattr(variant, "first_step_at", None)
            answer({"seconds": seconds, "value": value, "first_step_at": at})
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        failed = (
            text if isinstance(error, Failed) else f"{type(error).__name__}: {text}"
        )
        answer({"failed": failed})


def limit_threads(threads: int) -> None:
    """Keeps this process to so many cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])


def versions(name: str) -> dict[str, str]:
    """Of the libraries of the variant called `name`."""
    if name == OURS:
        from infovae_jax.benchmark import ours

        return ours.versions()
    from infovae_jax.benchmark import torch_loops

    found = torch_loops.versions()
    if name == "pythae":
        from infovae_jax.benchmark import pythae_loop

        found |= pythae_loop.versions()
    return found


def end(process: subprocess.Popen) -> None:
    """Ends a worker: the end of its requests, or a kill where it is busy."""
    with contextlib.suppress(BrokenPipeError):  # a request that nobody read
        process.stdin.close()
    try:
        process.wait(EXIT_SECONDS)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
    process.stdout.close()


class Worker:
    """A variant in a process of its own; see `make_variant`.

    It has a method `scores` more, of the data that it was given; see `elbo.scores`.

    Raises:
      Failed: it could not be built, died, or took too long; also from `call`.
    """

    def __init__(
        self, name: str, case: Case, options: Options, data: str = "", seed: int = 0
    ):
        threads = str(options.threads)
        env = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "NPROC": threads,
            # Several processes share an accelerator.
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }
        request = {
            "name": name,
            "case": list(case),
            "settings": cases.peer_settings(case) if name in PEERS else {},
            "threads": options.threads,
            "data": data,
            "seed": seed,
        }
        self._limit = options.answer_seconds
        self.began = time.time()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "infovae_jax.benchmark",
                f"--serve={json.dumps(request)}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if name in PEERS else None,
            text=True,
            env=env,
            process_group=0,  # Ctrl-C is ours alone: it ends with its requests
        )
        hello = self._read()
        self.num_params, self.versions = hello["num_params"], hello["versions"]

    def call(self, method: str, **arguments) -> dict[str, Any]:
        """`{'seconds', 'value', 'first_step_at'}` of a method of the variant."""
        with contextlib.suppress(BrokenPipeError):  # the reason is read below
            self._process.stdin.write(json.dumps({"call": method, **arguments}) + "\n")
            self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        ready, _, _ = select.select([self._process.stdout], [], [], self._limit)
        if not ready:
            self._process.kill()
            self.close()
            raise Failed(f"no answer within {self._limit:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise Failed(f"the process died (exit status {code})")
        value = json.loads(line)
        if "failed" in value:
            self.close()
            raise Failed(value["failed"])
        return value

    def close(self) -> None:
        """Ends the process."""
        end(self._process)
