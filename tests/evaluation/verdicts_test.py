"""Every fault gets its own sentence, and healthy runs get none."""

import json

import numpy as np
import pandas as pd
import pytest
import small_run

from infovae_jax import config as config_lib
from infovae_jax.data import columns
from infovae_jax.estimators import settings
from infovae_jax.evaluation import tabular, verdicts, workdir
from infovae_jax.evaluation.verdicts import Facts
from infovae_jax.training import loop
from infovae_jax.training.run import claim_workdir, open_run
from infovae_jax.training.saved import Saved


def rows(test, train=None, first=12.0):
    """Rows of so many epochs with the terms of a bound."""
    test = np.asarray(test, float)
    train = test if train is None else np.asarray(train, float)
    return [
        {
            "step": 10 * (i + 1),
            "epoch": i + 1.0,
            "term/reconstruction": -b + (first if i == 0 else 0),
            "test/reconstruction": -a,
            "test/elbo": a,
        }
        for i, (a, b) in enumerate(zip(test, train, strict=True))
    ]


RISING = -30 - 30 * np.exp(-np.arange(30) / 4.0)
HEALTHY = Facts(
    metrics={
        "elbo": -30.0,
        "nll": 29.0,
        "nll/effective_samples": 40.0,
        "active_units": 9,
        "reconstruction/explained": 0.7,
        "cluster/dead": 0,
        "cluster/occupancy": [0.1] * 10,
        "cluster/entropy": 0.1,
        "cluster/accuracy": 0.9,
        "kmeans/accuracy": 0.8,
        "sample/accuracy": 0.99,
        "ais/acceptance": 0.65,
    },
    rows=rows(RISING, RISING + 1),
    config={
        "train.num_epochs": 30,
        "optimizer.learning_rate": "ramp(0.002, 60%, 0.0002, 100%)",
        "weights.kl_z": "linear(0, 1, 5)",
        "weights.reconstruction": 1.0,
        "evaluation.nll_samples": 500,
    },
    num_clusters=10,
    commonest=0.1,
    spreads=np.linspace(0.5, 2.0, 8),
    members={"elbo": [-30.0, -31.0]},
)


def config(**changes):
    keys = {k.replace("__", "."): v for k, v in changes.items()}
    return {"config": {**HEALTHY.config, **keys}}


def figures(**changes):
    keys = {k.replace("__", "/"): v for k, v in changes.items()}
    return {"metrics": {**HEALTHY.metrics, **keys}}


