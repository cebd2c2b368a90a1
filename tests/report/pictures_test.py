"""Pictures as a notebook draws them: from plain arrays, without a run."""

import chex
import numpy as np
import pytest
from matplotlib import colors

from infovae_jax import report
from infovae_jax.errors import DataError
from infovae_jax.evaluation import clustering
from infovae_jax.report import grids, pictures, style

RNG = np.random.default_rng(0)
GRID = {
    "images": RNG.random((2, 3, 4, 4, 1), np.float32),
    "value_range": (0.0, 1.0),
    "row_names": ["$a_$b_", "_c"],
    "column_names": ["x", "", "z"],
}
EPOCH = np.arange(1.0, 4.0)
PATH = {"points": RNG.random((3, 2)), "epochs": EPOCH}
LABELS = np.arange(12) % 3
COUNTS = pictures.column_counts(
    np.stack([np.arange(9.0), np.arange(9) % 2], 1),
    np.stack([np.arange(9.0) * 100, np.zeros(9)], 1),
    [(), ("yes", "no")],
)
# What each picture of the page is drawn from; those that are not here are of GRID.
ARRAYS = {
    "loss_curves": {
        "epoch": EPOCH,
        "loss": EPOCH**2,
        "term/kl_z": EPOCH,
        "test/elbo": np.array([np.nan, -3.0, -2.0]),
        "weight/kl_z": np.array([0.0, 1.0, 1.0]),
        "weight/kl_c": np.ones(3),
        "cluster/usage": EPOCH,
        "assignment/accuracy": EPOCH / 4,
        "assignment/largest": EPOCH / 5,
        "time/examples_per_second": EPOCH,
    },
    "information_curves": {
        "epoch": EPOCH,
        "part_names": ["z", "c"],
        "part_sizes": [1, 2],
        "term/reconstruction": EPOCH,
        "test/reconstruction": np.array([np.nan, 2.0, 3.0]),
        **{f"dim/{kind}_{j}": j * EPOCH for kind in ("mi", "rate") for j in range(3)},
    },
    "rate_distortion": PATH,
    "information_plane": {**PATH, "ceilings": (2.0, 1.0)},
    "members": {"points": PATH["points"], "names": ["a", "b", "a"], "own": (0.5, 0.5)},
    "density": {
        "names": ["ELBO", "AIS"],
        "values": [-20.0, -18.0],
        "below": [0.0, 0.5],
        "above": [0.0, 1.0],
        "recipes": ["nats; one draw", "nats; 100 chains"],
    },
    "probe_accuracy": {"linear_100": 0.8, "linear_600": 0.9, "chance": 0.1},
    "robustness": {
        "clean": 0.9,
        "mask_0.3": 0.5,
        "tsvm_100_clean": 0.8,
        "tsvm_100_mask_0.3": 0.4,
    },
    "generation": {"precision": 0.9, "density": 1.1, "frechet": 9.0},
    "artificial": {"accuracy_0": 0.9, "accuracy_0.5": 0.8, "chance": 0.1},
    "disentanglement": {"mig": 0.1, "novel_score": 0.3},
    "calibration": {
        "confidence": [np.nan, 0.9],
        "accuracy": [np.nan, 0.8],
        "share": [0.0, 1.0],
        "examples": 30,
    },
    "reconstructions": {
        "originals": GRID["images"].reshape(6, 4, 4, 1),
        "means": 1 - GRID["images"].reshape(6, 4, 4, 1),
    },
    "cluster_members": {
        "images": np.where(np.arange(4)[:, None, None, None] < 3, RNG.random(), np.nan)
        * np.ones((2, 3, 4, 4, 4, 1)),
        "names": ["0: 'a', 5", "1, 3"],
        "kinds": ["centre", "typical", "borderline"],
        "value_range": (0.0, 1.0),
    },
    "confusion_matrix": {"counts": [[0, 5], [7, 1], [0, 0]], "label_names": ["a", "_"]},
    "latent_map": {
        "codes": RNG.random((12, 2)),
        "clusters": LABELS,
        "labels": (LABELS + 1) % 3,
        "label_names": ["a", "b"],
    },
    "occupancy": {"hard": [0.2, 0.8], "soft": [0.3, 0.7]},
    "factor_kl": {"shared": [[0.0, 2.0], [np.nan] * 2], "own": [[0.2], [np.nan]]},
    "columns": {"names": ["length", "owns $"], "scores": [0.9, np.nan], **COUNTS},
    "cluster_profiles": {
        "means": np.array([[1.0, 2e6], [np.nan, 0.1]]),
        "away": np.array([[2.0, -1.0], [0.0, 0.1]]),
        "clusters": ["0", "1: 'b'"],
        "features": ["length", "a name that is longer than thirty-two letters"],
    },
}
NAMES = [picture.name for picture in report.PICTURES]


