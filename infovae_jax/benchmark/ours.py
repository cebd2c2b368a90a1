"""Our own step, and what the compiler and the device say about it."""

import functools
import math
import resource
import statistics
import sys
import time
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax import networks, objectives
from infovae_jax.benchmark.cases import Case, even_labels, make_config, random_images
from infovae_jax.data import batches
from infovae_jax.distributions import Gaussian, cluster_gaussians
from infovae_jax.distributions.cluster_gaussians import ShiftedGaussians
from infovae_jax.training import blocks, optimizer, train_step
from infovae_jax.types import Batch

LIBRARIES = ("jax", "jaxlib", "flax", "optax")
# Of the product that gives the device's measured rate.
MATMUL_SIZE = {"cpu": 1024, "gpu": 8192, "tpu": 8192}


class NotEnoughMemory(RuntimeError):
    """The program would need more memory than there is."""


class JaxVariant:
    """Many steps to a program, data on the device, as `main` trains.

    Args:
      case: what is computed.
      images: uint8 `[n, H, W, C]`; random ones by default.
      seed: of the first weights and of every draw.
    """

    def __init__(self, case: Case, images: np.ndarray | None = None, seed: int = 0):
        self._case = case
        images = random_images(case) if images is None else images
        self._num_examples = len(images)
        config = make_config(case)
        self.objective = objectives.make(config, case.spec(len(images)))
        transform = optimizer.make_optimizer(
            config.optimizer,
            batches.steps_per_epoch(len(images), case.batch_size),
            config.train.num_epochs,
        )
        step = train_step.make_train_step(
            self.objective,
            transform,
            train_step.make_schedules(config.weights, 1, config.train.num_epochs),
            targets=train_step.make_targets(config.weights),
        )
        self._multi_step = train_step.make_multi_step(step)
        began = time.perf_counter()
        self.state = jax.jit(
            lambda: train_step.init_train_state(self.objective, transform, seed)
        )()
        self._compile_seconds = {0: time.perf_counter() - began}
        self.num_params = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        data = images
        if self.objective.uses_labels:
            data = Batch(images, even_labels(len(images)))
        self._data = jax.device_put(data)
        self._step, self._seed = 0, seed
        self._programs: dict[int, Any] = {}

    def prepare(self, turn_seconds: float) -> int:
        """Takes the first steps; returns how many steps make such a turn.

        The number is one program's, or a multiple of it.
        """
        self._dispatch(1)
        self.first_step_at = time.time()
        seconds = statistics.median(self._time(1) for _ in range(3))
        length = min(max(int(turn_seconds / seconds), 1), blocks.MAX_BLOCK)
        self._dispatch(length)
        programs = max(round(turn_seconds / self._time(length)), 1)
        return length * programs

    def steps(self, count: int) -> float:
        """Takes `count` steps and returns the last loss."""
        loss = math.nan
        while count:
            length = min(count, max(self._programs, default=blocks.MAX_BLOCK))
            loss = self._dispatch(length)
            count -= length
        return loss

    def compiled(self) -> float:
        """Seconds that tracing and compiling took so far."""
        return sum(self._compile_seconds.values())

    def longest_program(self) -> Any:
        """The compiled one that `steps` calls; after `prepare`."""
        return self._programs[max(self._programs)]

    def call(self) -> float:
        """Calls it once; returns seconds a step."""
        length = max(self._programs)
        return self._time(length) / length

    def facts(self) -> dict[str, Any]:
        """Figures that need no turns; after `prepare`."""
        length = max(self._programs)
        single = statistics.median(self._time(1) for _ in range(5))
        whole = statistics.median(self._time(length) for _ in range(3))
        busy = None
        if length > 1:
            # Two lengths of program: the slope is the device's time a step, what is
            # left of the short one the gap between programs.
            a_step = (whole - single) / (length - 1)
            busy = min(length * a_step / whole, 1.0)
        return {
            "steps_per_program": length,
            "compile_seconds": self._compile_seconds[length],
            "busy_share": busy,
            "flops_per_step": self.flops_per_step(),
            "xla_flops_per_step": self.xla_flops_per_step(),
            **memory(),
        }

    def flops_per_step(self) -> float:
        """Of the products and convolutions of one step, counted from its jaxpr."""
        traced = jax.make_jaxpr(self._multi_step)(
            self.state, self._data, self._indices(1)
        )
        return count_flops(traced.jaxpr)

    def xla_flops_per_step(self) -> float | None:
        """XLA's own count (elementwise ones too), or None where it has none."""
        costs = self._programs[1].cost_analysis()
        costs = costs[0] if isinstance(costs, list) else costs or {}
        return costs.get("flops")

    def matmul_rate(self) -> float:
        """FLOP/s of a square product in the case's precision, now."""
        return matmul_rate(self._case.precision)

    def posteriors(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `elbo.test_elbo`."""
        params = train_step.variables(self.state)
        q = jax.jit(self.objective.encode)(params, x)
        if self.objective.classify is None:
            parts = (np.asarray(part)[:, None] for part in q)
            return np.zeros((len(x), 1)), *parts
        logits = jax.jit(self.objective.classify)(params, x)
        # q is that of the most probable cluster; the head adds a row per cluster.
        chosen = logits.argmax(-1)
        shifts = Gaussian(*networks.cluster_shifts(params["posterior"]))
        shared = jax.tree.map(lambda own, rows: own - rows[chosen], q, shifts)
        every = cluster_gaussians.components(ShiftedGaussians(shared, shifts))
        return tuple(map(np.asarray, (jax.nn.log_softmax(logits), *every)))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Means of p(x | z), `[n, H, W, C]`."""
        decode = jax.jit(self.objective.decode)
        return np.asarray(decode(train_step.variables(self.state), z))

    def _indices(self, length: int) -> np.ndarray:
        return batches.batch_indices(
            self._seed, self._step, length, self._num_examples, self._case.batch_size
        )

    def _dispatch(self, length: int) -> float:
        indices = self._indices(length)
        if length not in self._programs:
            began = time.perf_counter()
            run = jax.jit(self._multi_step, donate_argnums=0)
            program = run.lower(self.state, self._data, indices).compile()
            self._compile_seconds[length] = time.perf_counter() - began
            check_memory(program)
            self._programs[length] = program
        self._step += length
        self.state, metrics = self._programs[length](self.state, self._data, indices)
        return float(metrics["loss_last"])

    def _time(self, length: int) -> float:
        began = time.perf_counter()
        self._dispatch(length)
        return time.perf_counter() - began


def count_flops(jaxpr) -> float:
    """Multiplications and additions of all products and convolutions of a jaxpr.

    A loop counts as often as it runs; zeros between the pixels of a transposed
    convolution do not count.
    """
    total = 0.0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            summed = math.prod(shape[axis] for axis in contracted)
            total += 2.0 * summed * math.prod(equation.outvars[0].aval.shape)
        elif name == "conv_general_dilated":
            numbers = equation.params["dimension_numbers"]
            kernel = equation.invars[1].aval.shape
            taps = math.prod(kernel) / kernel[numbers.rhs_spec[0]]
            zeros = math.prod(equation.params["lhs_dilation"])
            total += 2.0 * taps * math.prod(equation.outvars[0].aval.shape) / zeros
        repeats = equation.params["length"] if name == "scan" else 1
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                total += repeats * count_flops(inner)
    return total


def memory() -> dict[str, float]:
    """Peak bytes of this process, and of the device where it keeps count."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_rss_bytes": peak if sys.platform == "darwin" else peak * 1024}
    statistics_ = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics_:
        found["peak_device_bytes"] = statistics_["peak_bytes_in_use"]
    return found


def available_bytes() -> int | None:
    """Memory that programs of the device may still take; None where unknown."""
    statistics_ = jax.devices()[0].memory_stats()
    if statistics_:
        limit = statistics_.get("bytes_limit")
        return limit and limit - statistics_.get("bytes_in_use", 0)
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            sizes = dict(line.split(":") for line in lines)
        return int(sizes["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        return None


def check_memory(program) -> None:
    """Raises NotEnoughMemory rather than have the machine kill what runs on it."""
    analysis, available = program.memory_analysis(), available_bytes()
    needed = getattr(analysis, "temp_size_in_bytes", 0)
    if available is not None and needed > 0.9 * available:
        raise NotEnoughMemory(
            f"needs {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free"
        )


@functools.lru_cache(maxsize=1)
def _square_product(precision: str):
    size = MATMUL_SIZE.get(jax.default_backend(), 4096)
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(precision))
    product = jax.jit(lambda a, b: (a @ b) * size**-0.5)
    return product.lower(a, a).compile(), a, size


def matmul_rate(precision: str, seconds: float = 0.2) -> float:
    """FLOP/s of products of square matrices, over so many seconds."""
    product, a, size = _square_product(precision)
    jax.block_until_ready(product(a, a))
    count, done = 1, 0.0
    while True:
        began = time.perf_counter()
        b = a
        for _ in range(count):
            b = product(a, b)  # each needs the one before
        jax.block_until_ready(b)
        done = time.perf_counter() - began
        if done >= seconds / 2:
            return 2.0 * size**3 * count / done
        count *= 2


def versions() -> dict[str, str]:
    """Of JAX and what it runs on."""
    device = jax.devices()[0]
    found = {"device": f"{device.platform}: {device.device_kind}"}
    return found | {name: metadata.version(name) for name in LIBRARIES}