SPIKED = rows(RISING)
SPIKED[14]["term/reconstruction"] = 900.0
HELD = [{**row, "term/kl_z": 14.0} for row in rows(RISING)]
# Name of a check -> (what makes the fault, parts of the sentence).
FAULTS = {
    "kmeans_is_clearer": (
        {
            "metrics": {
                "kmeans/agreement": 0.2,
                "kmeans/silhouette": 0.6,
                "cluster/silhouette": 0.1,
            }
        },
        ("silhouette 0.60 against 0.10", "config.seed"),
    ),
    "one_column": (
        figures(
            cluster__column__a=0.1, cluster__column__b=0.95, cluster__column__c=0.02
        ),
        ("'b' alone", "config.data.columns='b=ignore'"),
    ),
    "schedule_never_moved": (
        config(weights__kl_z="ramp(0, 40, 1, 60)"),
        ["weights.kl_z never left 0", "after the 30 epochs", "per cent"],
    ),
    "schedule_unfinished": (
        config(weights__kl_z="linear(0, 1, 60)"),
        ["weights.kl_z had got to 0.5 of 1", "takes 60 epochs and the run has 30"],
    ),
    "nothing_reconstructs": (
        config(weights__reconstruction=0.0),
        ["no term of the loss trains the decoder"],
    ),
    "target_missed": (
        {**config(weights__kl_z="target(8)"), "rows": HELD},
        ["term/kl_z ended at 14 nats", "asks for 8"],
    ),
    "few_steps": ({"steps": 33}, ["only 33 optimiser steps"]),
    "divergence_survived": (
        {"rows": SPIKED},
        ["diverged and survived: at epoch 15", "to 900 nats", "clip_norm"],
    ),
    "lost_members": (
        {"members": {"elbo": [-30.0, None, None]}},
        ["2 of 3 members diverged (members 1, 2)"],
    ),
    "examples_alike": (figures(reconstruction__explained=None), ["all test examples"]),
    "dead_decoder": (
        figures(reconstruction__explained=0.01),
        ["the decoder is dead", "explain 1.0%"],
    ),
    "dead_code": (figures(active_units=0), ["the code is dead", "posterior collapse"]),
    "collapsed_dims": (figures(active_units=2), ["8 of 10 dims", "have collapsed"]),
    "dead_clusters": (figures(cluster__dead=3), ["3 of 10 clusters are dead"]),
    "one_cluster": (
        figures(cluster__occupancy=[0.95] + [0.05 / 9] * 9),
        ["one cluster holds 95%", "nothing was clustered"],
    ),
    "undecided_clusters": (
        figures(cluster__entropy=2.2),
        ["undecided", "2.20 nats of entropy where guessing has 2.30"],
    ),
    "clusters_not_decoded": (
        figures(sample__accuracy=0.12),
        ["samples of a cluster are not told as its own (12.0% are"],
    ),
    "kmeans_is_better": (
        figures(cluster__accuracy=0.6),
        ["k-means on the raw values finds the labels better (0.800)", "(0.600)"],
    ),
    "classifier_guesses": (
        figures(classification__accuracy=0.12),
        ["the classifier guesses: it is right on 12.0%", "10.0%"],
    ),
    "over_fitting": (
        {"rows": rows(RISING - 0.006 * np.arange(30) ** 2, RISING)},
        ["over-fitting: the test bound was highest at epoch", "training bound rose"],
    ),
    "memorised": (
        {"rows": rows(RISING, RISING + 20)},
        ["explained 20 nats better than test examples", "by heart"],
    ),
    "still_rising": (
        {"rows": rows(-60 + np.arange(30.0))},
        ["not trained to the end", "last fifth", "the same --workdir goes on"],
    ),
    "unequal_scales": (
        {"spreads": np.array([0.01, 1.0, 1000.0])},
        ["columns have scales from 0.01 to 1e+03", "standardise"],
    ),
    "constant_columns": (
        {"spreads": np.array([0.0, 1.0, 2.0])},
        ["1 of 3 columns are constant"],
    ),
    "few_effective_samples": (
        figures(nll__effective_samples=1.2),
        ["effective samples are near 1 (median 1.2)", "cannot be told"],
    ),
    "annealing_failed": (
        figures(ais__acceptance=0.05),
        ["annealing failed", "5% of the trials"],
    ),
    "few_test_examples": ({"num_test": 12}, ["all figures are of 12 test examples"]),
}


def test_every_check_has_its_fault():
    assert set(FAULTS) == {check.__name__ for check in verdicts.CHECKS}
    assert len(FAULTS) >= 15


def test_one_dead_cluster_is_said_of_one():
    (verdict,) = verdicts.judge(HEALTHY._replace(**figures(cluster__dead=1)))
    assert "1 of 10 clusters is dead" in verdict.text


@pytest.mark.parametrize(
    ("clusters", "scale", "names"),
    [
        (np.arange(100) % 4, 9.0, []),
        (np.arange(100) % 2, 9.0, ["dead_clusters"]),
        (np.zeros(100, int), 9.0, ["dead_clusters", "one_cluster"]),
        (np.arange(100) % 4, 0.1, ["undecided_clusters"]),
        (np.zeros(20, int), 9.0, ["one_cluster"]),  # of few, some are empty by chance
    ],
)
def test_a_clustering_is_judged_by_its_assignments(clusters, scale, names):
    logits = scale * np.eye(4, dtype=np.float32)[clusters]
    lost = np.full((1, 4), np.nan, np.float32)
    found = verdicts.of_clusters(np.concatenate([logits, lost]), "training rows")
    assert [verdict.name for verdict in found] == names
    for verdict in found[:2]:
        assert "training rows" in verdict.text or names == ["undecided_clusters"]
    assert verdicts.of_clusters(lost, "training rows") == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_gets_its_sentence_and_no_other(name):
    changes, parts = FAULTS[name]
    changes = dict(changes)
    if name == "few_test_examples":
        changes |= figures(cluster__dead=3)  # of so few some are empty by chance
    found = verdicts.judge(HEALTHY._replace(**changes))
    assert [verdict.name for verdict in found] == [name]
    for part in parts:
        assert part in found[0].text
    assert "\n" not in found[0].text
    assert found[0].text in verdicts.text(found)


def test_the_healthy_get_none():
    assert verdicts.judge(HEALTHY) == []
    assert "no fault found" in verdicts.text([])
    # Nothing measured, nothing said.
    assert verdicts.judge(Facts({})) == []


