"""The report of a run: PNG figures and one HTML page that opens offline.

The figures are drawn by functions of plain arrays, for notebooks too: `pictures`.
"""

import pathlib
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from infovae_jax.errors import ConfigError, DataError
from infovae_jax.evaluation import Prepared, clustering, encode_split
from infovae_jax.report import (
    figures,
    grids,
    hover_map,
    live,
    page,
    pictures,
    rate_and_information,
    results,
)
from infovae_jax.report.gallery import (
    OF_IMAGES,
    OF_TABLES,
    PICTURES,
    of_classes,
    question_of,
)
from infovae_jax.training import files, metrics, population
from infovae_jax.training.run import Run

MAX_SAMPLES = 1024  # in one picture


def write(
    run: Run, params: Any, workdir: pathlib.Path, step: int | None = None
) -> pathlib.Path:
    """Writes `figures/*.png`, what each is drawn from as `.npz`, and `report.html`.

    Args:
      run: from `open_run`.
      params: restored parameters.
      workdir: holds `metrics.jsonl` and, where evaluated, `evaluation.json`.
      step: that the parameters belong to, for the record.

    Returns:
      The path of the page.

    Raises:
      ConfigError: `figures` is a file.
    """
    scene = _scene(run, params, workdir)
    folder = files.outlet(workdir / "figures")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            "a file in place of the folder of pictures", str(folder), "move it away"
        )
    folder.mkdir(exist_ok=True)
    sections, skipped = [], []
    is_table = bool(run.dataset.spec.blocks)
    for picture in sorted(PICTURES, key=lambda picture: question_of(picture.name)):
        hidden = is_table and picture.name in OF_IMAGES
        arrays = {} if hidden else picture.arrays(scene)
        told = run.objective.uses_labels
        title = of_classes(picture.title, told)
        path = files.outlet(folder / f"{picture.name}.png")
        if not arrays:
            if not is_table and picture.name in OF_TABLES:
                continue
            skipped.append(title)
            path.unlink(missing_ok=True)
            path.with_suffix(".npz").unlink(missing_ok=True)
            continue
        grids.save(picture.draw(**arrays), path)
        np.savez_compressed(files.outlet(path.with_suffix(".npz")), **arrays)
        recipe = scene.evaluation.recipe_of(picture.recipe)
        caption = picture.caption_for(told)
        question = of_classes(question_of(picture.name)[1], told)
        sections.append(page.Section(title, caption, path, recipe, question))
    points = hover_map.points(scene)
    where = files.outlet(folder / "latent_map_points.npz")
    where.unlink(missing_ok=True)
    if points is not None:
        np.savez_compressed(where, **points)
    scripts = live.make(scene), hover_map.make(scene, points)
    return page.write(run, workdir, sections, skipped, scene.evaluation, step, *scripts)


def redraw(path: str | pathlib.Path, **changes: Any) -> Figure:
    """A picture of a run, drawn again from the numbers beside it.

    Args:
      path: `figures/<name>.npz`.
      changes: arguments of the picture's function in place of those of the file.

    Raises:
      DataError: no picture has that name.
      OSError, ValueError: as `numpy.load`, which is not to load a pickle.
    """
    path = pathlib.Path(path)
    draw = {picture.name: picture.draw for picture in PICTURES}.get(path.stem)
    if draw is None:
        raise DataError(
            "no picture has this name", str(path), "give a figures/<name>.npz of a run"
        )
    with np.load(path, allow_pickle=False) as arrays:
        return draw(**{**arrays, **changes})


def compare_runs(
    path: pathlib.Path,
    figures_of: dict[str, dict[str, float]],
    rows_of: dict[str, list[dict[str, float]]],
) -> None:
    """Saves a PNG of finished runs in the planes of rate and of information.

    A plane for which no run has points is left out.

    Args:
      path: of the PNG.
      figures_of: name of a run -> its figures, as in `evaluation.json`; empty for
        the information plane alone.
      rows_of: name of a run -> its rows of `metrics.jsonl`.

    Raises:
      ConfigError: no run has points.
    """
    rates = {
        name: rate_and_information.rate_distortion_points([found], "elbo/")
        for name, found in figures_of.items()
    }
    informations = {
        name: rate_and_information.information_points(rows)
        for name, rows in rows_of.items()
    }
    rates, informations = (
        [(name, points) for name, points in of.items() if len(points)]
        for of in (rates, informations)
    )
    if not rates and not informations:
        raise ConfigError(
            "no run has figures of a plane",
            ", ".join(rows_of),
            "train with config.evaluation.plane, on data with labels",
        )
    grids.save(pictures.of_runs(rates, informations), path)


def sample_grid(images: np.ndarray, path: pathlib.Path) -> int:
    """Saves images `[n, H, W, C]` as one PNG; black to white is their own range.

    Returns:
      How many are drawn: the first MAX_SAMPLES where there are more.
    """
    images = images[:MAX_SAMPLES]
    limits = (min(0.0, float(images.min())), max(1.0, float(images.max())))
    grids.save(grids.square_grid(images, limits), path)
    return len(images)


def _scene(run: Run, params: Any, workdir: pathlib.Path) -> figures.Scene:
    codes = encode_split(run, params, run.dataset.test_x)
    key = jax.random.key(run.config.evaluation.seed)
    matched = None
    if codes.logits is not None and run.dataset.test_y is not None:
        clusters, count = codes.logits.argmax(-1), codes.logits.shape[-1]
        table = clustering.contingency(clusters, run.dataset.test_y, count)
        matched = clustering.match_clusters(table)
        if run.objective.uses_labels:
            matched = np.arange(count)  # a class is its label
    return figures.Scene(
        run=run,
        params=params,
        codes=codes,
        test_x=Prepared(run, run.dataset.test_x),
        rows=metrics.read_metrics(workdir, run.member),
        evaluation=results.read(workdir),
        population=population.read(workdir),
        key=key,
        matched=matched,
    )
