"""Training steps beside peers: the file that `benchmark --out` writes, as a table."""

import pathlib
from typing import Any, NamedTuple

from infovae_jax.report import record

FOLDER = pathlib.Path("results/speed")
# Name of a file there -> flags of `infovae_jax.benchmark` that make it.
FLAGS = {
    "recipes": "--recipes --peers --rounds=5 --turn_seconds=1",
    "steps": "--all --peers",
    "bfloat16": "--all --precision=bfloat16",
}
OURS = "jax"
PEERS = {
    "torch_loader": "PyTorch eager + DataLoader",
    "torch_resident": "PyTorch, resident data, fused Adam",
    "torch_compile": "torch.compile",
    "pythae": "pythae",
}


class Speeds(NamedTuple):
    """Cases of one run of the benchmark.

    Attributes:
      command: that measured them.
      environment: versions, processor, threads and commit.
      timing: rounds, seconds of a turn and the like.
      flops: what is counted as such.
      cases: results of `benchmark.race.run_case`.
    """

    command: str
    environment: dict[str, Any]
    timing: dict[str, Any]
    flops: str
    cases: list[dict[str, Any]]


def read(path: pathlib.Path) -> Speeds:
    """Speeds that `record.write` wrote.

    Raises:
      ConfigError: there are none, or they are damaged.
    """
    fix = "name a file that --out of infovae_jax.benchmark wrote"
    return record.read_as(Speeds, path, "figures of a benchmark", fix)


def rows(speeds: Speeds) -> list[list[str]]:
    """A head, and a row of cells for each case.

    Peers of which no case has a figure are left out.
    """
    measured = {
        name
        for case in speeds.cases
        for name, figures in case["variants"].items()
        if "failed" not in figures
    }
    peers = [name for name in PEERS if name in measured]
    head = ["case", "batch", "ours", "GFLOP/s", "of matmul"]
    found = [[*head, *(PEERS[name] for name in peers)]]
    for case in speeds.cases:
        start = [case["case"], str(case["batch_size"])]
        others = [_ratio(case["variants"].get(name, {})) for name in peers]
        found.append([*start, *_own(case["variants"][OURS]), *others])
    return found


def table(speeds: Speeds) -> list[str]:
    """The speeds in Markdown, and how they were measured."""
    return [
        "Medians of examples a second; how many times faster ours is, with the range "
        f"over {speeds.timing['rounds']} rounds at most. `{speeds.command}`; "
        f"{record.told_of(speeds.environment)}.",
        "",
        *record.markdown(rows(speeds)),
    ]


def part(root: pathlib.Path, name: str) -> list[str]:
    """The table of the file called `name`, or how to make it where it is not there."""
    return record.part(root, FOLDER / f"{name}.json", read, table)


def _own(figures: dict[str, Any]) -> list[str]:
    if "failed" in figures:
        return [f"failed: {figures['failed']}", "", ""]
    return [
        f"{figures['median']:.0f}",
        f"{figures['flops_per_second'] / 1e9:.0f}",
        f"{figures['share_of_matmul']:.0%}",
    ]


def _ratio(figures: dict[str, Any]) -> str:
    if "jax_is_faster_by" not in figures:
        return figures.get("failed", "")
    low, high = figures["ratio_range"]
    return f"{figures['jax_is_faster_by']:.2f}x ({low:.2f} to {high:.2f})"
