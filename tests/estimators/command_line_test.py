"""An estimator and a run of the command line in a process of its own are one."""

import jax
import numpy as np
import pytest

from infovae_jax import VAE, CatVAE, data, load
from infovae_jax import config as config_lib

CONFIG = """
import pathlib
from infovae_jax import config as config_lib

def get_config():
    path = pathlib.Path(__file__).with_name("resolved.json")
    return config_lib.from_json(path.read_text())
"""


def test_same_bits_by_the_command(tmp_path, run_main, images, quick):
    model = CatVAE(n_clusters=3, **quick).fit(images)
    (tmp_path / "resolved.json").write_text(model._config)
    (tmp_path / "config.py").write_text(CONFIG)
    np.savez(tmp_path / "x.npz", x_train=images, x_test=images[:10])
    done = run_main(
        f"--config={tmp_path / 'config.py'}",
        f"--workdir={tmp_path / 'run'}",
        f"--config.data.source={tmp_path / 'x.npz'}",
        "--config.evaluation.nll_samples=2",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = load(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, loaded.params_, model.params_)
    np.testing.assert_array_equal(loaded.transform(images), model.transform(images))
    # In another range than the run's data the codes would be of nothing.
    with pytest.raises(ValueError, match="training had 0 to 1"):
        loaded.predict(2.0 * images)


@pytest.mark.parametrize("kind", ["rows", "grey", "images"])
def test_the_command_takes_numbers_as_the_estimator_does(kind, tmp_path, quick):
    """The config that an estimator keeps says what was done to X."""
    x = np.random.default_rng(0).normal(3, 1, (40, 16)) * np.logspace(-2, 3, 16)
    if kind == "grey":
        x = np.rint(np.random.default_rng(0).random((40, 16)) * 16)
    if kind == "images":
        x = x.reshape(40, 4, 4)
    model = VAE(latent_dim=2, **quick).fit(x)
    np.savez(tmp_path / "x.npz", x_train=x, x_test=x[:10])
    config = config_lib.from_json(model._config)
    config.data.source = str(tmp_path / "x.npz")
    dataset = data.load(config.data)
    assert dataset.spec._replace(num_labels=0) == model._spec
    np.testing.assert_array_equal(dataset.train_x, model._stored(x))
    assert dataset.intake.scaling.kind == model._scaling.kind
