"""Where a step's time goes: the file that `benchmark.profile` writes, as a table."""

import pathlib
import statistics
from typing import Any, NamedTuple

from infovae_jax.report import record, step_speeds

PRODUCTS, UPDATE, RANDOM = "products", "update", "random"
ELEMENTWISE, MOVES = "elementwise", "moves"
KINDS = (PRODUCTS, UPDATE, RANDOM, ELEMENTWISE, MOVES)


class Profiles(NamedTuple):
    """Cases of one run.

    Attributes:
      command: that measured them.
      environment: versions, processor and commit.
      cases: of each `case`, `batch_size` and `precision`, and of every round
        `share_of_matmul` and `shares` (kind -> share of the time of a step).
    """

    command: str
    environment: dict[str, str]
    cases: list[dict[str, Any]]


def read(path: pathlib.Path) -> Profiles:
    """Profiles that `record.write` wrote.

    Raises:
      ConfigError: there are none, or they are damaged.
    """
    fix = "name a file that --out of infovae_jax.benchmark.profile wrote"
    return record.read_as(Profiles, path, "profiles", fix)


def table(profiles: Profiles) -> list[str]:
    """The profiles in Markdown, and how they were measured."""
    head = ["case", "batch", "of matmul", "products at", *KINDS]
    rows = [head]
    for case in profiles.cases:
        shares = {kind: statistics.median(case["shares"][kind]) for kind in KINDS}
        speed = statistics.median(case["share_of_matmul"])
        own = f"{speed / shares[PRODUCTS]:.0%}" if shares[PRODUCTS] else "-"
        cells = [case["case"], str(case["batch_size"]), f"{speed:.0%}", own]
        rows.append([*cells, *(f"{share:.0%}" for share in shares.values())])
    return [
        f"Medians; `{profiles.command}`; {record.told_of(profiles.environment)}.",
        "",
        *record.markdown(rows),
    ]


def part(root: pathlib.Path, name: str) -> list[str]:
    """The table of the file called `name`, or how to make it where it is not there."""
    path = step_speeds.FOLDER / f"{name}.json"
    return record.part(root, path, read, table)
