"""What the first command costs: the file that `benchmark.start` writes, as tables."""

import pathlib
import statistics
from typing import Any, NamedTuple

from infovae_jax.report import record

FOLDER = pathlib.Path("results/start")
STARTS = ("cold", "warm")
# Of another checkout, beside the phases of ours.
AGAINST = "against"


class Costs(NamedTuple):
    """Wall and CPU seconds of a command, of each of some rounds.

    Attributes:
      command: that measured them.
      environment: versions, processor and commit.
      against: commit of the other checkout, or ''.
      phases: names, in the order of the table.
      configs: name -> 'cold' and 'warm' -> `wall` and `cpu` (one number a round),
        `phases` (name -> `wall` and `cpu`), `programs`, `found` in the cache, the
        `slowest` of the last round as (name, wall seconds), and perhaps `against`:
        `wall` and `cpu` of the other checkout.
    """

    command: str
    environment: dict[str, str]
    against: str
    phases: list[str]
    configs: dict[str, dict[str, dict[str, Any]]]


def read(path: pathlib.Path) -> Costs:
    """Costs that `record.write` wrote.

    Raises:
      ConfigError: there are none, or they are damaged.
    """
    fix = "name a file that --out of infovae_jax.benchmark.start wrote"
    return record.read_as(Costs, path, "costs", fix)


def part(root: pathlib.Path, name: str) -> list[str]:
    """The table of the file called `name`, or how to make it where it is not there."""
    return record.part(root, FOLDER / f"{name}.json", read, table)


def rows(costs: Costs) -> list[list[str]]:
    """A head, and a row of cells for each config and start; medians, CPU seconds."""
    head = ["config", "cache", "wall", "CPU", *costs.phases, "programs", "slowest"]
    found = [head]
    for name, starts in costs.configs.items():
        for start in STARTS:
            one = starts[start]
            spent = (one["phases"].get(phase, {"cpu": [0.0]}) for phase in costs.phases)
            slowest = ", ".join(f"{n} {s:.1f}" for n, s in one["slowest"][:1])
            cells = [_median(one["wall"]), _median(one["cpu"])]
            cells += [_median(phase["cpu"]) for phase in spent]
            programs = f"{statistics.median(one['programs']):.0f}"
            found.append([name, start, *cells, programs, slowest])
    return found


def ratio_rows(costs: Costs) -> list[list[str]]:
    """A head, and our CPU seconds as a share of the other's; empty without one."""
    found = [["config", *STARTS]]
    for name, starts in costs.configs.items():
        if all(AGAINST in starts[start] for start in STARTS):
            found.append([name, *(_share(starts[start]) for start in STARTS)])
    return found if len(found) > 1 else []


def table(costs: Costs) -> list[str]:
    """The costs in Markdown, and how they were measured."""
    rounds = len(next(iter(costs.configs.values()))["cold"]["cpu"])
    how = "one round" if rounds == 1 else f"medians of {rounds} rounds"
    lines = [
        f"CPU seconds, and wall seconds where it says so; {how}. "
        f"`{costs.command}`; {record.told_of(costs.environment)}.",
        "",
        *record.markdown(rows(costs)),
    ]
    shares = ratio_rows(costs)
    if shares:
        shares[0] = ["config", *(f"{start} cache" for start in STARTS)]
        what = f"CPU seconds as a share of those of commit {costs.against}, in turns:"
        lines += ["", what, "", *record.markdown(shares)]
    return lines


def _median(values: list[float]) -> str:
    return f"{statistics.median(values):.1f}"


def _share(one: dict[str, Any]) -> str:
    other = one[AGAINST]["cpu"]
    shares = [ours / theirs for ours, theirs in zip(one["cpu"], other, strict=True)]
    middle, low, high = statistics.median(shares), min(shares), max(shares)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
