"""Choosing among runs that were trained one by one."""

import pathlib

import jax
import pytest

from infovae_jax.errors import ConfigError
from infovae_jax.evaluation import invariance
from infovae_jax.report import seed_choice
from infovae_jax.report.seed_choice import Scored
from infovae_jax.training.run import open_run
from infovae_jax.training.saved import Saved


@pytest.fixture
def folders(make_config, monkeypatch):
    """Calls with models, each a name and perhaps more digests, give their folders."""

    def give(*models):
        opened = {}
        for number, (config, digests) in enumerate(models):
            run = open_run(config, say=lambda text: None)
            run = run._replace(digests=run.digests | digests)
            params = run.objective.init(jax.random.key(number))
            opened[str(number)] = Saved(run, params, 0, pathlib.Path(str(number)))
        monkeypatch.setattr(
            seed_choice.saved, "open_saved", lambda folder, say: opened[folder]
        )
        return [pathlib.Path(name) for name in opened], opened

    return give


def test_every_run_gets_the_score_that_a_population_would_give_it(folders, make_config):
    config = make_config("infocatvae")
    names, opened = folders((config, {}), (config, {}))
    found = seed_choice.score_runs(names)
    scores = [invariance.of_run(one.run, one.params)[1] for one in opened.values()]
    assert [run.score for run in found] == scores
    assert scores[0] != scores[1]
    assert [run.accuracy for run in found] == [None, None]  # not evaluated


def test_what_cannot_be_set_side_by_side(folders, make_config):
    clusters = make_config("infocatvae")
    names, _ = folders((clusters, {}), (clusters, {"train": "other"}))
    with pytest.raises(ConfigError, match="different data"):
        seed_choice.score_runs(names)
    names, _ = folders((make_config("vae"), {}))
    with pytest.raises(ConfigError, match="leave --choose out"):
        seed_choice.score_runs(names)
    many = make_config("infocatvae")
    many.num_seeds = 2
    names, _ = folders((many, {}))
    with pytest.raises(ConfigError, match="a population"):
        seed_choice.score_runs(names)


def test_the_table_ranks_by_the_score_and_labels_only_score():
    runs = [Scored("a", 1.9, 0.95), Scored("b", 2.1, 0.94), Scored("c", 1.0, 0.5)]
    lines = seed_choice.table(runs).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["b", "a", "c"]
    assert lines[4] == "chosen without labels: b"
    assert lines[5] == "labels would choose a: accuracy 1.00 points higher"
    assert seed_choice.table(runs[1:]).endswith("labels would choose it, too")
    unknown = [Scored("a", 1.0), Scored("b", 2.0, 0.9)]
    assert "labels would" not in seed_choice.table(unknown)
