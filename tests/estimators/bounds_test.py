"""Several seeds, of which one is chosen without labels."""

import numpy as np
import pytest

from infovae_jax import VAE, CatVAE, InfoCatVAE, load


@pytest.mark.long
def test_the_clustering_that_agrees_most_is_chosen(tmp_path, table, quick):
    model = CatVAE(n_clusters=3, n_seeds=3, **quick).fit(table)
    found = model.members_
    assert found["seed"] == [0, 1, 2]
    assert found["chosen"] == int(np.argmax(found["agreement"]))
    assert "agreement" in found["how"]
    assert model.seed_ == found["seed"][found["chosen"]]
    alone = CatVAE(n_clusters=3, **{**quick, "random_state": model.seed_}).fit(table)
    np.testing.assert_array_equal(alone.labels_, model.labels_)
    model.save(tmp_path)
    assert load(tmp_path).members_ == found


@pytest.mark.long
def test_with_invariance_the_clustering_that_keeps_most_is_chosen(table, quick):
    model = InfoCatVAE(n_clusters=3, n_seeds=2, **quick).fit(table)
    found = model.members_
    assert found["chosen"] == int(np.argmax(found["information"]))
    assert "changes of the examples" in found["how"]
    assert len(found["agreement"]) == 2


@pytest.mark.parametrize(
    ("early_stopping", "words"), [(False, "training rows"), (True, "held-out rows")]
)
def test_others_are_chosen_by_the_bound(table, quick, early_stopping, words):
    model = VAE(n_seeds=2, early_stopping=early_stopping, **quick).fit(table)
    found = model.members_
    assert found["chosen"] == int(np.argmax(found["bound"]))
    assert words in found["how"]
    assert "agreement" not in found


def test_counts_that_cannot_be_used(table, quick):
    for n_seeds in (0, 1.5):
        with pytest.raises(ValueError, match="n_seeds"):
            VAE(n_seeds=n_seeds, **quick).fit(table)
