"""The report: complete, self-contained, the same each time."""

import json
import re

import jax
import numpy as np
import pytest
from PIL import Image

from infovae_jax import config as config_lib
from infovae_jax import loop, report
from infovae_jax.report import figures

# Pictures of codes that have parts, which a clustering run's has not.
PARTS = {
    "masked",
    "plane",
    "information_curves",
    "factor_kl",
    "shared_traversals",
    "class_traversals",
    "class_samples_wide",
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
    run = loop.open_run(config, say=lambda text: None)
    workdir = tmp_path / "run"
    loop.claim_workdir(config, workdir)
    return run, run.objective.init(jax.random.key(0)), workdir


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
    names = {picture[0] for picture in report.PICTURES} - PARTS
    assert {p.stem for p in (workdir / "figures").glob("*.png")} == names
    for name in names:
        with Image.open(workdir / "figures" / f"{name}.png") as image:
            assert image.format == "PNG"
            assert 200 < image.width < 2500
            assert 100 < image.height < 3500
    assert text.count('src="data:image/png;base64,') == len(names)
    # Nothing is fetched: every source is embedded, every link stays in the page.
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", text)
    assert "Not evaluated yet" in text


def test_a_vae_without_labels_skips_what_does_not_apply(make_config, tmp_path):
    run, params, workdir = opened(make_config, "vae", tmp_path, labels=False)
    text = report.write(run, params, workdir).read_text()
    assert "Not applicable to this run" in text
    for title in ("Samples of each cluster", "Clusters against labels", "Training"):
        assert title in text.split("Not applicable to this run")[1].split("</p>")[0]
    assert not (workdir / "figures" / "confusion_matrix.png").exists()


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
    report.write(run, params, workdir)
    made = {p.stem for p in (workdir / "figures").glob("*.png")}
    assert pictures <= made
    others = PARTS - pictures
    assert not others & made


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
    picture = figures.tile(images)[..., 0]
    np.testing.assert_array_equal(picture, [[0, 1, 1], [1, 1, 1], [2, 1, 3]])


def test_sample_grid_of_colour_images(tmp_path):
    report.sample_grid(
        np.random.default_rng(0).random((7, 6, 5, 3)), tmp_path / "a.png"
    )
    with Image.open(tmp_path / "a.png") as image:
        assert len(image.convert("RGB").getcolors(1_000_000)) > 100