def test_clusters_of_a_table_are_judged_without_labels():
    """Three clear groups, and a city that has nothing to do with them."""
    rng = np.random.default_rng(0)
    group, city = rng.integers(0, 3, (2, 300))
    at = np.array([[0, 0], [4, 0], [0, 4]])[group]
    table = pd.DataFrame(at + rng.normal(0, 0.5, (300, 2)), columns=["a", "b"])
    table["city"] = np.array(["Bern", "Oslo", "Rome"])[city]
    scheme = columns.learn(table, np.arange(300), {}, "refuse", "X")
    x = scheme.encode(table, "X")

    def judged(clusters, rows=x):
        logits = 9 * np.eye(3, dtype=np.float32)[clusters]
        return verdicts.of_clusters(logits, "examples", rows, scheme)

    assert judged(group) == []
    clearer, alone = judged(city)
    assert (clearer.name, alone.name) == ("kmeans_is_clearer", "one_column")
    assert "column 'city' alone (they tell 1.00 of it" in alone.text
    assert "columns={'city': 'ignore'}" in settings.in_python(alone.text)
    # A city that the other columns tell is no fault.
    table["city"] = np.array(["Bern", "Oslo", "Rome"])[group]
    assert judged(group, scheme.encode(table, "X")) == []
    # Without clear groups k-means is no measure.
    noise = rng.normal(size=x.shape).astype(np.float32)
    found = tabular.of_clusters(noise, city, 3, None)
    assert found["kmeans/agreement"] < 0.1
    assert verdicts.judge(Facts(found)) == []
    # Rows that are all alike have no clusters to compare.
    alike = tabular.of_clusters(np.zeros_like(x), city, 3, None)
    assert "kmeans/silhouette" not in alike
    # Labels say more.
    found = tabular.of_clusters(x, city, 3, None) | {"kmeans/accuracy": 0.9}
    assert verdicts.kmeans_is_clearer(Facts(found)) is None


def test_a_caution_is_no_fault():
    few, dead = HEALTHY._replace(num_test=5), figures(active_units=0)
    assert verdicts.text(verdicts.judge(few)).startswith("verdict: with care\n")
    both = verdicts.judge(few._replace(**dead))
    assert "not what it seems" in verdicts.text(both)
    assert {check.__name__ for check in verdicts.CHECKS} > verdicts.CAUTIONS


def test_shares_of_the_training_are_never_too_long():
    for epochs in (3, 20):
        keys = {
            "train__num_epochs": epochs,
            "weights__x": "ramp(0, 40%, 1, 50%)",
            "weights__kl_z": 1.0,
        }
        found = HEALTHY._replace(**config(**keys), epochs=float(epochs))
        assert verdicts.judge(found) == []


CONFIGS = sorted(p.stem for p in (small_run.ROOT / "configs").glob("*.py"))


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "base"])
@pytest.mark.parametrize("preset", ["digits", "mnist", "fashion_mnist"])
def test_every_config_trains_all_its_parts_in_3_and_in_20_epochs(name, preset):
    path = small_run.ROOT / "configs" / f"{name}.py"
    for epochs in (3, 20):
        config = config_lib.load_config_file(f"{path}:{preset}")
        config.train.num_epochs = epochs
        found = Facts({}, config=config_lib.flatten(config), epochs=float(epochs))
        assert verdicts.schedule_never_moved(found) is None
        assert verdicts.schedule_unfinished(found) is None


def trained(make_config, folder, name="vae", **changes):
    """Verdicts of a real run, made and judged as the command does it."""
    config = make_config(name)
    config.train.num_epochs, config.train.eval_every = 12, 3
    config.optimizer.learning_rate = 0.02
    config.evaluation.nll_samples, config.evaluation.nll_examples = 11, 100
    config.evaluation.plane = False
    for key, value in changes.items():
        group, _, last = key.partition("__")
        config[group][last] = value
    run = open_run(config, say=lambda text: None)
    claim_workdir(config, folder)
    state = loop.train(run, folder, run.make_mesh())
    saved = Saved(run, state.params, int(state.step), folder)
    workdir.evaluate_saved(saved)
    found = json.loads((folder / "evaluation.json").read_text())["verdicts"]
    return {verdict["name"] for verdict in found}


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, set()),
        ({"weights__kl_z": 300.0}, {"dead_code", "dead_decoder"}),
        (
            {"weights__reconstruction": "ramp(0, 20, 1, 40)"},
            {"schedule_never_moved", "dead_decoder", "dead_code"},
        ),
        ({"optimizer__learning_rate": 1e-7}, {"dead_decoder"}),
        ({"weights__kl_z": "linear(0, 1, 40)"}, {"schedule_unfinished"}),
    ],
)
def test_real_runs(make_config, tmp_path, capsys, changes, wanted):
    found = trained(make_config, tmp_path, **changes)
    if wanted:
        assert wanted <= found
        assert "verdict: not what it seems" in capsys.readouterr().out
    else:
        assert found <= {"still_rising"}  # of twelve epochs
