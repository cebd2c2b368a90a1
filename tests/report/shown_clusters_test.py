"""Pictures of runs with more clusters than a picture has room for."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from infovae_jax import priors, report
from infovae_jax.evaluation import Encoded
from infovae_jax.report import figures
from infovae_jax.types import DataSpec


def _scene(num_clusters, assigned):
    """A scene whose test example i lies in cluster `assigned[i]`."""
    logits = 9.0 * np.eye(num_clusters, dtype=np.float32)[assigned]
    prior = priors.clusters(num_clusters, 1, 4.0)
    codes = Encoded(np.asarray(prior.mean)[assigned], np.zeros_like(logits), logits)
    images = np.full((1, 4, 4, 1), 0.5, np.float32)
    objective = SimpleNamespace(
        prior=prior,
        uses_labels=False,
        decode=lambda params, z: np.broadcast_to(images, (*z.shape[:-1], 4, 4, 1)),
    )
    spec = DataSpec((8, 8, 1), "float32", "bernoulli", 10, 0, False)
    run = SimpleNamespace(
        objective=objective,
        dataset=SimpleNamespace(spec=spec, test_y=None, label_names=()),
    )
    return figures.Scene(
        run=run,
        params=None,
        codes=codes,
        test_x=images,
        rows=[],
        evaluation=None,
        key=jax.random.key(0),
        matched=None,
    )


def test_the_most_used_clusters_are_shown():
    used = np.arange(7, 1000, 20)  # 50 clusters, the later ones more often
    scene = _scene(1000, np.repeat(used, np.arange(1, 51)))
    np.testing.assert_array_equal(figures.shown_clusters(scene), used[10:])
    few = _scene(10, np.array([3, 3, 4]))
    np.testing.assert_array_equal(figures.shown_clusters(few), np.arange(10))


@pytest.mark.parametrize(
    "name", ["cluster_samples", "interpolations", "moving_away", "occupancy"]
)
def test_pictures_of_a_thousand_clusters_have_a_bounded_size(name):
    [picture] = [p for p in report.PICTURES if p.name == name]
    arrays = picture.arrays(_scene(1000, np.arange(0, 1000, 7)))
    width, height = picture.draw(**arrays).get_size_inches()
    assert 2 < width < 30
    assert 2 < height < 40
