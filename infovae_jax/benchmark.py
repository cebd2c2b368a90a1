"""Throughput of training, alone or beside PyTorch in one interleaved run.

    python -m infovae_jax.benchmark [--cases=catvae_mlp,vae_conv] [--out=FILE.json]
    python -m infovae_jax.benchmark --peers      # needs torch (the `dev` extra)

Every variant lives in a process of its own that stays alive; they take turns on
command (A, B, C, A, B, C, ...), so that a change of the machine's speed meets all of
them alike, and only ratios within one run are compared. The networks, the batch
(128), the optimiser (Adam, 1e-3) and the precision (float32) are equal; the images
are random ones, as sparse as MNIST's.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

from infovae_jax.errors import ConfigError, UserError, nearest

BATCH_SIZE = 128
NUM_EXAMPLES = 20_000
SHAPE = (28, 28, 1)
# Steps of one turn: a few seconds each on two cores.
CASES = {"catvae_mlp": 60, "vae_mlp": 300, "vae_conv": 40}
PEERS = ("torch_loader", "torch_resident")


def random_images() -> np.ndarray:
    """uint8 `[n, 28, 28, 1]`, a fifth of the pixels lit."""
    rng = np.random.default_rng(0)
    lit = rng.random((NUM_EXAMPLES, *SHAPE)) < 0.2
    return (lit * rng.integers(1, 256, lit.shape)).astype(np.uint8)


def case_config(case: str):
    """The shipped config of a case, at the sizes that are compared."""
    from infovae_jax import config as config_lib

    objective, _, kind = case.partition("_")
    folder = pathlib.Path(__file__).resolve().parent.parent / "configs"
    config = config_lib.load_config_file(f"{folder / objective}.py")
    config.network.kind = kind
    config.network.encoder_hidden = config.network.decoder_hidden = (500, 500)
    config.train.batch_size = BATCH_SIZE
    return config


class JaxVariant:
    """Our own step, many to a program, data on the device."""

    def __init__(self, case: str):
        import jax

        from infovae_jax import objectives, optimizer, train_step
        from infovae_jax.types import DataSpec

        spec = DataSpec(SHAPE, "uint8", "bernoulli", NUM_EXAMPLES, 0, False)
        config = case_config(case)
        objective = objectives.make(config, spec)
        transform = optimizer.make_optimizer(config.optimizer, 1)
        step = train_step.make_train_step(objective, transform, {})
        self._run = jax.jit(train_step.make_multi_step(step), donate_argnums=0)
        self._state = train_step.init_train_state(objective, transform, 0)
        self.num_params = sum(leaf.size for leaf in jax.tree.leaves(self._state.params))
        self._data = jax.device_put(random_images())
        self._step = 0

    def steps(self, count: int) -> float:
        """Takes `count` steps and returns the last loss."""
        from infovae_jax.data import pipeline

        indices = pipeline.batch_indices(0, self._step, count, NUM_EXAMPLES, BATCH_SIZE)
        self._step += count
        self._state, metrics = self._run(self._state, self._data, indices)
        return float(metrics["loss_last"])


def make_variant(name: str, case: str):
    """The variant called `name`; both kinds have `steps(count)` and `num_params`."""
    if name == "jax":
        return JaxVariant(case)
    from infovae_jax import benchmark_torch

    return benchmark_torch.TorchVariant(case, resident=name == "torch_resident")


def serve(name: str, case: str) -> None:
    """A worker: reads a number of steps a line, answers with the seconds taken."""
    variant = make_variant(name, case)
    print(json.dumps({"num_params": variant.num_params}), flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        loss = variant.steps(int(line))
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "loss": loss}), flush=True)


class Worker:
    """A variant in a process of its own."""

    def __init__(self, name: str, case: str, threads: int):
        env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-m", "infovae_jax.benchmark", f"--serve={name}"]
        self._process = subprocess.Popen(
            [*command, f"--cases={case}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        self.num_params = self._read()["num_params"]

    def turn(self, steps: int) -> dict[str, float]:
        """Seconds and last loss of so many steps."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise ConfigError(
                "a variant ended early", "benchmark", "see its message above"
            )
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def run_case(case: str, names: list[str], rounds: int, threads: int) -> dict:
    """Interleaved rounds of one case; the first one warms up and is not counted."""
    steps = CASES[case]
    workers = {name: Worker(name, case, threads) for name in names}
    seconds = {name: [] for name in names}
    first = {}
    try:
        for number in range(rounds + 1):
            for name, worker in workers.items():
                taken = worker.turn(steps)["seconds"]
                if number:
                    seconds[name].append(taken)
                else:
                    first[name] = taken
    finally:
        for worker in workers.values():
            worker.close()
    result = {}
    for name in names:
        rates = [steps * BATCH_SIZE / value for value in seconds[name]]
        result[name] = {
            "num_params": workers[name].num_params,
            "examples_per_second": rates,
            "median": statistics.median(rates),
            "first_turn_seconds": first[name],
        }
        ratios = [a / b for a, b in zip(seconds[name], seconds["jax"], strict=True)]
        result[name]["jax_is_faster_by"] = statistics.median(ratios)
        result[name]["ratio_range"] = [min(ratios), max(ratios)]
    return result


def table(case: str, result: dict) -> str:
    """The result of one case as text."""
    lines = [f"{case}: {'examples/s':>24} {'min..max':>19} {'jax is x faster':>24}"]
    for name, row in result.items():
        rates = row["examples_per_second"]
        spread = f"{min(rates):.0f}..{max(rates):.0f}"
        low, high = row["ratio_range"]
        ratio = f"{row['jax_is_faster_by']:.2f} ({low:.2f}..{high:.2f})"
        lines.append(f"  {name:<16} {row['median']:>16.0f} {spread:>19} {ratio:>24}")
    return "\n".join(lines)


def main() -> None:
    """Runs the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--peers", action="store_true", help="PyTorch beside it")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", help="JSON file for the figures")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = options.cases.split(",")
    try:
        for case in cases:
            if case not in CASES:
                raise ConfigError(
                    f"unknown case '{case}'{nearest(case, CASES)}",
                    "--cases",
                    f"use some of {', '.join(CASES)}",
                )
        if options.serve:
            serve(options.serve, cases[0])
            return
        names = ["jax", *(PEERS if options.peers else ())]
        print(f"{options.threads} threads, {options.rounds} rounds, batch {BATCH_SIZE}")
        results = {}
        for case in cases:
            results[case] = run_case(case, names, options.rounds, options.threads)
            print(table(case, results[case]), flush=True)
        if options.out:
            pathlib.Path(options.out).write_text(json.dumps(results, indent=2) + "\n")
    except UserError as error:
        print(error.line(), file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
