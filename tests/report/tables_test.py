"""What the pictures of a run on a table are drawn from."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

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
