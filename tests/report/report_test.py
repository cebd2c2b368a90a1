"""The report: complete, self-contained, the same each time."""

import json
import random
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from matplotlib import cbook
from matplotlib.figure import Figure
from PIL import Image

from infovae_jax import config as config_lib
from infovae_jax import report
from infovae_jax.errors import CheckpointError, ConfigError
from infovae_jax.report import (
    figures,
    grids,
    rate_and_information,
    results,
    scores,
    style,
)
from infovae_jax.training import files
from infovae_jax.training.run import claim_workdir, open_run

# Pictures of codes that have parts, which a clustering run's has not.
PARTS = {
    "masked",
    "plane",
    "information_curves",
    "factor_kl",
    "shared_traversals",
    "class_traversals",
    "class_samples_wide",
    "members",  # of a population
}
# Charts of figures that are not there yet after training.
EVALUATED = {
    "information_plane",
    "density",
    "probe_accuracy",
    "robustness",
    "disentanglement",
    "generation",
    "artificial",
    "calibration",
}
FIGURES = {
    "elbo": -20.0,
    "nll": 19.0,
    "nll/standard_error": 0.2,
    "bits_per_dim": 1.4,
    "ais/nll": 18.5,
    "ais/gap": 0.4,
    "probe/linear_100": 0.8,
    "probe/linear_600": 0.9,
    "probe/knn_100": 0.7,
    "probe/tsvm_100": 0.75,
    "robust/clean": 0.9,
    "robust/gaussian_0.5": 0.4,
    "robust/gaussian_0.1": 0.8,
    "robust/mask_0.3": 0.5,
    "robust/mask_area": 0.7,
    "disentanglement/mig": 0.1,
    "disentanglement/dci_completeness": 0.3,
    "generation/precision": 0.9,
    "generation/density": 1.1,
    "generation/frechet": 12.0,
    "generation/frechet_floor": 3.0,
    "artificial/accuracy_0": 0.97,
    "artificial/accuracy_0.4": 0.95,
    "artificial/accuracy_1": 0.9,
    "calibration/confidence": [None, 0.4, 0.9],
    "calibration/accuracy": [None, 0.3, 0.8],
    "calibration/share": [0.0, 0.2, 0.8],
    "novel/figure": 4,
}

pytestmark = pytest.mark.filterwarnings("ignore:.*n_jobs.*")


