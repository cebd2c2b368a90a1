"""The page itself: one HTML file with everything inside."""

import base64
import html
import pathlib
from typing import NamedTuple

import jax

import infovae_jax
from infovae_jax import config as config_lib
from infovae_jax.report.results import Evaluation
from infovae_jax.training.checkpoint import write_atomically
from infovae_jax.training.run import Run

MAX_BYTES = 5_000_000

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff;
       max-width: 1100px; margin: 0 auto; padding: 1.5rem; }
h1 { margin: 0 0 .25rem; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem; }
.lead { color: #556; margin: 0 0 1.5rem; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; vertical-align: top;
         border-bottom: 1px solid #e4e8ee; }
td:first-child { white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
td.recipe { color: #556; }
tr.section th { padding-top: 1.2rem; font-size: 1rem; }
code { background: #f5f7fa; font-size: .85em; }
figure { margin: 0; } figcaption { color: #556; margin-bottom: .5rem; max-width: 75ch; }
img { max-width: 100%; height: auto; }
pre { background: #f5f7fa; padding: 1rem; overflow: auto; font-size: .85rem; }
nav a { margin-right: .75rem; display: inline-block; }
html { overflow-wrap: anywhere; }
"""


class Section(NamedTuple):
    """A picture with its title, how to read it, and how its figures came about."""

    title: str
    caption: str
    path: pathlib.Path
    recipe: str = ""


def write(
    run: Run,
    workdir: pathlib.Path,
    sections: list[Section],
    skipped: list[str],
    evaluation: Evaluation,
    step: int | None,
) -> pathlib.Path:
    """Writes `report.html`; pictures that would pass the size limit are linked.

    Returns:
      The path of the page.
    """
    config = run.config
    title = f"{config.objective} on {config.data.source}, seed {config.seed}"
    step = evaluation.step if step is None else step
    facts = [
        *([f"pictures of {_steps(run, step)}"] if step is not None else []),
        f"infovae_jax {infovae_jax.__version__}, jax {jax.__version__}",
    ]
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="lead">{html.escape("; ".join(facts))}</p>',
        _navigation(sections),
        '<h2 id="figures">Figures of merit</h2>',
        _provenance(run, workdir, evaluation, step),
        _table(evaluation),
        "<h2>Data</h2>",
        f"<pre>{html.escape(run.dataset.decision)}</pre>",
    ]
    size = 0
    for section in sections:
        image = section.path.read_bytes()
        # base64 takes 4 bytes for 3.
        fits = size + 1.34 * len(image) < 0.95 * MAX_BYTES
        size += 1.34 * len(image) if fits else 0
        parts.append(_figure(section, image if fits else None))
    if skipped:
        names = html.escape(", ".join(skipped))
        parts.append(f"<p>Not applicable to this run, or not evaluated: {names}.</p>")
    command = f"python -m infovae_jax.main --mode=report --workdir={workdir}"
    if run.member is not None:
        command += f" --member={run.member}"
    parts += [
        "<h2>Make this page again</h2>",
        f"<pre>{html.escape(command)}</pre>",
        "<details><summary>Resolved configuration</summary>"
        f"<pre>{html.escape(config_lib.to_json(config))}</pre></details>",
    ]
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )
    path = workdir / "report.html"
    write_atomically(path, text)
    return path


def _navigation(sections: list[Section]) -> str:
    links = (f'<a href="#{s.path.stem}">{html.escape(s.title)}</a>' for s in sections)
    return f"<nav>{' '.join(links)}</nav>"


def _steps(run: Run, step: int) -> str:
    return f"step {step} (epoch {step / run.steps_per_epoch:.4g})"


def _provenance(
    run: Run, workdir: pathlib.Path, evaluation: Evaluation, step: int | None
) -> str:
    """From which parameters, seed and examples the figures are, and the command."""
    command = f"python -m infovae_jax.main --mode=evaluate --workdir={workdir}"
    if evaluation.problem:
        return (
            f"<p>{html.escape(evaluation.problem)}: run "
            f"<code>{html.escape(command)} --metrics=all</code>.</p>"
        )
    config = run.config
    recipe = dict(evaluation.recipe)
    recipe["seeds"] = (
        f"{config.seed} of the run, {config.data.split_seed} of the split, "
        f"{recipe.pop('seed', 'unknown')} of the evaluation"
    )
    facts = [
        _steps(run, evaluation.step) if evaluation.step is not None else "step unknown",
        f"{evaluation.split} split of {config.data.source}",
        *(f"{key}: {value}" for key, value in recipe.items()),
    ]
    text = f'<p class="lead">{html.escape("; ".join(facts))}. Again with '
    command += f" --metrics={evaluation.groups()}"
    text += f"<code>{html.escape(command)}</code></p>"
    if None not in (step, evaluation.step) and step != evaluation.step:
        text += (
            "<p><strong>These figures are older than the pictures</strong>, which are "
            f"of step {step}: evaluate again.</p>"
        )
    return text


def _table(evaluation: Evaluation) -> str:
    """All figures with their recipes, a part of the table for each section."""
    if evaluation.problem:
        return ""
    bodies = []
    for title, rows in evaluation.sections():
        heading = f'<th colspan="3" scope="rowgroup">{html.escape(title)}</th>'
        lines = "".join(
            f"<tr><td>{html.escape(name)}</td>"
            f'<td class="number">{html.escape(value)}</td>'
            f'<td class="recipe">{html.escape(recipe)}</td></tr>'
            for name, value, recipe in rows
        )
        bodies.append(f'<tbody><tr class="section">{heading}</tr>{lines}</tbody>')
    return (
        "<table><thead><tr><th>metric</th><th>value</th><th>recipe</th></tr></thead>"
        f"{''.join(bodies)}</table>"
    )


def _figure(section: Section, image: bytes | None) -> str:
    title, caption = html.escape(section.title), html.escape(section.caption)
    recipe = ""
    if section.recipe:
        recipe = f' <span class="recipe">[{html.escape(section.recipe)}]</span>'
    if image is None:
        name = html.escape(f"figures/{section.path.name}")
        picture = f'<p>Too large to embed: <a href="{name}">{name}</a></p>'
    else:
        data = base64.b64encode(image).decode()
        picture = f'<img alt="{title}" src="data:image/png;base64,{data}">'
    return (
        f'<h2 id="{section.path.stem}">{title}</h2>'
        f"<figure><figcaption>{caption}{recipe}</figcaption>{picture}</figure>"
    )
