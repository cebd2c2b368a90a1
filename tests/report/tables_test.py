"""What the pictures of a run on a table are drawn from."""

from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest

from infovae_jax.data import columns
from infovae_jax.evaluation import tabular
from infovae_jax.report import figures, tables


def test_columns_are_counted_as_the_table_has_them(monkeypatch):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "colour": np.array(["red", "green", "blue"])[np.arange(60) % 3],
            "length": rng.normal(50, 9, 60),
            "owns": np.array(["no", "yes"])[np.arange(60) // 15 % 2],
            "visits": rng.poisson(30, 60),
        }
    )
    kinds = {"visits": "count"}
    scheme = columns.learn(frame, np.arange(60), kinds, "refuse", "here")
    x = scheme.encode(frame, "here").reshape(60, 1, -1, 1)
    monkeypatch.setattr(tabular, "draw", lambda key, objective, params, num: x[::-1])
    logits = np.eye(2)[np.arange(60) % 2]
    scene = figures.Scene(
        run=SimpleNamespace(
            dataset=SimpleNamespace(
                intake=SimpleNamespace(scheme=scheme), label_names=(), test_y=None
            ),
            objective=SimpleNamespace(
                prior=SimpleNamespace(mean=np.zeros((2, 3))), uses_labels=False
            ),
        ),
        params=None,
        codes=SimpleNamespace(logits=logits),
        test_x=x,
        rows=[],
        evaluation=SimpleNamespace(metrics={"column/length": 0.5}),
        key=None,
        matched=None,
    )
    found = tables.columns(scene)
    assert sorted(found["names"]) == list(frame.columns)
    np.testing.assert_allclose(found["test"], found["model"])
    for place, name in enumerate(found["names"]):
        edges, counts = found["edges"][place], found["test"][place]
        if name in ("colour", "owns"):
            levels = found["levels"][place]
            shares = frame[name].value_counts(normalize=True).to_dict()
            assert {k: v for k, v in zip(levels, counts, strict=False) if k} == shares
        else:
            # Sums of bins: a value at an edge may fall to either side.
            expected = np.cumsum(np.histogram(frame[name], edges)[0])
            assert abs(np.cumsum(counts) - expected).max() <= 2
            assert counts.sum() == 60
            assert found["scores"][place] == 0.5 or name == "visits"
    found = tables.cluster_profiles(scene)
    length = found["features"].index("length")
    expected = [frame["length"][::2].mean(), frame["length"][1::2].mean()]
    np.testing.assert_allclose(found["means"][:, length], expected, rtol=1e-5)
    assert found["clusters"] == ["0, 30 (50%)", "1, 30 (50%)"]


@pytest.mark.parametrize("cluster", [None, 1])
def test_drawn_rows_tell_their_cluster(cluster):
    frame = pd.DataFrame({"cluster": list("abc") * 20})
    scheme = columns.learn(frame, np.arange(60), {}, "refuse", "here")
    objective = SimpleNamespace(
        classify=True,
        uses_labels=False,
        prior=SimpleNamespace(mean=np.zeros((3, 2))),
        sample_code=lambda key, params, num, clusters: np.eye(3)[clusters],
        draw=lambda key, params, z: z[:, None, :, None],
    )
    key = jax.random.key(0)
    rows = tabular.drawn(key, objective, None, scheme, 50, cluster)
    assert list(rows.columns) == ["drawn_cluster", "cluster"]
    own = [] if cluster is None else [cluster]
    assert set(rows["drawn_cluster"]) == set(own or range(3))
    assert list(rows["cluster"]) == ["abc"[c] for c in rows["drawn_cluster"]]
    plain = objective.__dict__ | {"sample_code": lambda *_: np.eye(3), "classify": None}
    alone = tabular.drawn(key, SimpleNamespace(**plain), None, scheme, 3)
    assert list(alone.columns) == ["cluster"]
