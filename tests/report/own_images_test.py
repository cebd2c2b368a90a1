"""Images of one's own: what is written is what the estimators give; refusals."""

import numpy as np
import pytest
import small_run
from PIL import Image

from infovae_jax import load
from infovae_jax.evaluation import code_paths, row_files
from infovae_jax.training.saved import open_model

MODES = ("reconstruct", "interpolate", "traverse")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained run, whose data are gone, and six images."""
    folder = tmp_path_factory.mktemp("own")
    np.savez(folder / "x.npz", **small_run.images())
    config = small_run.make_config(folder / "x.npz")
    small_run.train_for_new_data(folder / "run", config)
    (folder / "x.npz").unlink()
    np.save(folder / "new.npy", small_run.images(seed=1)["x"][:6])
    return folder


def apply(run_main_inprocess, mode, folder, name):
    """What a mode writes of `folder/name` by the run in `folder/run`."""
    done = run_main_inprocess(
        f"--mode={mode}",
        f"--workdir={folder / 'run'}",
        f"--input={folder / name}",
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "run" / f"{mode}.npz") as arrays:
        return dict(arrays)


def test_files_hold_what_the_estimator_gives(folder, run_main_inprocess):
    x = np.load(folder / "new.npy")
    model = load(folder / "run")
    made = {}
    for mode in MODES:
        written = apply(run_main_inprocess, mode, folder, "new.npy")
        with Image.open(folder / "run" / f"{mode}.png") as image:
            assert len(image.convert("L").getcolors(100_000)) > 10
        made[mode] = written
    tight = {"rtol": 1e-5, "atol": 1e-6}
    whole = made["reconstruct"]
    np.testing.assert_array_equal(whole["x"][..., 0], x)
    np.testing.assert_array_equal(whole["code"], model.transform(x))
    np.testing.assert_array_equal(whole["reconstruction"][..., 0], model.reconstruct(x))
    walks = made["interpolate"]["image"][..., 0]
    np.testing.assert_allclose(walks, model.interpolate(x), **tight)
    assert walks.shape == (5, 10, 4, 4)
    np.testing.assert_allclose(walks[:, 0], model.reconstruct(x)[:-1], **tight)
    np.testing.assert_allclose(walks[:, -1], model.reconstruct(x)[1:], **tight)
    moved, found = made["traverse"], model.traverse(x)
    count = len(moved["x"])
    assert 1 <= count <= 6
    np.testing.assert_array_equal(moved["dim"], found.dims)
    assert list(moved["dim_name"]) == found.names
    np.testing.assert_allclose(moved["image"][..., 0], found.images[:count], **tight)
    middle = moved["image"][:, :, 5, ..., 0]
    expected = np.broadcast_to(model.reconstruct(x)[:count, None], middle.shape)
    np.testing.assert_allclose(middle, expected, **tight)


def test_numbers_that_were_scaled_come_back(tmp_path, run_main_inprocess):
    x = np.random.default_rng(0).normal(3, 1, (40, 6)) * np.logspace(-2, 3, 6)
    np.save(tmp_path / "x.npy", x)
    config = small_run.make_config(tmp_path / "x.npy")
    small_run.train_for_new_data(tmp_path / "run", config)
    intake = open_model(str(tmp_path / "run")).run.dataset.intake
    assert intake.scaling.kind == "standardize"
    model = load(tmp_path / "run")
    made = {
        "reconstruct": ("reconstruction", lambda _: model.reconstruct(x)),
        "interpolate": ("image", lambda _: model.interpolate(x)),
        "traverse": ("image", lambda arrays: model.traverse(x, arrays["dim"]).images),
    }
    for mode, (name, expect) in made.items():
        arrays = apply(run_main_inprocess, mode, tmp_path, "x.npy")
        own, shown = arrays["x"].reshape(-1, 6), arrays[name]
        expected = expect(arrays)
        np.testing.assert_allclose(own, x[: len(own)], rtol=1e-4)
        found = shown.reshape(len(shown), *expected.shape[1:])
        np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-3, atol=1e-4)


def test_an_output_and_a_number_of_images(folder, run_main_inprocess, tmp_path):
    (tmp_path / "a.npz").write_text("of before")
    done = run_main_inprocess(
        "--mode=reconstruct",
        f"--workdir={folder / 'run'}",
        f"--input={folder / 'new.npy'}",
        "--num_samples=2",
        f"--output={tmp_path / 'a.npz'}",
    )
    assert done.returncode == 0, done.stderr
    assert "the first 2 images; --num_samples" in done.stdout
    assert f"replaced {tmp_path / 'a.npz'}" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["reconstruction"].shape == (2, 4, 4, 1)


def test_names_of_files_and_a_fault_on_the_way(
    folder, run_main_inprocess, tmp_path, monkeypatch
):
    for number, x in enumerate(np.load(folder / "new.npy")[:3]):
        path = tmp_path / "pictures" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.uint8(255 * x)).save(path)
    command = (
        "--mode=reconstruct",
        f"--workdir={folder / 'run'}",
        f"--input={path.parent}",
        f"--output={tmp_path / 'a.npz'}",
    )
    done = run_main_inprocess(*command)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["file"].tolist() == ["0.png", "1.png", "2.png"]
    before = (tmp_path / "a.npz").read_bytes()
    left = tmp_path / ".a.npz-infovae-999999999-abcdefgh"
    left.mkdir()
    monkeypatch.setattr(row_files, "write_arrays", fails)
    assert run_main_inprocess(*command).returncode == 6
    assert (tmp_path / "a.npz").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", "pictures"}


def fails(path, arrays):
    path.write_bytes(b"half")
    raise OSError(28, "No space left")


REFUSALS = {
    "no input": ((), 2, "needs new data"),
    "no such file": (("--input=none.npy",), 3, "no file or folder"),
    "another ending": (("--input=new.npy", "--output=a.csv"), 2, ".png, .npz"),
    "no such folder": (("--input=new.npy", "--output=none/a.png"), 2, "no folder"),
    "another shape": (("--input=wide.npy",), 3, "the model is of (4, 4, 1)"),
    "a single one": (("--input=one.npy",), 3, "a walk needs two"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(folder, run_main_inprocess, case):
    options, code, part = REFUSALS[case]
    np.save(folder / "wide.npy", np.zeros((2, 4, 5)))
    np.save(folder / "one.npy", np.load(folder / "new.npy")[:1])
    done = run_main_inprocess(
        "--mode=interpolate", "--workdir=run", *options, cwd=folder
    )
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert part in line


def test_moved_codes_and_the_dims_that_change():
    codes = np.array([[1.0, 2.0, 3.0]], np.float32)
    kinds = np.array(["prior", "free", "class"])
    observed = np.array([[0.0, -4.0, 0.0], [0.0, 6.0, 0.0]])
    z = code_paths.along(codes, np.array([0, 1]), 5, kinds, observed)
    assert z.shape == (1, 2, 5, 3)
    np.testing.assert_allclose(z[0, 0, :, 0], [-1.5, -0.25, 1.0, 2.25, 3.5])
    np.testing.assert_allclose(z[0, 1, :, 1], [-4.0, -1.5, 1.0, 3.5, 6.0])
    np.testing.assert_array_equal(z[0, 0, :, 1:], [[2.0, 3.0]] * 5)
    steps = np.linspace(-1, 1, 5)[:, None]
    images = np.stack([0.01 * steps, steps, 0.2 * steps])
    np.testing.assert_array_equal(code_paths.by_change(images), [1, 2])
    line = code_paths.straight(codes, codes + 2.0, 3)
    np.testing.assert_allclose(line[0, :, 0], [1.0, 2.0, 3.0])
