"""The page itself, from templates/page.html.j2: one file with everything inside."""

import base64
import json
import pathlib
import shlex
from typing import Any, NamedTuple

import jax
import jinja2

import infovae_jax
from infovae_jax import config as config_lib
from infovae_jax.report import headline, hover_map, live
from infovae_jax.report.live import Live
from infovae_jax.report.results import Evaluation
from infovae_jax.training.files import write_atomically
from infovae_jax.training.run import Run

MAX_BYTES = 5_000_000
# Pixels of a picture that a telephone shows whole without losing its letters.
NARROW = 560
NO_ROOM = Live(None, "the pictures leave no room for it")


class Section(NamedTuple):
    """A picture with its title, how to read it, and how its figures came about.

    `question`: that it helps to answer; pictures of one stand together.
    """

    title: str
    caption: str
    path: pathlib.Path
    recipe: str = ""
    question: str = ""


def write(
    run: Run,
    workdir: pathlib.Path,
    sections: list[Section],
    skipped: list[str],
    evaluation: Evaluation,
    step: int | None,
    decoder: Live,
    hover: dict[str, Any] | None,
) -> pathlib.Path:
    """Writes `report.html`; pictures that would pass the size limit are linked.

    The decoder, and what the map tells of the points of the latent space, are left out
    where the pictures leave no room for them.

    Returns:
      The path of the page.
    """
    config = run.config
    step = evaluation.step if step is None else step
    command = "python -m infovae_jax.main --mode="
    at = f" --workdir={shlex.quote(str(workdir))}"
    member = "" if run.member is None else f" --member={run.member}"
    versions = f"infovae_jax {infovae_jax.__version__}, jax {jax.__version__}"
    shown = "" if step is None else f"pictures of {_steps(run, step)}; "
    path = workdir / "report.html"
    pictures = _embedded(sections)
    room = 0.95 * MAX_BYTES - sum(len(p["image"] or "") for p in pictures)
    decoder = decoder if _size_of(decoder.data) < room else NO_ROOM
    room -= _size_of(decoder.data)
    text = _template().render(
        title=f"{config.objective} on {_name(config.data.source)}, seed {config.seed}",
        facts=shown + versions,
        what=headline.what(run),
        headline=headline.figures(run, evaluation),
        commands=headline.commands(run, workdir),
        questions=_by_question(pictures),
        live=decoder,
        script=live.script,
        map=_map_that_fits(hover, room),
        evaluation=evaluation,
        evaluate=f"{command}evaluate{at}",
        provenance=_provenance(run, evaluation),
        older=None not in (step, evaluation.step) and step != evaluation.step,
        step=step,
        decision=run.dataset.decision,
        skipped=skipped,
        report=f"{command}report{at}{member}",
        config=config_lib.to_json(config),
    )
    write_atomically(path, text)
    return path


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("infovae_jax.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _embedded(sections: list[Section]) -> list[dict[str, Any]]:
    """The pictures as base64, as many as fit into the page."""
    size, embedded = 0, []
    for section in sections:
        image = base64.b64encode(section.path.read_bytes()).decode()
        fits = size + len(image) < 0.95 * MAX_BYTES
        size += len(image) if fits else 0
        width, height = _size(section.path)
        own = {
            "id": section.path.stem,
            "file": section.path.name,
            "alt": f"{section.title}. {section.caption.split('. ')[0].rstrip('.')}.",
            "width": width,
            "height": height,
            "size": "wide" if width > NARROW else "narrow",
        }
        embedded.append(section._asdict() | own | {"image": image if fits else None})
    return embedded


def _map_that_fits(given: dict[str, Any] | None, room: float) -> dict[str, Any] | None:
    """The map, or where its pictures leave no room for it the map without them."""
    if given is None or _size_of(given) < room:
        return given
    plain = {k: v for k, v in given.items() if k not in hover_map.OF_PICTURES}
    return plain if _size_of(plain) < room else None


def _size_of(given: dict[str, Any] | None) -> int:
    return len(json.dumps(given))


def _by_question(sections: list[dict[str, Any]]) -> list[tuple[str, list]]:
    """(question, its pictures) in the order of the first picture of each."""
    by_question: dict[str, list] = {}
    for section in sections:
        by_question.setdefault(section["question"], []).append(section)
    return list(by_question.items())


def _size(path: pathlib.Path) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    header = path.read_bytes()[16:24]
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")


def _name(source: str) -> str:
    """A source as a heading has it: of a path the last part."""
    return pathlib.PurePath(source).name or source


def _steps(run: Run, step: int) -> str:
    return f"step {step} (epoch {step / run.steps_per_epoch:.4g})"


def _provenance(run: Run, evaluation: Evaluation) -> str:
    """From which parameters, seeds and examples the figures are."""
    config, recipe = run.config, dict(evaluation.recipe)
    recipe["seeds"] = (
        f"{config.seed} of the run, {config.data.split_seed} of the split, "
        f"{recipe.pop('seed', 'unknown')} of the evaluation"
    )
    facts = [
        "step unknown" if evaluation.step is None else _steps(run, evaluation.step),
        f"{evaluation.split} split of {config.data.source}",
        *(f"{key}: {value}" for key, value in recipe.items()),
    ]
    return "; ".join(facts)
