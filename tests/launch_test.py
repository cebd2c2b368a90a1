"""The scripts beside the package."""

import pathlib
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent


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
