"""The scripts beside the package."""

import io
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.process

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_faces_are_resized_split_by_subject_and_keep_their_factors(tmp_path):
    rng = np.random.default_rng(0)
    subject = np.repeat([1, 2, 39], 20)
    azimuth = rng.integers(-130, 131, 60)
    image = rng.integers(0, 256, (60, 96, 84)).astype(np.uint8)
    image[:, 0] = (np.arange(60) * 4)[:, None]  # by which an image is known again
    source, target = tmp_path / "faces.npz", tmp_path / "out.npz"
    np.savez(
        source,
        image=image,
        subject=subject,
        azimuth=azimuth,
        elevation=np.arange(60),
        filename=np.array(["a"] * 60),
    )
    command = [sys.executable, str(ROOT / "launch" / "prepare_yale_b.py")]
    done = subprocess.run(
        [*command, str(source), str(target)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "48 training and 12 test images" in done.stdout
    with np.load(target, allow_pickle=False) as made:
        assert made["x_train"].shape == (48, 48, 48)
        assert made["x_train"].dtype == np.uint8
        np.testing.assert_array_equal(np.bincount(made["y_test"]), [4, 4, 4])
        rows = made["factor_elevation_test"].astype(int)
        assert not set(rows) & set(made["factor_elevation_train"].astype(int))
        np.testing.assert_array_equal(made["factor_azimuth_test"], azimuth[rows])
        np.testing.assert_array_equal(
            made["y_test"], np.unique(subject, return_inverse=True)[1][rows]
        )
    assert subprocess.run(command, capture_output=True).returncode != 0


def script(name, *arguments):
    command = [sys.executable, str(ROOT / "launch" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def omniglot_archive(path, drawers=20):
    """Two alphabets; a drawing's ink is a square whose place is its character's."""
    with zipfile.ZipFile(path, "w") as archive:
        for alphabet, characters in (("Greek", 6), ("Latin", 2)):
            for character in range(characters):
                for drawer in range(drawers):
                    image = np.full((105, 105), 255, np.uint8)
                    start = 15 * character
                    image[start : start + 15, : 15 + 4 * drawer] = 0
                    name = f"set/{alphabet}/character{character:02d}/{drawer:02d}.png"
                    archive.writestr(name, png(image))


def test_omniglot_of_five_characters_and_of_alphabets(tmp_path):
    source, target = tmp_path / "small.zip", tmp_path / "out.npz"
    omniglot_archive(source)
    done = script("prepare_omniglot.py", source, target)
    assert "300 training and 100 test images of 5 classes" in done.stdout, done.stderr
    with np.load(target, allow_pickle=False) as made:
        assert made["x_train"].shape == (300, 28, 28)
        np.testing.assert_array_equal(np.bincount(made["y_test"]), 5 * [20])
        # Ink is bright; drawers of the test split draw more of it than the others.
        ink = [made[f"x_{k}"].sum((1, 2), np.int64) for k in ("train", "test")]
        assert ink[0].max() < ink[1].min()
        np.testing.assert_allclose(
            ink[0].min() / 255, 15 * 15 / 105**2 * 784, rtol=0.05
        )
    plain = script("prepare_omniglot.py", source, target, "--rotations=1")
    assert "75 training and 25 test" in plain.stdout
    whole = script("prepare_omniglot.py", source, target, "--task=alphabets")
    assert "120 training and 40 test images of 2 classes" in whole.stdout
    few = script("prepare_omniglot.py", source, target, "--alphabet=Latin")
    assert few.returncode == 1
    assert few.stderr.startswith("error: alphabet Latin has 2 characters, 5 are")
    assert few.stderr.count("\n") == 1


def test_what_is_no_omniglot_is_refused_in_one_line(tmp_path):
    source, target = tmp_path / "small.zip", tmp_path / "out.npz"
    source.write_text("no archive")
    cases = [(source, "cannot read"), (tmp_path / "absent.zip", "cannot read")]
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("a.txt", "nothing")
    cases.append((tmp_path / "empty.zip", "no <alphabet>"))
    omniglot_archive(tmp_path / "few.zip", drawers=10)
    cases.append((tmp_path / "few.zip", "has 10 drawings"))
    for path, text in cases:
        done = script("prepare_omniglot.py", path, target)
        assert done.returncode == 1
        assert done.stderr.startswith("error:")
        assert text in done.stderr
        assert done.stderr.count("\n") == 1
        assert not target.exists()


def cifar_records(num, label):
    rows = np.zeros((num, 3073), np.uint8)
    rows[:, 0] = label
    rows[:, 1:1025] = 200  # red
    rows[:, 1025:2049] = np.arange(1024) // 32  # green: the row of the pixel
    return rows.tobytes()


def cifar_tar(path, members):
    with tarfile.open(path, "w:xz") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_cifar_from_records_and_from_pictures(tmp_path):
    source, target = tmp_path / "c.tar.xz", tmp_path / "out.npz"
    batches = [(f"b/data_batch_{k}.bin", cifar_records(3, k)) for k in (1, 2)]
    cifar_tar(source, [*batches, ("b/test_batch.bin", cifar_records(2, 9))])
    done = script("prepare_cifar10.py", source, target)
    assert "6 training and 2 test images" in done.stdout, done.stderr
    with np.load(target, allow_pickle=False) as made:
        assert made["x_train"].shape == (6, 32, 32, 3)
        assert sorted(made["y_train"]) == [1, 1, 1, 2, 2, 2]
        np.testing.assert_array_equal(made["x_test"][0, :, 5, 1], np.arange(32))
        assert (made["x_test"][..., 0] == 200).all()
        assert (made["x_test"][..., 2] == 0).all()
    picture = np.zeros((32, 32, 3), np.uint8)
    members = [
        (f"{split}/{name}/{k:04d}.png", png(picture + k))
        for split in ("train", "test")
        for name in ("airplane", "truck")
        for k in range(3)
    ]
    cifar_tar(source, members)
    done = script("prepare_cifar10.py", source, target, "--per_class=2")
    assert "4 training and 4 test images" in done.stdout, done.stderr
    with np.load(target, allow_pickle=False) as made:
        assert sorted(made["y_test"]) == [0, 0, 9, 9]
        assert sorted(made["x_train"][:, 0, 0, 0]) == [0, 0, 1, 1]
    single = tmp_path / "first.bin"
    single.write_bytes(cifar_records(10, 4))
    done = script("prepare_cifar10.py", single, target)
    assert "8 training and 2 test images" in done.stdout, done.stderr


def test_what_is_no_cifar_is_refused_in_one_line(tmp_path):
    target = tmp_path / "out.npz"
    cut = tmp_path / "cut.bin"
    cut.write_bytes(cifar_records(2, 0)[:-1])
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(cifar_records(1, 10))
    small = tmp_path / "small.tar.xz"
    cifar_tar(small, [("train/cat/1.png", png(np.zeros((8, 8, 3), np.uint8)))])
    lone = tmp_path / "lone.tar.xz"
    cifar_tar(lone, [("b/data_batch_1.bin", cifar_records(2, 0))])
    for path, text in (
        (cut, "no multiple of 3073"),
        (wrong, "label 10"),
        (small, "is 8x8"),
        (lone, "no test images"),
        (tmp_path / "absent", "cannot read"),
    ):
        done = script("prepare_cifar10.py", path, target)
        assert done.returncode == 1
        assert done.stderr.startswith("error:")
        assert text in done.stderr
        assert done.stderr.count("\n") == 1


SHARED = ROOT.parent / "shared" / "data"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the original files are not here")
def test_the_original_files_are_read(tmp_path):
    target = tmp_path / "out.npz"
    source = SHARED / "omniglot" / "images_background_small1.zip"
    done = script("prepare_omniglot.py", source, target, "--task=alphabets")
    assert "2040 training and 680 test images of 5 classes" in done.stdout, done.stderr
    with np.load(target, allow_pickle=False) as made:
        assert 0.02 < made["x_train"].mean() / 255 < 0.15  # thin strokes
    source = SHARED / "cifar10" / "data_batch_1_first4000.bin.xz"
    done = script("prepare_cifar10.py", source, target)
    assert "3200 training and 800 test images" in done.stdout, done.stderr
    with np.load(target, allow_pickle=False) as made:
        mean = made["x_train"].mean((0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.491, 0.482, 0.447], atol=0.02)


def test_commands_of_the_robustness_tables():
    path = ROOT / "launch" / "robustness.sh"

    def commands(*arguments):
        return subprocess.run(
            ["bash", str(path), *arguments], capture_output=True, text=True
        )

    done = commands("mnist", "0 7", "--dry_run", "--config.train.num_epochs=5")
    lines = done.stdout.splitlines()
    assert len(lines) == 6 * 2 * 2 + 1
    trained = [line for line in lines if "--config=" in line]
    assert len(trained) == 12
    assert all("--config.model.latent_dim=8" in line for line in trained)
    assert all("num_epochs=5" in line for line in trained)
    assert sum("--config.seed=7" in line for line in trained) == 6
    assert sum("prior=logistic" in line for line in trained) == 2
    assert lines[-1].count("runs/robustness-mnist/") == 12 + 1
    colour = commands("cifar10", "0", "--dry_run", "--network=conv").stdout
    assert colour.count("--config.model.latent_dim=64") == 6
    assert colour.count("learned_gaussian") == 3
    assert colour.count("--config.weights.mmd=250.0") == 2
    assert commands("celeba", "0").returncode == 2
    assert commands("mnist").returncode != 0
