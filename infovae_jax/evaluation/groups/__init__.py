"""Which figures a run shows: the core, and groups that take longer, by `--metrics`.

A group is a module with `rows(run, params, splits) -> list[Row]`, empty where the data
lack what it needs, and has its name in GROUPS; the metrics themselves are functions of
arrays in the modules above. It is imported when it is asked for.
"""

import functools
import importlib
from typing import Any

from infovae_jax.evaluation.table import Row


def _rows(name: str, *arguments: Any) -> list[Row]:
    return importlib.import_module(f"{__name__}.{name}").rows(*arguments)


# In the order of the table.
GROUPS = {
    name: functools.partial(_rows, name)
    for name in ("likelihood", "representation", "disentanglement", "generation")
}
