"""Where the time of a training step goes, by JAX's own profiler.

    python -m infovae_jax.benchmark.profile [--cases=NAMES] [--out=FILE.json]

Operations of the compiled program are timed while it runs, a turn of steps a round, and
summed by what they are:

  products     products of matrices and convolutions, with what is fused into them
  update       what the optimiser and the statistics do, once a step
  random       random numbers
  elementwise  activations, normalisation, losses and their gradients, reductions
  moves        copies, gathers of rows, slices

The share of the matmul rate that a step reaches is the share of its time that products
take times their own speed as a share of that rate: products of a training step are
smaller than those that the rate is measured with, and wait for memory.
"""

import collections
import pathlib
import re
import statistics
import tempfile
from collections.abc import Iterable, Mapping

from infovae_jax.benchmark import cases
from infovae_jax.benchmark.cases import Case
from infovae_jax.errors import ConfigError, ending_in_one_line
from infovae_jax.report import record, step_profiles, summary
from infovae_jax.report.step_profiles import (
    ELEMENTWISE,
    MOVES,
    PRODUCTS,
    RANDOM,
    UPDATE,
)
from infovae_jax.training import output

ROUNDS, TURN_SECONDS = 5, 1.0
_RANDOM = re.compile(r"threefry|_normal|_uniform|gumbel|random_|erf_inv")
_MOVES = re.compile(r"copy|gather|slice|concatenate|transpose|pad|scatter")
# Of operations that only call others, which are timed themselves.
_OUTER = ("while", "call", "conditional")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = .*? ([a-z][\w-]*)\(")
_CALLED = re.compile(r"calls=%?([\w.-]+)")
_OP_NAME = re.compile(r'op_name="([^"]*)"')


def kinds(hlo: str) -> dict[str, str]:
    """Name of each timed operation of a compiled program -> what it is.

    Args:
      hlo: the program's text, of `Compiled.as_text()`.
    """
    inside: dict[str, set[str]] = {}
    found, computation = {}, ""
    lines = []
    for line in hlo.splitlines():
        begins = _COMPUTATION.match(line)
        if begins:
            computation = begins[1]
            inside[computation] = set()
            continue
        own = _INSTRUCTION.match(line)
        if own:
            inside.setdefault(computation, set()).add(own[2])
            lines.append((own[1], own[2], line))
    for name, opcode, line in lines:
        if opcode in _OUTER:
            continue
        called = _CALLED.search(line)
        opcodes = {opcode} | inside.get(called[1], set()) if called else {opcode}
        op_name = _OP_NAME.search(line)
        found[name] = _kind(name, opcodes, op_name[1] if op_name else "")
    return found


def _kind(name: str, opcodes: set[str], op_name: str) -> str:
    if opcodes & {"dot", "convolution"} or "custom-call" in opcodes:
        return PRODUCTS
    if _RANDOM.search(op_name):
        return RANDOM
    if _MOVES.match(name):
        return MOVES
    # The gradient is taken by jvp and its transpose; what is neither comes after it.
    return ELEMENTWISE if "jvp" in op_name else UPDATE


def shares(
    events: Iterable[tuple[str, float]], kind_of: Mapping[str, str]
) -> dict[str, float]:
    """Kind -> share of the time of all timed operations.

    Args:
      events: (operation, duration) in any unit.
      kind_of: of `kinds`; operations that it lacks are left out.

    Raises:
      ConfigError: none was timed.
    """
    spent = collections.Counter()
    for name, duration in events:
        if name in kind_of:
            spent[kind_of[name]] += duration
    total = sum(spent.values())
    if not total:
        raise ConfigError(
            "the profiler timed no operation", "this device", "profile on a CPU or GPU"
        )
    return {kind: spent[kind] / total for kind in step_profiles.KINDS}


def measure(case: Case, rounds: int = ROUNDS, seconds: float = TURN_SECONDS) -> dict:
    """Shares of the time of a step, and its speed beside the matmul rate, by rounds."""
    from infovae_jax.benchmark.ours import JaxVariant

    variant = JaxVariant(case)
    variant.prepare(seconds)
    kind_of = kinds(variant.longest_program().as_text())
    flops, of_matmul, found = variant.flops_per_step(), [], []
    for _ in range(rounds):
        of_matmul.append(flops / variant.call() / variant.matmul_rate())
        found.append(shares(_timed(variant), kind_of))
    return {
        "case": case.name,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "share_of_matmul": of_matmul,
        "shares": {kind: [own[kind] for own in found] for kind in step_profiles.KINDS},
    }


def _timed(variant) -> list[tuple[str, float]]:
    """(operation, nanoseconds) of one call of the variant's program of many steps."""
    import jax

    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            variant.call()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        traced = jax.profiler.ProfileData.from_file(str(path))
    return [
        (named["hlo_op"], event.duration_ns)
        for plane in traced.planes
        for line in plane.lines
        for event in line.events
        if "hlo_op" in (named := dict(event.stats))
    ]


def main(argv: list[str] | None = None) -> None:
    """Profiles the cases of the command line."""
    parser = summary.Parser(prog="python -m infovae_jax.benchmark.profile")
    parser.add_argument("--cases", default=",".join(cases.RECIPES))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=pathlib.Path, help="JSON file")
    with ending_in_one_line():
        options = parser.parse_args(argv)
        summary.require_place(options.out, "--out", ".json")
        if options.rounds < 1:
            raise ConfigError("no rounds", "--rounds", "give at least 1")
        chosen = [
            cases.parse(name, cases.shipped_batch_size(name))
            for name in options.cases.split(",")
        ]
        found = []
        for case in chosen:
            found.append(measure(case, options.rounds))
            print(_line(found[-1]), flush=True)
        if options.out:
            profiles = step_profiles.Profiles(
                f"python -m infovae_jax.benchmark.profile --cases={options.cases} "
                f"--rounds={options.rounds}",
                record.environment(),
                found,
            )
            record.write(profiles, options.out)


def _line(found: dict) -> str:
    parts = ", ".join(
        f"{kind} {statistics.median(values):.0%}"
        for kind, values in found["shares"].items()
    )
    rate = statistics.median(found["share_of_matmul"])
    return (
        f"{found['case']}, batch {found['batch_size']}: {rate:.0%} of matmul; {parts}"
    )


if __name__ == "__main__":
    output.keep_harmless()
    main()