def opened(make_config, name, tmp_path, labels=True, hostile=""):
    """A run of 60 random images with fresh parameters."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.random((60, 5, 4, 1), dtype=np.float32)}
    if labels:
        arrays["y"] = np.arange(60) % 3
    source = tmp_path / f"data{hostile}.npz"
    np.savez(source, **arrays)
    config = make_config(name)
    config.data.source = str(source)
    config.data.test_fraction = 0.5
    config.train.batch_size = 8
    run = open_run(config, say=lambda text: None)
    workdir = tmp_path / "run"
    claim_workdir(config, workdir)
    return run, run.objective.init(jax.random.key(0)), workdir


def write_evaluation(workdir, figures, **others):
    """An evaluation.json with these figures; the recipe of x is 'how x'."""
    result = {
        "step": 6,
        "split": "test",
        "recipe": {"examples": 30},
        "metrics": figures,
        "table": [[name, "1", f"how {name}"] for name in figures],
        **others,
    }
    (workdir / "evaluation.json").write_text(json.dumps(result))


def evaluated_scene(tmp_path, num_labels=3, rows=()):
    """What the charts of the evaluation take of a scene."""
    spec = SimpleNamespace(num_labels=num_labels)
    config = SimpleNamespace(evaluation=SimpleNamespace(seed=0))
    dataset = SimpleNamespace(spec=spec, test_x=np.zeros(4), test_y=None)
    run = SimpleNamespace(dataset=dataset, config=config)
    return SimpleNamespace(run=run, evaluation=results.read(tmp_path), rows=list(rows))


def drawn(name, scene):
    """The picture of that name."""
    [picture] = [p for p in report.PICTURES if p.name == name]
    return picture.draw(**picture.arrays(scene))


def assert_drawn_again(workdir):
    """Every picture of a run follows from the arrays beside it, to the byte."""
    pictures = sorted((workdir / "figures").glob("*.png"))
    assert pictures
    for path in pictures:
        grids.save(report.redraw(path.with_suffix(".npz")), workdir / "again.png")
        assert (workdir / "again.png").read_bytes() == path.read_bytes(), path


@pytest.mark.long
def test_page_and_pictures_of_a_clustering_run(make_config, tmp_path):
    run, params, workdir = opened(make_config, "infocatvae", tmp_path)
    row = (
        '{"step": %d, "epoch": %d, "loss": 1.0, "term/kl_z": 0.5, "test/elbo": -2.0, '
        '"test/reconstruction": 1.5, "test/kl_z": 0.5}\n'
    )
    (workdir / "metrics.jsonl").write_text(row % (3, 1) + row % (6, 2))
    path = report.write(run, params, workdir)
    text = path.read_text()
    assert len(text) < 5_000_000
    names = {picture.name for picture in report.PICTURES} - PARTS - EVALUATED
    names -= report.OF_TABLES
    assert {p.stem for p in (workdir / "figures").glob("*.png")} == names
    for name in names:
        with Image.open(workdir / "figures" / f"{name}.png") as image:
            assert image.format == "PNG"
            assert 200 < image.width < 2500
            assert 100 < image.height < 3500
    assert text.count('src="data:image/png;base64,') == len(names)
    assert_drawn_again(workdir)
    # Nothing is fetched: every source is embedded, every link stays in the page.
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", text)
    assert "Not evaluated yet" in text


def test_a_vae_without_labels_skips_what_does_not_apply(make_config, tmp_path):
    run, params, workdir = opened(make_config, "vae", tmp_path, labels=False)
    text = report.write(run, params, workdir).read_text()
    assert "Not applicable to this run" in text
    assert "Density" in text.split("Not applicable to this run")[1].split("</p>")[0]
    for title in ("Samples of each cluster", "Clusters against labels", "Training"):
        assert title in text.split("Not applicable to this run")[1].split("</p>")[0]
    assert not (workdir / "figures" / "confusion_matrix.png").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("infomax_vae", {"masked", "plane"}),
        ("mi_vae", {"masked", "plane", "information_curves"}),
        (
            "n_vae",
            {
                "masked",
                "shared_traversals",
                "class_traversals",
                "class_samples_wide",
                "factor_kl",
                "cluster_samples",
            },
        ),
    ],
)
def test_pictures_of_a_code_in_parts(make_config, tmp_path, name, pictures):
    run, params, workdir = opened(make_config, name, tmp_path)
    dims = {}
    if name == "mi_vae":
        dims = {f"dim/{k}_{j}": 0.1 * j for k in ("mi", "rate") for j in range(20)}
    rows = [
        {"step": s, "epoch": s, "loss": 1.0, "term/reconstruction": 2.0, **dims}
        for s in (1, 2)
    ]
    (workdir / "metrics.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))
    if name == "n_vae":
        dims = run.objective.latent_dim - 3
        table = [[0.1 * j for j in range(dims)], [0.0] * dims, [None] * dims]
        write_evaluation(workdir, {"factors/kl_by_class": table})
    report.write(run, params, workdir)
    if name == "n_vae":
        with np.load(workdir / "figures" / "confusion_matrix.npz") as arrays:
            assert arrays["matched"].tolist() == [0, 1, 2]  # a class is its label
            assert arrays["rows"] == "class"
    made = {p.stem for p in (workdir / "figures").glob("*.png")}
    assert pictures <= made
    others = PARTS - pictures
    assert not others & made
    assert_drawn_again(workdir)


@pytest.mark.long
def test_same_run_same_bytes(make_config, tmp_path):
    run, params, workdir = opened(make_config, "catvae", tmp_path)
    report.write(run, params, workdir)
    first = {p.name: p.read_bytes() for p in (workdir / "figures").iterdir()}
    report.write(run, params, workdir)
    assert first == {p.name: p.read_bytes() for p in (workdir / "figures").iterdir()}


def test_names_are_escaped(make_config, tmp_path):
    run, params, workdir = opened(make_config, "vae", tmp_path, hostile="<b>&")
    config = config_lib.from_json((workdir / "config.json").read_text())
    assert "<b>&" in config.data.source
    text = report.write(run, params, workdir).read_text()
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;" in text


def test_tile_places_images_with_gaps():
    images = np.arange(4, dtype=float).reshape(2, 2, 1, 1, 1)
    picture = grids.tile(images)[..., 0]
    np.testing.assert_array_equal(picture, [[0, 1, 1], [1, 1, 1], [2, 1, 3]])


def test_sample_grid_of_colour_images(tmp_path):
    report.sample_grid(
        np.random.default_rng(0).random((7, 6, 5, 3)), tmp_path / "a.png"
    )
    with Image.open(tmp_path / "a.png") as image:
        assert len(image.convert("RGB").getcolors(1_000_000)) > 100


def test_of_very_many_samples_the_first_are_drawn(tmp_path):
    images = np.zeros((3000, 2, 2, 1))
    assert report.sample_grid(images[:7], tmp_path / "a.png") == 7
    assert report.sample_grid(images, tmp_path / "b.png") == report.MAX_SAMPLES
    with Image.open(tmp_path / "b.png") as image:
        assert max(image.size) < 5000


@pytest.mark.long
def test_the_evaluation_is_shown_in_sections_with_charts(make_config, tmp_path):
    run, params, workdir = opened(make_config, "vae", tmp_path)
    write_evaluation(workdir, FIGURES)
    row = {
        "step": 6,
        "epoch": 2,
        "loss": 1.0,
        "information/data": 2.0,
        "information/label": 0.5,
    }
    (workdir / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    text = report.write(run, params, workdir, step=6).read_text()
    assert {p.stem for p in (workdir / "figures").glob("*.png")} >= EVALUATED
    assert_drawn_again(workdir)
    table = text.split("<table>")[1].split("</table>")[0]
    for name in FIGURES:
        assert f"<td>{name}</td>" in table
        assert f"how {name}" in table
    titles = [title for title, _ in results.SECTIONS if f">{title}<" in table]
    places = [table.index(f">{title}<") for title in titles]
    assert places == sorted(places)
    assert titles[0] == "Bound and likelihood"
    assert "Clusters" not in titles
    assert table.index(f">{results.OTHER}<") > places[-1]
    # Which figures, and the command that gives them again.
    assert "step 6 (epoch 2); test split of" in text
    groups = "likelihood,representation,disentanglement,generation"
    assert f"--mode=evaluate --workdir={workdir} --metrics={groups}</code>" in text
    assert "older than the pictures" not in text
    assert "[probe/linear_100: how probe/linear_100]" in text
    text = report.write(run, params, workdir, step=9).read_text()
    assert "older than the pictures" in text


def test_charts_show_the_figures(tmp_path):
    write_evaluation(tmp_path, FIGURES)
    scene = evaluated_scene(tmp_path)
    lines = drawn("probe_accuracy", scene).axes[0].lines
    np.testing.assert_array_equal(lines[0].get_xydata(), [[100, 0.8], [600, 0.9]])
    np.testing.assert_array_equal(lines[2].get_xydata(), [[100, 0.75]])
    assert lines[3].get_ydata()[0] == pytest.approx(1 / 3)  # guessing
    gaussian, mask = (axes.lines[0] for axes in drawn("robustness", scene).axes)
    expected = [[0, 0.9], [0.1, 0.8], [0.5, 0.4]]
    np.testing.assert_array_equal(gaussian.get_xydata(), expected)
    np.testing.assert_array_equal(mask.get_xydata(), [[0, 0.9], [0.3, 0.5]])
    axes = drawn("artificial", scene).axes[0]
    expected = [[0, 0.97], [0.4, 0.95], [1, 0.9]]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), expected)
    left, right = drawn("generation", scene).axes
    assert [bar.get_width() for bar in left.patches] == [0.9, 1.1]
    assert [bar.get_width() for bar in right.patches] == [12.0, 3.0]
    # Bars of the IWAE bound (two standard errors) and of AIS (the gap, upwards).
    lines = [tuple(line.get_xdata()) for line in drawn("density", scene).axes[0].lines]
    np.testing.assert_allclose(lines[0], [-20.0])
    np.testing.assert_allclose(lines[1], [-19.4, -18.6])
    np.testing.assert_allclose(lines[3], [-18.5, -18.1])
    errors = {"ais/nll": 0.25}
    figures = {**FIGURES, "ais/gap": -0.1}
    write_evaluation(tmp_path, figures, standard_errors=errors)
    axes = drawn("density", evaluated_scene(tmp_path)).axes[0]
    np.testing.assert_allclose(axes.lines[3].get_xdata(), [-19.0, -18.0])
    top, bottom = drawn("calibration", scene).axes
    heights = [bar.get_height() for bar in top.patches]
    assert np.isnan(heights[0])
    assert heights[1:] == [0.3, 0.8]
    assert [bar.get_height() for bar in bottom.patches] == [0.0, 0.2, 0.8]
    bars = drawn("disentanglement", scene).axes[0]
    assert [bar.get_width() for bar in bars.patches] == [0.1, 0.3]
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert names == ["MIG", "DCI completeness"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "Not evaluated yet"),
        ('{"metr', "damaged"),
        ("[1]", "damaged"),
        ("{}", "holds no figures"),
        ('{"metrics": {"elbo": -1.5, "odd": [1, 2]}}', ""),
        ('{"metrics": {"elbo": null}, "table": [["elbo", "-"]]}', ""),
    ],
)
def test_a_missing_damaged_or_older_evaluation(tmp_path, text, problem):
    if text is not None:
        (tmp_path / "evaluation.json").write_text(text)
    found = results.read(tmp_path)
    assert problem in found.problem
    assert bool(problem) == bool(found.problem)
    scene = evaluated_scene(tmp_path)
    for draw in (scores.density, scores.probe_accuracy, scores.robustness):
        assert draw(scene) is None
    for draw in (scores.generation, scores.disentanglement, scores.calibration):
        assert draw(scene) is None
    if not problem:
        [(title, rows)] = found.sections()[:1]
        assert (title, rows[0][0]) == ("Bound and likelihood", "elbo")
        assert found.groups() == "core"


def test_a_flipped_bit_of_an_evaluation_is_never_shown(tmp_path):
    path = tmp_path / "evaluation.json"
    figures = {"elbo": -1.5, "nll": 1.25, "rate/z": [0.5, 0.25], "none": None}
    record = {"step": 3, "metrics": figures, "table": [["elbo", "-1.5", "one sample"]]}
    files.write_record(path, record)
    whole, expected = path.read_bytes(), results.read(tmp_path)
    assert expected.metrics == figures
    chosen = random.Random(0)
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[chosen.randrange(len(whole))] ^= 1 << chosen.randrange(8)
        path.write_bytes(bytes(flipped))
        found = results.read(tmp_path)
        assert found.problem == results.DAMAGED or found == expected
        if found.problem:
            with pytest.raises(CheckpointError, match="damaged"):
                results.require_whole(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '{"metrics": {"elbo": "a"}}',
        '{"metrics": {}, "table": 5}',
        '{"metrics": {}, "table": [5]}',
        '{"metrics": {}, "step": "3"}',
        '{"metrics": {}, "recipe": []}',
        '{"metrics": {}, "standard_errors": {"elbo": "b"}}',
        '{"metrics": {}, "standard_errors": 3}',
        "[" * 100_000,
    ],
)
def test_an_evaluation_of_other_types_is_damaged(tmp_path, text):
    (tmp_path / "evaluation.json").write_text(text)
    assert results.read(tmp_path).problem == results.DAMAGED
    with pytest.raises(CheckpointError) as caught:
        results.figures(tmp_path)
    assert caught.value.exit_code == 4


def test_information_plane_of_a_run_and_its_ceilings(tmp_path):
    rows = [
        {"step": s, "epoch": s, "information/data": s, "information/label": s / 4}
        for s in (1, 2, 3)
    ]
    rows.insert(1, {"step": 1.5, "epoch": 1.5, "loss": 3.0})
    scene = evaluated_scene(tmp_path, rows=rows)
    scene.labels = np.array([0, 0, 1, 1])
    axes = drawn("information_plane", scene).axes[0]
    path, last, first, right, up = axes.lines
    np.testing.assert_allclose(path.get_xydata(), [[1, 0.25], [2, 0.5], [3, 0.75]])
    np.testing.assert_allclose(last.get_xydata(), [[3, 0.75]])
    np.testing.assert_allclose(first.get_xydata(), [[1, 0.25]])
    assert right.get_xdata()[0] == pytest.approx(np.log(4))
    assert up.get_ydata()[0] == pytest.approx(np.log(2))
    scene.rows = [{"step": 1, "epoch": 1, "information/data": 1.0}]  # no labels
    assert rate_and_information.information(scene) is None


@pytest.mark.parametrize("name", ["$5 to $10", r"$\frac$", "_a $", "$", "<b>&"])
def test_names_of_labels_are_drawn_as_they_are(name, tmp_path):
    """Dollars are no formula, and nothing ends the report."""
    figure = Figure()
    axes = figure.add_subplot()
    title = axes.set_title(style.plain(name))
    axes.plot([0, 1], label=style.plain(name))
    axes.legend()
    figure.savefig(tmp_path / "x.png")
    # What is drawn is the name: as long as its letters, and no mathematics.
    assert not cbook.is_math_text(title.get_text())
    assert title.get_text().strip().replace(r"\$", "$") == name


@pytest.mark.parametrize("shape", [(1, 20, 1), (20, 1, 1), (1, 5000, 2)])
def test_signals_are_lines_in_cells_of_bounded_size(shape):
    images = np.random.default_rng(0).random((3, 4, *shape), np.float32)
    figure = grids.image_grid(images, (0.0, 1.0), ["a", "b", "c"], list("wxyz"))
    (axes,) = figure.axes
    assert len(axes.collections[0].get_segments()) == 3 * 4 * shape[-1]
    assert not axes.images
    assert max(figure.get_size_inches()) < 5
    assert list(axes.get_xticks()) == [0.5, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("shape", [(1, 20, 1), (5, 5, 1)])
def test_a_blank_cell_is_blank(shape):
    images = np.random.default_rng(0).random((2, 2, *shape), np.float32)
    images[0, 1] = np.nan
    (axes,) = grids.image_grid(images, (0.0, 1.0)).axes
    if 1 in shape[:2]:
        assert len(axes.collections[0].get_segments()) == 3
    else:
        assert (axes.images[0].get_array()[:5, 6:] == 1).all()


def test_long_images_are_drawn_shorter():
    for height, width in ((3, 300), (300, 3)):
        images = np.zeros((8, 10, height, width, 1), np.float32)
        figure = grids.image_grid(images, (0.0, 1.0))
        assert figure.axes[0].images
        sides = figure.get_size_inches()
        assert max(sides) / min(sides) < 5


def test_a_map_of_one_dim_and_of_few_examples():
    codes = SimpleNamespace(mean=np.arange(8.0)[:, None], logits=None)
    config = SimpleNamespace(evaluation=SimpleNamespace(seed=0))
    dataset = SimpleNamespace(test_x=codes.mean, test_y=None)
    run = SimpleNamespace(config=config, dataset=dataset)
    scene = SimpleNamespace(codes=codes, labels=None, run=run)
    points = drawn("latent_map", scene).axes[0].collections[0].get_offsets()
    np.testing.assert_array_equal(points, [[i, 0] for i in range(8)])
    codes.mean = dataset.test_x = np.zeros((3, 4))
    assert figures.latent_map(scene) is None


def test_a_file_in_place_of_the_pictures(tmp_path, monkeypatch):
    (tmp_path / "figures").write_text("")
    monkeypatch.setattr(report, "_scene", lambda *_: None)
    with pytest.raises(ConfigError, match="a file in place of"):
        report.write(None, None, tmp_path)


def test_names_of_columns_are_plain_in_pictures():
    """No formula, and nothing that a warning would bring to a terminal."""
    assert style.plain("\x1b[31m$5_$10_") == r"\x1b[31m\$5_\$10_"
