"""Compiled programs that the runs of one process share.

`jax.jit` knows a function by its identity, and every run makes its own. One who fits
fifty models of one kind in one process would wait fifty times for the compiler.
"""

import collections
import json
import os
import threading
from collections.abc import Callable, Hashable
from typing import Any

import jax
from ml_collections import ConfigDict

from infovae_jax.config import schedules
from infovae_jax.types import DataSpec

MAX_KEPT = 128
_LEVEL = "xla_backend_optimization_level"
# Keys that no program depends on: names, places, lengths, and seeds, which are traced.
_FREE_GROUPS = ("evaluation", "population", "sweep")
_FREE_KEYS = {
    "": ("preset", "seed", "num_seeds"),
    "data": (
        "source",
        "data_dir",
        "cache_dir",
        "num_train",
        "test_fraction",
        "split_seed",
        "stream",
        "image_size",
        "label_column",
        "columns",
        "missing",
    ),
    "train": (
        "num_epochs",
        "batch_size",
        "log_every",
        "eval_every",
        "checkpoint_every",
        "keep_checkpoints",
        "hang_seconds",
        "tracker",
        "tracker_project",
    ),
}
# Several threads may fit; what is made may itself ask for what is kept.
_lock = threading.RLock()
_kept: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()


def identity(config: ConfigDict, spec: DataSpec) -> Hashable:
    """What the networks, the loss and the optimiser of a run are made of."""
    values = {k: v for k, v in config.to_dict().items() if k not in _FREE_GROUPS}
    scalars = [*values["weights"].values(), values["optimizer"]["learning_rate"]]
    length = None
    if any(map(schedules.depends_on_length, scalars)):
        length = values["train"]["num_epochs"]
    for group, keys in _FREE_KEYS.items():
        part = values[group] if group else values
        for key in keys:
            part.pop(key, None)
    return json.dumps(values, sort_keys=True), length, spec._replace(num_examples=0)


def kept(key: Hashable, make: Callable[[], Any]) -> Any:
    """What was made for `key` before, or `make()`; the least used are dropped."""
    with _lock:
        if key not in _kept:
            _kept[key] = make()
        _kept.move_to_end(key)
        while len(_kept) > MAX_KEPT:
            _kept.popitem(last=False)
        return _kept[key]


def is_kept(key: Hashable) -> bool:
    """Whether `kept` has it."""
    with _lock:
        return key in _kept


def seldom(function: Callable, **options: Any) -> Callable:
    """`jax.jit` of what runs for moments: evaluation and pictures, not training.

    On a CPU the compiler's first level of optimisation takes two thirds of the time of
    its third, and programs as quick: matrix products are the library's. A level in
    XLA_FLAGS is left as it is.

    Args:
      function: as for `jax.jit`; the program is not to be called within another one.
      options: further ones of `jax.jit`.
    """
    if jax.default_backend() == "cpu" and _LEVEL not in os.environ.get("XLA_FLAGS", ""):
        options["compiler_options"] = {_LEVEL: 1}
    return jax.jit(function, **options)
