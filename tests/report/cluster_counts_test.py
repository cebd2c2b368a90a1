"""Runs of several K, and the one that they suggest."""

import json

import numpy as np
import pytest

from infovae_jax.report import cluster_counts, summary


@pytest.fixture
def population(tmp_path):
    """`population(K, stability, elbo, used)`: the folder of a population of two."""

    def make(clusters, stability, elbo=(-20.0, -22.0), used=None):
        folder = tmp_path / f"population{clusters}"
        folder.mkdir()
        model = {"model": {"num_clusters": clusters}}
        (folder / "config.json").write_text(json.dumps(model))
        used = clusters if used is None else used
        figures = {
            "elbo": list(elbo),
            "cluster/used": [used, used],
            "cluster/mutual_information": [1.0, 2.0],
        }
        if stability is not None:
            figures["stability/ari"] = [stability, stability]
        record = {"strategy": "scan", "chunk": 1, "figures": figures}
        record["members"] = [{"seed": 0}, {"seed": 1}]
        (folder / "population.json").write_text(json.dumps(record))
        return folder

    return make


@pytest.fixture
def single(tmp_path):
    """`single(K, seed, clusters)`: the folder of a run with these test clusters."""

    def make(count, seed, clusters):
        folder = tmp_path / f"single{count}-{seed}"
        folder.mkdir()
        model = {"model": {"num_clusters": count}}
        (folder / "config.json").write_text(json.dumps(model))
        shares = np.bincount(clusters, minlength=count) / len(clusters)
        figures = {"elbo": -30.0 - seed, "cluster/occupancy": shares.tolist()}
        record = json.dumps({"metrics": figures})
        (folder / "evaluation.json").write_text(record)
        split = np.array("a digest")
        np.savez(folder / "clusters.npz", cluster=clusters, test_split=split)
        return folder

    return make


def printed(capsys, *folders):
    summary.print_clusters(list(folders))
    return capsys.readouterr().out.splitlines()


def test_the_k_whose_runs_agree_most_is_suggested(capsys, population):
    folders = [population(5, 0.4), population(8, 0.9), population(12, 0.7)]
    lines = printed(capsys, *folders[::-1])
    assert lines[2].split() == ["8", "2", "-21", "1.414", "0.9", "8", "1.5", "2.079"]
    assert [line.split()[0] for line in lines[:4]] == ["K", "5", "8", "12"]
    assert "K = 8" in lines[-1]
    assert "0.900; then those of K = 12, 0.700" in lines[-1]
    assert "edge" not in lines[-1]


def test_single_runs_are_compared_by_their_clusters(capsys, single):
    same = np.arange(60) % 3
    mixed = np.random.default_rng(0).integers(0, 4, (2, 60))
    folders = [single(3, 0, same), single(3, 1, (same + 1) % 3)]
    folders += [single(4, seed, mixed[seed]) for seed in range(2)]
    lines = printed(capsys, *folders)
    assert lines[1].split() == ["3", "2", "-30.5", "0.7071", "1", "3", "-", "1.099"]
    assert "K = 3" in lines[-1]
    assert "at the edge of what was tried: try fewer" in lines[-1]


def test_of_single_runs_the_bound_is_what_there_is_and_that_is_said(capsys, single):
    labels = np.arange(60) % 3
    lines = printed(capsys, single(3, 2, labels), single(5, 0, labels))
    assert "K = 5" in lines[-1]
    assert "give several seeds of each K" in lines[-1]
    assert "only 3.0 of them hold examples" in lines[-1]


def test_of_one_k_the_agreement_is_printed_as_before(capsys, single):
    labels = np.arange(60) % 3
    lines = printed(capsys, single(3, 0, labels), single(3, 1, labels))
    assert lines[0].split()[:2] == ["stability/ari", "1"]


def test_what_does_not_cluster_has_no_k(population, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model": {"latent_dim": 2}}))
    folder = population(5, 0.4)
    groups = cluster_counts.by_clusters([tmp_path, folder, tmp_path / "none"])
    assert groups == {5: [folder]}
