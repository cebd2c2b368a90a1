"""The parts of README and docs that are made from results and declarations.

    python -m infovae_jax.report.pages            # mends README.md and docs/

A part stands between `<!-- made: WHAT -->` and `<!-- end -->`: `systems`, the table of
all systems; `ablation`, that of the parts of the clustering recipe; `mathematics NAME`,
`figures NAME`, `knobs NAME` and `samples NAME` (what a classifier learns from its
samples) of one objective; `robustness NAME`, codes of corrupted images of one set of
data; `start NAME`, what the first command costs by `results/start/NAME.json`; `speed
NAME`, training steps beside peers, and `profile NAME`, where their time goes, by
`results/speed/NAME.json`; `waits`, what a person waits for, and `memory`, what a
command takes of it, by their files there. A test compares the pages with what this
makes.
"""

import inspect
import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from infovae_jax import objectives
from infovae_jax.errors import ending_in_one_line
from infovae_jax.report import (
    ablation,
    ledger,
    memory,
    published,
    record,
    reference,
    robust_codes,
    start_costs,
    step_profiles,
    step_speeds,
    summary,
    trained_on_samples,
    waits,
)
from infovae_jax.training import output

ROOT = pathlib.Path(__file__).parents[2]
PART = re.compile(r"(<!-- made: ([a-z0-9_ ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
REPRODUCED, OURS = "reproduced", "ours only"
NOT_RUN, NOTHING = "not run yet", "no published figure"


class System(NamedTuple):
    """A row of the table of systems.

    Attributes:
      objective: its name.
      title: as in the paper.
      about: a few words.
      source: of the paper.
      methods: its names in the ledger.
      metric: the figure shown.
      words: what that is.
    """

    objective: str
    title: str
    about: str
    source: str
    methods: tuple[str, ...] = ()
    metric: str = "elbo"
    words: str = "ELBO, nats"


_ACCURACY = ("cluster/accuracy", "accuracy of its clusters")
SYSTEMS = (
    System(
        "infocatvae",
        "InfoCatVAE",
        "clusters that keep what they generate",
        "Pineau & Lelarge 2018",
        ("InfoCatVAE",),
        *_ACCURACY,
    ),
    System(
        "catvae",
        "CatVAE",
        "a prior of K modes",
        "Pineau & Lelarge 2018",
        ("CatVAE",),
        *_ACCURACY,
    ),
    System(
        "n_vae",
        "N-VAE",
        "what classes share, and what one has alone; uses labels",
        "Antorán & Miguel 2019",
        ("N-VAE",),
        "classification/accuracy",
        "accuracy",
    ),
    System(
        "infomax_vae",
        "InfomaxVAE",
        "a free code beside a regularised one",
        "Bachmann 2018",
        ("InfomaxVAE",),
    ),
    System(
        "mi_vae",
        "MI-VAE",
        "chosen dims stay readable",
        "Ducau & Trénous 2017",
        ("MI-VAE",),
        "term/reconstruction",
        "reconstruction, nats",
    ),
    System(
        "vimae",
        "VIMAE",
        "a matched aggregate posterior",
        "Crescimanna & Graham 2019",
        ("VIMAE-n", "VIMAE-l"),
    ),
    System("info_vae", "InfoVAE", "MMD beside the rate", "Zhao et al. 2019"),
    System("wae_mmd", "WAE-MMD", "codes without noise", "Tolstikhin et al. 2018"),
    System(
        "beta_vae",
        "beta-VAE",
        "a dearer rate",
        "Higgins et al. 2017",
        ("beta-VAE",),
    ),
    System(
        "epsilon_vae",
        "epsilon-VAE",
        "a cheaper rate",
        "Alemi et al. 2018",
        ("epsilon-VAE",),
    ),
    System("iwae", "IWAE", "a tighter bound", "Burda et al. 2016"),
    System("vae", "VAE", "the baseline", "Kingma & Welling 2014", ("VAE",)),
)


def _published(system: System) -> list[published.Published]:
    return [r for r in published.ROWS if r.method.split(",")[0] in system.methods]


def _of(objective: str, records: Mapping[str, record.Record]) -> list[str]:
    """Names of its records; that of MNIST as shipped first, then others of MNIST."""
    names = [n for n, r in records.items() if r.config["objective"] == objective]
    shipped = f"{objective}_mnist"
    return sorted(names, key=lambda name: (name != shipped, "mnist" not in name, name))


def status(system: System, records: Mapping[str, record.Record]) -> str:
    """In a few words what our figures of a system are worth.

    Args:
      system: one of SYSTEMS.
      records: of `results/`, by name.
    """
    rows = [row for row in _published(system) if row.value is not None]
    verdicts = [ledger.verdict(row, ledger.ours(row, dict(records))) for row in rows]
    reached, missed = map(verdicts.count, (ledger.REACHED, ledger.MISSED))
    if reached and missed:
        return f"{reached} of {reached + missed} figures {ledger.REACHED}"
    if reached:
        return REPRODUCED
    if missed:
        return ledger.MISSED
    if _of(system.objective, records):
        return OURS
    return NOT_RUN if rows else NOTHING


def _figure(name: str, found: record.Record, metric: str) -> str | None:
    values = found.figures.get(metric) or found.training.get(metric)
    if values is None or all(v is None for v in values):
        return None
    *_, runs = record.spread(values)
    shown = record.mean_text(values, 3 if "accuracy" in metric else 2)
    return f"{shown} ({runs}), `{name.removesuffix('.json')}`"


def systems(records: Mapping[str, record.Record]) -> list[str]:
    """The table of all systems, each with a status and one figure."""
    lines = ["| system | what it is | status | one figure |", "|---|---|---|---|"]
    for system in SYSTEMS:
        shown = (
            _figure(name, records[name], system.metric)
            for name in _of(system.objective, records)
        )
        figure = next(filter(None, shown), None)
        cell = f"{system.words}: {figure}" if figure else "-"
        page = f"docs/objectives/{system.objective}.md"
        lines.append(
            f"| [{system.title}]({page}) | {system.about} ({system.source}) "
            f"| {status(system, records)} | {cell} |"
        )
    return lines


_SHOWN = (
    ("cluster/accuracy", "accuracy"),
    ("classification/accuracy", "accuracy"),
    ("cluster/nmi", "NMI"),
    ("elbo", "ELBO"),
    ("nll", "NLL"),
)


def figures(objective: str, records: Mapping[str, record.Record]) -> list[str]:
    """A table of the records of one objective, or a line where there are none."""
    names = [name for name in _of(objective, records) if name not in ablation.names()]
    if not names:
        return ["No run of this objective has a file in `results/` yet."]
    lines = ["| `results/` | figure | mean ± deviation (runs) |", "|---|---|---|"]
    for name in names:
        for metric, words in _SHOWN:
            figure = _figure(name, records[name], metric)
            if figure is not None:
                value = figure.partition(",")[0]
                lines.append(f"| `results/{name}.json` | {words} | {value} |")
    lines += [""]
    return lines + [f"`{name}`: `{records[name].command}`  " for name in names]


def mathematics(objective: str) -> list[str]:
    """The docstring of its module: loss, estimator, source, when not to use it."""
    text = inspect.getdoc(objectives.load(objective))
    return ["```text", *text.splitlines(), "```"]


def knobs(objective: str) -> list[str]:
    """Its keys."""
    return reference.of_objective(objective)


def made(page: str, records: Mapping[str, record.Record]) -> str:
    """A page with all its made parts as they are today."""
    makers = {
        "figures": lambda name: figures(name, records),
        "mathematics": mathematics,
        "knobs": knobs,
        "start": lambda name: start_costs.part(ROOT, name),
        "profile": lambda name: step_profiles.part(ROOT, name),
        "speed": lambda name: step_speeds.part(ROOT, name),
        "waits": lambda _: waits.part(ROOT),
        "memory": lambda _: memory.part(ROOT),
        "systems": lambda _: systems(records),
        "ablation": lambda _: ablation.table(records),
        "robustness": lambda name: robust_codes.table(name, records),
        "samples": lambda name: trained_on_samples.table(name, records),
    }

    def fill(match: re.Match) -> str:
        what, _, name = match[2].partition(" ")
        return match[1] + "\n".join(["", *makers[what](name), "", match[3]])

    return PART.sub(fill, page)


def paths() -> list[pathlib.Path]:
    """The pages that have such parts."""
    docs = ROOT / "docs"
    objectives_ = sorted((docs / "objectives").glob("*.md"))
    names = "benchmarks", "recipe", "howto/robustness"
    others = (docs / f"{name}.md" for name in names)
    return [ROOT / "README.md", *others, *objectives_]


def main() -> None:
    """Mends the pages: all, or of damaged results none."""
    with ending_in_one_line():
        summary.Parser(prog="python -m infovae_jax.report.pages").parse_args()
        records = ledger.read_records(ROOT / record.FOLDER)
        old = {path: path.read_text(encoding="utf-8") for path in paths()}
        new = {path: made(text, records) for path, text in old.items()}
        for path, text in new.items():
            if text != old[path]:
                path.write_text(text, encoding="utf-8")
                print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    output.keep_harmless()
    main()
