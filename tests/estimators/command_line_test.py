"""An estimator and a run of the command line in a process of its own are one."""

import jax
import numpy as np
import pytest

from infovae_jax import CatVAE, load

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