def drawn(figure, tmp_path):
    """The bytes of its PNG."""
    grids.save(figure, tmp_path / "x.png")
    return (tmp_path / "x.png").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_arrays_draws_the_same_picture(name, tmp_path):
    [picture] = [p for p in report.PICTURES if p.name == name]
    arrays = ARRAYS.get(name, GRID)
    np.savez(tmp_path / f"{name}.npz", **arrays)
    again = report.redraw(tmp_path / f"{name}.npz")
    assert drawn(again, tmp_path) == drawn(picture.draw(**arrays), tmp_path)


def test_every_chart_is_public_and_has_arrays_here():
    charts = {name for name in NAMES if hasattr(pictures, name)}
    assert charts == set(ARRAYS)
    helpers = {"image_grid", "layout", "column_counts", "of_runs"}
    assert charts | helpers == set(pictures.__all__)


def test_a_picture_is_drawn_again_with_other_names_and_no_other_file_is(tmp_path):
    np.savez(tmp_path / "occupancy.npz", **ARRAYS["occupancy"])
    figure = report.redraw(tmp_path / "occupancy.npz", names=["left", "right"])
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == ["left", "right"]
    with pytest.raises(DataError, match="no picture has this name"):
        report.redraw(tmp_path / "codes.npz")


def test_images_may_come_without_channels_and_signals_as_rows():
    images = GRID["images"][..., 0]
    (plain,), (full,) = (pictures.image_grid(x).axes for x in (images, GRID["images"]))
    chex.assert_trees_all_equal(plain.images[0].get_array(), full.images[0].get_array())
    # Black to white is their own range.
    assert plain.images[0].get_array().min() == 0.0
    (axes,) = pictures.image_grid(images.reshape(2, 3, 16)).axes
    assert len(axes.collections[0].get_segments()) == 6


def test_reconstructions_stand_below_their_images_ten_a_row():
    x = np.arange(12.0)[:, None, None] * np.ones((2, 2))
    (axes,) = pictures.reconstructions(x, x + 100, (0, 200)).axes
    shown = axes.images[0].get_array()[::3, ::3] * 200
    chex.assert_trees_all_close(shown[0], np.arange(10.0), atol=1e-4)
    chex.assert_trees_all_close(shown[1], np.arange(100.0, 110), atol=1e-4)
    last = np.array([10.0, 11] + [200] * 8)  # what is blank is white
    chex.assert_trees_all_close(shown[2], last, atol=1e-4)
    assert [t.get_text() for t in axes.get_yticklabels()][:2] == [
        "original",
        "mean of p(x|z)",
    ]


def test_a_confusion_matrix_needs_counts_alone():
    clusters, labels = [0, 0, 1, 1, 2], [1, 1, 0, 0, 0]
    counts = clustering.contingency(clusters, labels)
    (axes,) = pictures.confusion_matrix(counts).axes
    rows = [tick.get_text() for tick in axes.get_yticklabels()]
    # Rows in the order of their labels, that without one at last, with totals.
    assert rows == ["1: '0'  (2)", "0: '1'  (2)", "2  (1)"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["0\n3", "1\n2"]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "2", (1, 1): "2", (0, 2): "1"}


