"""Experiment trackers: the rows of `metrics.jsonl` to W&B, trackio or MLflow as well.

Off by default (`config.train.tracker`). One works in a thread of its own: training
does not wait for it, and whatever it raises is said once and costs the tracker, not the
run. Where it keeps what it is sent follows from its own environment variables, such as
WANDB_MODE=offline, TRACKIO_DIR and MLFLOW_TRACKING_URI.
"""

import importlib
import importlib.util
import pathlib
import queue
import sys
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from ml_collections import ConfigDict

from infovae_jax import config as config_lib
from infovae_jax.errors import ConfigError
from infovae_jax.training.metrics import MEMBERS

# Seconds that the end of a run waits for what is still to be sent.
PATIENCE = 60.0
# MLflow takes 500 letters a parameter.
_MAX_TEXT = 500
_INSTALL = {"wandb": "wandb", "trackio": "trackio", "mlflow": "mlflow-skinny"}


class Service(Protocol):
    """What a tracker does."""

    def start(self, project: str, name: str, config: Mapping[str, Any]) -> None:
        """Begins a run."""

    def log(self, row: Mapping[str, float], step: int) -> None:
        """Takes the figures of a step."""

    def finish(self) -> None:
        """Ends the run."""


class _InitLogFinish:
    """What speaks wandb's `init`, `log`, `finish`: W&B and trackio."""

    def __init__(self, module: Any):
        self._module = module

    def start(self, project, name, config):
        self._module.init(project=project, name=name, config=dict(config))

    def log(self, row, step):
        self._module.log(dict(row), step=step)

    def finish(self):
        self._module.finish()


class _MLflow:
    def __init__(self, module: Any):
        self._module = module

    def start(self, project, name, config):
        self._module.set_experiment(project)
        self._module.start_run(run_name=name)
        texts = {key: str(value)[:_MAX_TEXT] for key, value in config.items()}
        self._module.log_params(texts)

    def log(self, row, step):
        self._module.log_metrics(dict(row), step=step)

    def finish(self):
        self._module.end_run()


def require(name: str) -> None:
    """Raises ConfigError where the tracker's package is absent."""
    if name == "none":
        return
    if importlib.util.find_spec(name) is None:
        raise ConfigError(
            f"the tracker {name} is not installed",
            "config.train.tracker",
            f"pip install {_INSTALL[name]}, or leave it out",
        )


def of_run(config: ConfigDict, workdir: pathlib.Path) -> "Tracker | None":
    """The tracker that a run's config asks for, started, or None.

    Args:
      config: resolved.
      workdir: whose name the tracker's run gets.
    """
    name = config.train.tracker
    if name == "none":
        return None

    def connect() -> Service:
        module = importlib.import_module(name)
        service = _MLflow(module) if name == "mlflow" else _InitLogFinish(module)
        values = config_lib.flatten(config)
        service.start(config.train.tracker_project, workdir.name or "run", values)
        return service

    return Tracker(name, connect)


class Tracker:
    """Sends rows in the background.

    Args:
      name: for notes.
      connect: makes and starts the service; called in the thread.
      patience: seconds that `close` waits.
    """

    def __init__(self, name: str, connect: Any, patience: float = PATIENCE):
        self._name, self._connect, self._patience = name, connect, patience
        self._rows: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def log(self, row: Mapping[str, Any]) -> None:
        """Takes a row of metrics, of a population the means; returns at once."""
        numbers = {k: v for k, v in row.items() if k not in ("step", MEMBERS)}
        self._rows.put((numbers, int(row["step"])))

    def close(self) -> None:
        """Sends what is left, for at most `patience` seconds."""
        self._rows.put(None)
        self._thread.join(self._patience)
        if self._thread.is_alive():
            _note(f"{self._name} has not taken all rows in {self._patience:.0f} s")

    def _work(self) -> None:
        try:
            service = self._connect()
            while (item := self._rows.get()) is not None:
                service.log(*item)
            service.finish()
        except BaseException as error:  # SystemExit, too: some trackers leave by it
            text = " ".join(str(error).split())[:300]
            _note(f"{self._name} takes no more rows ({type(error).__name__}: {text})")


def _note(text: str) -> None:
    where = "metrics.jsonl has them all"
    print(f"note: {text}; {where}", file=sys.stderr, flush=True)
