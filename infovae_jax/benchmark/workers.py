"""Variants in processes of their own, and the turns they take."""

import contextlib
import json
import os
import select
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

from infovae_jax.benchmark import cases
from infovae_jax.benchmark.cases import Case

OURS = "jax"
# Not a variant: says on what ours would run, and ends.
PROBE = "probe"
PEERS = ("torch_loader", "torch_resident", "torch_compile", "pythae")
# Rounds that are taken however long they take.
MIN_ROUNDS = 3
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


def make_variant(name: str, case: Case, settings: dict, images, threads: int):
    """The variant called `name`: `steps(count) -> loss`, `facts()`, `num_params`."""
    if name == OURS:
        from infovae_jax.benchmark.ours import JaxVariant

        return JaxVariant(case, images)
    from infovae_jax.benchmark import torch_loops, torch_models

    if name == "pythae":
        from infovae_jax.benchmark import pythae_loop

        written, make = pythae_loop.OBJECTIVES, pythae_loop.PythaeVariant
    else:
        written = torch_models.OBJECTIVES

        def make(*arguments):
            return torch_loops.TorchVariant(name, *arguments)

    if case.objective not in written:
        raise Failed(f"no {case.objective} there")
    return make(case, settings, images, threads)


def serve(request: str) -> None:
    """A worker: a JSON object a line says which method to call, and is answered.

    Args:
      request: JSON of `name`, `case`, `settings`, `threads` and perhaps `data`.
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
        data = asked.get("data")
        if data:
            from infovae_jax.benchmark import quality

            images, test = quality.read(data)
        else:
            images, test = cases.random_images(case), None
        variant = make_variant(
            asked["name"], case, asked["settings"], images, asked["threads"]
        )
        answer({"num_params": variant.num_params, "versions": versions(asked["name"])})
        for line in sys.stdin:
            call = json.loads(line)
            method = call.pop("call")
            began = time.perf_counter()
            if method == "test_elbo":
                prior = quality.prior_means(cases.peer_settings(case))
                value = quality.test_elbo(
                    variant.posteriors, variant.decode, prior, test
                )
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


class Worker:
    """A variant in a process of its own; see `make_variant`.

    Raises:
      Failed: it could not be built, died, or took too long; also from `call`.
    """

    def __init__(self, name: str, case: Case, options: Options, data: str = ""):
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
        """Ends the process: the end of its requests, or a kill where it is busy."""
        with contextlib.suppress(BrokenPipeError):  # a request that nobody read
            self._process.stdin.close()
        try:
            self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Race:
    """The variants of one case; one that fails leaves it, and its row says why.

    Attributes:
      rows: name -> figures, or `{'failed': why}`.
      steps: of a turn.
      versions: of the libraries.
    """

    def __init__(self, case: Case, options: Options):
        self.rows: dict[str, dict] = {}
        self.steps, self.versions = 1, {}
        self._case, self._options = case, options
        self._workers: dict[str, Worker] = {}
        self._seconds: dict[str, list[float]] = {}
        self._rates: list[float] = []

    def names(self) -> list[str]:
        """Of the variants that are still there."""
        return list(self._workers)

    def attempt(self, method, name: str) -> None:
        """Calls `method(name)`."""
        try:
            method(name)
        except Failed as error:
            self.rows[name] = {"failed": str(error)}
            if name in self._workers:
                self._workers.pop(name).close()

    def start(self, name: str) -> None:
        """Takes the first step and a turn that does not count; ours gives `steps`."""
        worker = self._workers[name] = Worker(name, self._case, self._options)
        seconds = self._options.turn_seconds
        first = worker.call(
            "prepare", **({"turn_seconds": seconds} if name == OURS else {})
        )
        self.steps = first["value"] if name == OURS else self.steps
        self.rows[name] = {
            "num_params": worker.num_params,
            "first_step_seconds": first["first_step_at"] - worker.began,
            "warm_up_seconds": worker.call("steps", count=self.steps)["seconds"],
        }
        self._seconds[name] = []
        self.versions |= worker.versions

    def turn(self, name: str) -> None:
        """One turn that counts; before ours the device's rate is measured."""
        worker = self._workers[name]
        rate = worker.call("matmul_rate")["value"] if name == OURS else None
        turn = worker.call("steps", count=self.steps)
        if rate:
            self._rates.append(rate)
        self._seconds[name].append(turn["seconds"])
        self.rows[name]["loss"] = turn["value"]

    def finish(self, name: str) -> None:
        """Turns the seconds into figures."""
        if OURS not in self._workers:
            raise Failed("nothing of ours to compare with")
        row, own, ours = self.rows[name], self._seconds[name], self._seconds[OURS]
        row |= self._workers[name].call("facts")["value"]
        rates = [self.steps * self._case.batch_size / value for value in own]
        ratios = [a / b for a, b in zip(own, ours, strict=True)]
        row["examples_per_second"] = rates
        row["median"] = statistics.median(rates)
        row["range"] = [min(rates), max(rates)]
        row["jax_is_faster_by"] = statistics.median(ratios)
        row["ratio_range"] = [min(ratios), max(ratios)]
        if name != OURS:
            return
        achieved = [row["flops_per_step"] * self.steps / value for value in own]
        shares = [a / b for a, b in zip(achieved, self._rates, strict=True)]
        row["flops_per_second"] = statistics.median(achieved)
        row["matmul_flops_per_second"] = statistics.median(self._rates)
        row["share_of_matmul"] = statistics.median(shares)

    def close(self) -> None:
        """Ends all processes."""
        for worker in self._workers.values():
            worker.close()


def run_case(case: Case, names: list[str], options: Options) -> dict:
    """Interleaved rounds of one case, ours first.

    Returns:
      `case`, `batch_size`, `precision`, `steps_per_turn`, `versions` and `variants`:
      name -> its figures, or `{'failed': why}`.
    """
    race = Race(case, options)
    try:
        for name in names:
            if name == OURS or OURS in race.names():
                race.attempt(race.start, name)
        began = time.monotonic()
        for number in range(options.rounds):
            late = time.monotonic() - began > options.case_seconds
            if OURS not in race.names() or (late and number >= MIN_ROUNDS):
                break
            for name in race.names():
                race.attempt(race.turn, name)
        for name in race.names():
            race.attempt(race.finish, name)
    finally:
        race.close()
    return {
        "case": case.name,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "steps_per_turn": race.steps,
        "versions": race.versions,
        "variants": race.rows,
    }
