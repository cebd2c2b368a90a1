"""The figures of a run as text, and as Markdown."""

_COLUMNS = (
    "case",
    "batch",
    "variant",
    "examples/s (range)",
    "ours is x faster (range)",
    "first step s",
    "compile s",
    "memory MiB",
    "GFLOP/s",
    "of matmul",
    "busy",
)


def rows(result: dict) -> list[list[str]]:
    """One row of cells a variant of the result of `workers.run_case`."""
    found = []
    for name, row in result["variants"].items():
        start = [result["case"], str(result["batch_size"]), name]
        if "failed" in row:
            found.append([*start, f"failed: {row['failed']}", *[""] * 7])
            continue
        low, high = row["range"]
        ratio = "{:.2f} ({:.2f}..{:.2f})".format(
            row["jax_is_faster_by"], *row["ratio_range"]
        )
        memory = row.get("peak_device_bytes", row["peak_rss_bytes"])
        cells = [
            f"{row['median']:.0f} ({low:.0f}..{high:.0f})",
            ratio if name != "jax" else "",
            f"{row['first_step_seconds']:.1f}",
            _cell(row.get("compile_seconds"), "{:.1f}"),
            f"{memory / 2**20:.0f}",
            _cell(row.get("flops_per_second"), "{:.0f}", 1e-9),
            _cell(row.get("share_of_matmul"), "{:.0%}"),
            _cell(row.get("busy_share"), "{:.0%}"),
        ]
        found.append([*start, *cells])
    return found


def text(result: dict) -> str:
    """The result of one case for a terminal, a line per variant."""
    lines = [
        f"{result['case']}, batch {result['batch_size']}, {result['precision']}, "
        f"{result['steps_per_turn']} steps per turn"
    ]
    for cells in rows(result):
        named = zip(_COLUMNS[3:], cells[3:], strict=True)
        figures = [f"{column} {cell}" for column, cell in named if cell]
        if cells[3].startswith("failed"):
            figures = [cells[3]]
        lines.append(f"  {cells[2]:<15}{'; '.join(figures)}")
    return "\n".join(lines)


def markdown(report: dict) -> str:
    """The whole report as a Markdown table, with where it was measured."""
    lines = [
        " ".join(f"{name} {value};" for name, value in report["environment"].items()),
        "",
        _line(_COLUMNS),
        _line(["---"] * len(_COLUMNS)),
    ]
    for result in report["cases"]:
        lines += [_line(cells) for cells in rows(result)]
    return "\n".join(lines)


def _cell(value: float | None, form: str, scale: float = 1.0) -> str:
    return "" if value is None else form.format(value * scale)


def _line(cells) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
