"""What the seconds of one command are spent on, from inside its own process.

    python -m infovae_jax.benchmark.budget FILE.json [--peaks] --config=configs/vae.py

does what `infovae_jax.main` does with these flags, and writes FILE.json: the seconds of
each phase (`benchmark.start` says what they are) and the programs that were compiled;
with --peaks the greatest resident memory of each phase too, where Linux tells it.
The trainer knows nothing of it: functions of it are wrapped here, by name, and JAX
tells of its own compilations. Only Python itself is imported before the clock runs.
"""

import builtins
import contextlib
import functools
import importlib
import json
import pathlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

IMPORT, TRACE, COMPILE, REST = "import", "trace", "compile", "rest"
# Of memory: whatever is before the first phase of those that are wrapped.
START = "start"
# Phase -> functions whose time it is, as 'module:name'. Who calls them looks them up
# there when it does.
WRAPPED = {
    "data": ("infovae_jax.data:load", "infovae_jax.data.digest:of_dataset"),
    "train": ("infovae_jax.training.loop:train",),
    "measure": ("infovae_jax.training.blocks:_measure",),
    "save": ("infovae_jax.training.checkpoint:Checkpoints.save",),
    "evaluate": ("infovae_jax.commands:evaluate_and_report",),
    "report": ("infovae_jax.commands:_write_report",),
}
PHASES = (IMPORT, "data", TRACE, COMPILE, *list(WRAPPED)[1:], REST)
_STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": TRACE,
    "/jax/core/compile/jaxpr_to_mlir_module_duration": TRACE,
    "/jax/core/compile/backend_compile_duration": COMPILE,
}
_HIT = "/jax/compilation_cache/cache_hits"


PEAKS = "--peaks"
_STATUS, _RESET = pathlib.Path("/proc/self/status"), "/proc/self/clear_refs"


def seconds() -> tuple[float, float]:
    """Wall seconds, and CPU seconds of all threads of this process since its start."""
    return time.perf_counter(), time.process_time()


def peak_bytes() -> int | None:
    """Greatest resident memory of this process since the last call; None: not told."""
    try:
        status = _STATUS.read_text()
        with open(_RESET, "w") as reset:
            reset.write("5")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


class Budget:
    """Seconds by phase; every instant belongs to the innermost phase that is on.

    Args:
      clock: `clock() -> (wall, CPU)` seconds; CPU from 0 at the start of the process.
      peak: `peak_bytes`, or what tells as little as it may; it takes 0.1 ms a phase.

    Attributes:
      spent: phase -> [wall, CPU] seconds.
      peaks: phase -> greatest resident bytes.
      programs: (name, wall seconds) of each program that was compiled or read.
      found: how many of them were read from the cache.
    """

    def __init__(
        self,
        clock: Callable[[], tuple[float, float]] = seconds,
        peak: Callable[[], int | None] = lambda: None,
    ):
        self.spent: dict[str, list[float]] = {}
        self.peaks: dict[str, int] = {}
        self.programs: list[tuple[str, float]] = []
        self.found = 0
        self._clock, self._on, self._open = clock, [REST], []
        self._peak = peak
        # What Python itself took to start is of no other phase.
        self._last = (clock()[0], 0.0)

    def inside(self, phase: str) -> bool:
        """Whether this is the innermost phase now."""
        return self._on[-1] == phase

    def begin(self, phase: str) -> None:
        """Enters a phase."""
        self._charge()
        self._on.append(phase)

    def end(self) -> None:
        """Leaves the innermost phase."""
        self._charge()
        self._on.pop()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """The phase of what is done inside."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def stage_began(self, event: str, *_: Any, **__: Any) -> None:
        """Hears from JAX that a trace, a lowering or a compilation begins."""
        if event in _STAGES and _is_main():
            self._open.append(event)
            self.begin(_STAGES[event])

    def stage_ended(self, event: str, took: float, *_: Any, **about: Any) -> None:
        """Hears from JAX that one ended, after so many wall seconds."""
        if _STAGES.get(event) == COMPILE:
            self.programs.append((str(about.get("fun_name", "")), took))
        if self._open[-1:] == [event] and _is_main():
            self._open.pop()
            self.end()

    def happened(self, event: str, **_: Any) -> None:
        """Hears from JAX of an event without a length."""
        self.found += event == _HIT

    def record(self) -> dict[str, Any]:
        """What is written of it."""
        self._charge()
        return {
            "phases": {
                name: dict(zip(("wall", "cpu"), self.spent[name], strict=True))
                for name in PHASES
                if name in self.spent
            },
            "programs": self.programs,
            "found": self.found,
            "peaks": self.peaks,
        }

    def _charge(self) -> None:
        now = self._clock()
        spent = self.spent.setdefault(self._on[-1], [0.0, 0.0])
        for side, (after, before) in enumerate(zip(now, self._last, strict=True)):
            spent[side] += after - before
        self._last = now
        peak = self._peak()
        if peak is not None:
            phase = self._used_by()
            self.peaks[phase] = max(peak, self.peaks.get(phase, 0))

    def _used_by(self) -> str:
        """The phase that memory is used by: what is imported or compiled is for it."""
        phase = next((name for name in self._on[::-1] if name in WRAPPED), REST)
        if phase == "train" and self._on[-1] in (TRACE, COMPILE):
            return COMPILE
        return START if phase == REST and not {*WRAPPED} & {*self.spent} else phase


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def time_imports(budget: Budget) -> None:
    """Counts what an import takes as such, wherever it stands."""
    plain = builtins.__import__

    @functools.wraps(plain)
    def timed(*arguments, **named):
        if budget.inside(IMPORT) or not _is_main():
            return plain(*arguments, **named)
        with budget.phase(IMPORT):
            return plain(*arguments, **named)

    builtins.__import__ = timed


def wrap(budget: Budget, phase: str, target: str) -> None:
    """Counts the time of a function, 'module:name', as that of a phase."""
    module, _, name = target.partition(":")
    *classes, name = name.split(".")
    owner = functools.reduce(getattr, classes, importlib.import_module(module))
    function = getattr(owner, name)

    @functools.wraps(function)
    def timed(*arguments, **named):
        with budget.phase(phase):
            return function(*arguments, **named)

    setattr(owner, name, timed)


def main() -> None:
    """Runs the command of the flags, and writes where its seconds went."""
    _, path, *flags = sys.argv
    path, peaks = pathlib.Path(path), flags[:1] == [PEAKS]
    budget = Budget(peak=peak_bytes) if peaks else Budget()
    time_imports(budget)
    from infovae_jax import errors

    errors.silence_alarms()
    import jax

    # By name: the command line stands above what measures it.
    command = importlib.import_module("infovae_jax.main")
    jax.monitoring.register_scalar_listener(budget.stage_began)
    jax.monitoring.register_event_duration_secs_listener(budget.stage_ended)
    jax.monitoring.register_event_listener(budget.happened)
    for phase, targets in WRAPPED.items():
        for target in targets:
            wrap(budget, phase, target)
    sys.argv = ["infovae_jax.main", *flags[peaks:]]
    try:
        command.main()
    finally:
        path.write_text(json.dumps(budget.record()), encoding="utf-8")


if __name__ == "__main__":
    main()