def test_a_cluster_of_the_map_has_the_colour_of_its_label():
    left, right = pictures.latent_map(**ARRAYS["latent_map"]).axes
    names = [text.get_text() for text in left.texts]
    assert names == ["0: 'b'", "1: '2'", "2: 'a'"]
    assert [text.get_text() for text in right.texts] == ["a", "b", "2"]
    for cluster, label in ((0, 1), (1, 2), (2, 0)):
        colour = left.collections[cluster].get_facecolor()
        chex.assert_trees_all_equal(colour, right.collections[label].get_facecolor())
    codes = ARRAYS["latent_map"]["codes"]
    (alone,) = pictures.latent_map(codes, clusters=LABELS).axes
    found = [colors.to_hex(some.get_facecolor()[0]) for some in alone.collections]
    assert found == list(style.CATEGORIES[:3])
    assert alone.get_title() == "by cluster"  # no labels, no match
    assert left.get_title() == "by cluster: matched label"


def test_classes_have_the_names_of_their_labels():
    counts = [[3, 0], [1, 5]]
    names = {"matched": [0, 1], "label_names": ["cat", "dog"]}
    (axes,) = pictures.confusion_matrix(counts, rows="class", **names).axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["cat  (3)", "dog  (6)"]
    assert axes.get_ylabel() == "class (total)"
    given = ARRAYS["latent_map"] | {"labels": None, "clusters": LABELS % 2} | names
    (axes,) = pictures.latent_map(**given, what="class").axes
    assert axes.get_title() == "by class"
    assert [text.get_text() for text in axes.texts] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("names", "degrees"),
    [
        (["0: '7'"] * 10, 0),
        (["0: 'automobile'", "1: 'frog'"], 90),
        (["automobile\n1", "truck\n12"], 0),
        (["wrongly matched", "", "", ""], 0),
        (["alone, however long it is"], 0),
        ([], 0),
    ],
)
def test_names_that_do_not_fit_are_turned(names, degrees):
    assert style.rotation(names, 0.62) == degrees


def test_a_grid_keeps_the_room_of_turned_names():
    long = ["a long name of a column"] * 4
    (axes,) = pictures.image_grid(GRID["images"][:1], column_names=long[:3]).axes
    figure = axes.figure
    figure.canvas.draw()
    top = max(tick.get_window_extent().y1 for tick in axes.get_xticklabels())
    assert top <= figure.bbox.y1
    assert {tick.get_rotation() for tick in axes.get_xticklabels()} == {90.0}


def test_codes_of_many_dims_are_laid_out_as_groups():
    codes = np.repeat(20.0 * np.eye(5), 8, axis=0) + RNG.normal(size=(40, 5))
    flat = pictures.layout(codes)
    chex.assert_shape(flat, (40, 2))
    groups = flat.reshape(5, 8, 2)
    spread = np.linalg.norm(groups - groups.mean(1, keepdims=True), axis=-1).max()
    distances = np.linalg.norm(groups.mean(1)[:, None] - groups.mean(1), axis=-1)
    assert spread < distances[~np.eye(5, dtype=bool)].min() / 2
    chex.assert_trees_all_equal(pictures.layout(flat), flat)


def test_columns_are_counted_over_the_range_of_the_data():
    chex.assert_shape(COUNTS["edges"], (2, 25))
    assert COUNTS["edges"][0, [0, -1]].tolist() == [-0.8, 8.8]
    # What the model draws beyond stands at the edge; nothing is lost.
    assert COUNTS["test"][0].sum() == COUNTS["model"][0].sum() == 9
    assert COUNTS["model"][0, -1] == 8
    chex.assert_trees_all_close(COUNTS["test"][1, :2], np.array([5, 4]) / 9)
    chex.assert_trees_all_close(COUNTS["model"][1, :2], np.array([1.0, 0.0]))
    assert np.isnan(COUNTS["test"][1, 2:]).all()
    assert COUNTS["levels"][1, :3].tolist() == ["yes", "no", ""]


def test_loss_curves_leave_out_what_was_not_measured():
    axes = pictures.loss_curves(**ARRAYS["loss_curves"]).axes
    titles = [panel.get_title() for panel in axes]
    assert titles[:3] == ["bound", "kl z", "cluster/usage"]
    assert titles[3:] == ["assignments, test", "weights that change"]
    train, test = axes[0].lines
    chex.assert_trees_all_equal(train.get_xydata()[:, 0], EPOCH)
    chex.assert_trees_all_equal(test.get_xydata(), np.array([[2.0, 3.0], [3.0, 2.0]]))
    assert len(axes[-1].lines) == 1  # a weight that stays is not drawn
