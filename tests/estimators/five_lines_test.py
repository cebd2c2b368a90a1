"""The README's five lines on data of five kinds, and their model in other processes."""

import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import datasets

from infovae_jax import InfoCatVAE

pytestmark = [pytest.mark.slow, pytest.mark.process]
# Seconds on two cores, the compilation included.
LIMIT = 180
SAME = """
import sys, numpy as np, pandas as pd, infovae_jax
folder, source, output = sys.argv[1:]
X = np.load(source) if source.endswith(".npy") else source
if source.endswith(".frame.csv"):
    X = pd.read_csv(source)
model = infovae_jax.load(folder)
np.savez(output, codes=model.transform(X), q=model.predict_proba(X))
"""
ALONE = """
import sys, numpy as np
folder, source, output = sys.argv[1:]
sys.path.insert(0, folder)
import numpy_runtime
X = np.load(source)
model = numpy_runtime.load(folder)
np.savez(output, codes=model.encode(X), q=model.predict_proba(X))
assert not {"jax", "flax", "sklearn", "pandas", "infovae_jax"} & set(sys.modules)
"""


def colours():
    """300 colour pictures 48 x 40 of three kinds."""
    rng = np.random.default_rng(0)
    kinds = rng.random((3, 1, 1, 3)) * 200
    x = kinds[np.arange(300) % 3] + rng.normal(0, 12, (300, 48, 40, 3))
    return x.clip(0, 255).astype(np.uint8)


def mixed():
    """A DataFrame of numbers, texts, counts and bools."""
    rng = np.random.default_rng(0)
    side = np.arange(600) % 3
    return pd.DataFrame(
        {
            "age": 20.0 + 15 * side + rng.normal(size=600),
            "income": 1e4 * (1 + side) * rng.lognormal(0, 0.2, 600),
            "colour": np.array(["red", "blue", "green"])[side],
            "visits": rng.poisson(2 + 3 * side),
            "member": rng.random(600) < 0.2 + 0.3 * side,
        }
    )


def given(kind, folder):
    """X, and the path of the same for another process."""
    if kind == "digits":
        x = datasets.load_digits().images
    elif kind == "array":
        x = colours()
    elif kind == "frame":
        x = mixed()
        x.to_csv(folder / "x.frame.csv", index=False)
        return x, folder / "x.frame.csv"
    elif kind == "csv":
        wine = datasets.load_wine(as_frame=True)
        wine.data.to_csv(folder / "x.csv", index=False)
        return str(folder / "x.csv"), folder / "x.csv"
    else:
        (folder / "pictures").mkdir()
        for number, picture in enumerate(colours()[::2, ::2, ::2]):
            Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
        return str(folder / "pictures"), folder / "pictures"
    np.save(folder / "x.npy", x)
    return x, folder / "x.npy"


def answers(program, *arguments, **options):
    done = subprocess.run(
        [sys.executable, *options.pop("flags", ()), "-c", program, *arguments],
        capture_output=True,
        text=True,
        **options,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(arguments[-1]) as archive:
        return dict(archive)


@pytest.mark.parametrize("kind", ["digits", "folder", "csv", "array", "frame"])
def test_five_lines(kind, tmp_path):
    x, path = given(kind, tmp_path)
    clusters, start = 10 if kind == "digits" else 3, time.monotonic()
    model = InfoCatVAE(n_clusters=clusters, random_state=0).fit(x)
    told = model.labels_[:10], model.score(x), model.sample(2, cluster=1).shape
    assert time.monotonic() - start < LIMIT
    assert np.isfinite(told[1])
    assert told[2][0] == 2
    if kind in ("array", "folder", "frame"):  # three kinds that a child tells apart
        groups = np.arange(len(model.labels_)) % 3
        if kind == "folder":  # files in the order of their names
            names = sorted(str(n) for n in range(len(model.labels_)))
            groups = np.array([2 * int(name) % 3 for name in names])
        shares = [
            np.bincount(model.labels_[groups == g]).max() / (groups == g).sum()
            for g in range(3)
        ]
        assert min(shares) > 0.9, shares
    folder = tmp_path / "model"
    model.save(folder)
    codes, q = model.transform(x), model.predict_proba(x)
    same = answers(SAME, str(folder), str(path), str(tmp_path / "same.npz"))
    np.testing.assert_array_equal(same["codes"], codes)
    np.testing.assert_array_equal(same["q"], q)
    if path.suffix != ".npy":
        return  # of tables and files NumPy alone knows nothing
    alone = answers(ALONE, str(folder), str(path), str(tmp_path / "alone.npz"))
    np.testing.assert_allclose(alone["codes"], codes, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(alone["q"], q, atol=1e-5)
