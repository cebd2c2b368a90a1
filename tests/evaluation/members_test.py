"""Figures of the members of a population, beside those of each run alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax.config import sweeps
from infovae_jax.evaluation import codes, encode_split, invariance, members
from infovae_jax.training.run import open_run


def test_a_member_that_diverged_has_no_figures_and_is_not_chosen(make_config):
    config = make_config("catvae")
    config.num_seeds = 3
    run = open_run(config, say=lambda text: None)
    alone = [run.objective.init(jax.random.key(seed)) for seed in range(3)]
    alone[0] = jax.tree.map(lambda a: a * jnp.nan, alone[0])
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    figures = members.evaluate_members(run, params, "scan", 1)
    for name in ("elbo", "active_units", "cluster/mutual_information"):
        assert figures[name][0] is None
        assert None not in figures[name][1:]
    for number in (1, 2):
        encoded = encode_split(run, alone[number], run.dataset.test_x)
        assert figures["active_units"][number] == codes.active_units(encoded.mean)
        clusters = encoded.logits.argmax(-1)
        assert figures["cluster/used"][number] == len(np.unique(clusters))
    assert members.choose(sweeps.members_of(config), figures).member > 0


@pytest.mark.long
def test_a_clusterer_with_invariance_is_chosen_by_the_information_it_keeps(make_config):
    config = make_config("infocatvae", logits_scale=1.0)
    config.num_seeds, config.data.num_train = 3, 150
    run = open_run(config, say=lambda text: None)
    alone = [run.objective.init(jax.random.key(seed)) for seed in range(3)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    figures = members.evaluate_members(run, params, "scan", 1)
    expected = [invariance.of_run(run, own)[1] for own in alone]
    np.testing.assert_allclose(figures[members.INFORMATION], expected, rtol=1e-4)
    found = sweeps.members_of(config)
    choice = members.choose(found, figures)
    assert choice.member == int(np.argmax(expected))
    assert "changes of the examples" in choice.how
    # A member without one is passed over.
    figures[members.INFORMATION][choice.member] = None
    assert members.choose(found, figures).member != choice.member
