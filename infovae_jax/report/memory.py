"""Memory of a command by phase: the file that `benchmark.memory` writes, as a table."""

import pathlib
import statistics
from typing import Any, NamedTuple

from infovae_jax.report import record, step_speeds

RESIDENT, STREAM = "resident", "stream"
_TITLES = {RESIDENT: "data resident", STREAM: "`data.stream`"}
# The phase whose peak the others are told above.
START = "start"
_MIB = 2**20


class Memory(NamedTuple):
    """Peaks of runs that hold their data, and of others that stream them.

    Attributes:
      command: that measured them.
      environment: versions, processor and commit.
      data: `rows`, `pixels` and `bytes` of both splits, uint8, and the `file` kind.
      ways: RESIDENT and STREAM -> `peaks`, phase -> resident bytes, one number a round
        (nothing where the system does not tell), and `examples_per_second` of training.
    """

    command: str
    environment: dict[str, str]
    data: dict[str, Any]
    ways: dict[str, dict[str, Any]]


def read(path: pathlib.Path) -> Memory:
    """Peaks that `record.write` wrote.

    Raises:
      ConfigError: there are none, or they are damaged.
    """
    fix = "name a file that --out of infovae_jax.benchmark.memory wrote"
    return record.read_as(Memory, path, "peaks of memory", fix)


def rows(memory: Memory) -> list[list[str]]:
    """A head, and a row of cells for each phase; the greatest peak of all rounds."""
    titles = [_TITLES[way] for way in memory.ways]
    found = [["phase", *(f"{t}, MiB{a}" for t in titles for a in ("", " above start"))]]
    for phase in next(iter(memory.ways.values()))["peaks"]:
        cells = []
        for way in memory.ways.values():
            peaks = {name: max(values) for name, values in way["peaks"].items()}
            peak, start = peaks.get(phase, 0), peaks[START]
            cells += [f"{peak / _MIB:.0f}", f"{(peak - start) / _MIB:.0f}"]
        found.append([phase, *cells])
    return found


def share(memory: Memory) -> str:
    """The speed of streaming as a share of that of resident data, in words."""
    rates = [memory.ways[way]["examples_per_second"] for way in (STREAM, RESIDENT)]
    shares = [stream / resident for stream, resident in zip(*rates, strict=True)]
    spread = f"{min(shares):.0%} to {max(shares):.0%}, {len(shares)} rounds in turns"
    return (
        f"Streaming trains at {statistics.median(shares):.0%} of the speed of resident "
        f"data ({spread})."
    )


def table(memory: Memory) -> list[str]:
    """The peaks in Markdown, and how they were measured."""
    data = memory.data
    lines = [
        f"{data['rows']:,} examples of {data['pixels']} uint8, "
        f"{data['bytes'] / _MIB:.0f} MiB in one .{data['file']} file. "
        f"`{memory.command}`; {record.told_of(memory.environment)}. {share(memory)}",
        "",
    ]
    if not next(iter(memory.ways.values()))["peaks"]:
        return [*lines, "This system does not tell the peaks of a process by phase."]
    return lines + record.markdown(rows(memory))


def part(root: pathlib.Path) -> list[str]:
    """The table of `results/speed/memory.json`, or how to make it."""
    path = step_speeds.FOLDER / "memory.json"
    return record.part(root, path, read, table)
