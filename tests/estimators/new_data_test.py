"""New data by the command line are, row by row, what Python says of them."""

import types

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from infovae_jax import VAE, CatVAE, commands, load
from infovae_jax.data.new_rows import Rows
from infovae_jax.errors import DataError
from infovae_jax.evaluation import new_data, row_files
from infovae_jax.evaluation.rows import Results

QUICK = (
    "--config.train.num_epochs=2",
    "--config.train.batch_size=32",
    "--config.network.encoder_hidden=(8,)",
    "--config.network.decoder_hidden=(8,)",
    "--config.evaluation.nll_samples=2",
    "--config.evaluation.plane=False",
)


def mixed_table(n, seed):
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 2, n)
    return pd.DataFrame(
        {
            "age": 30.0 + 20 * side + rng.normal(size=n),
            "colour": np.array(["red", "blue", "green"])[side + rng.integers(0, 2, n)],
            "member": rng.random(n) < 0.5,
            "visits": rng.poisson(2 + 9 * side),
            "species": np.array(["ada", "bob"])[side],
        }
    )


def read_rows(path):
    """A CSV file, each number the nearest float64 whatever pandas's own default is."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    texts = [n for n in frame if n in ("file", "label_name", "unusual")]
    return frame.astype({n: np.float64 for n in frame if n not in texts})


def assert_rows_agree(model, x, predicted, encoded):
    """Files of `--mode=predict` and `--mode=encode` against the estimator."""
    np.testing.assert_array_equal(model.predict(x), predicted["cluster"])
    q = predicted.filter(like="probability_").to_numpy()
    np.testing.assert_array_equal(model.predict_proba(x), q)
    np.testing.assert_array_equal(model.score_samples(x), predicted["bound"])
    codes = encoded.filter(regex="^mean_").to_numpy(np.float32)
    np.testing.assert_array_equal(model.transform(x), codes)


@pytest.mark.process
def test_a_table_without_its_training_file(run_main, tmp_path):
    source, run = tmp_path / "train.csv", tmp_path / "run"
    mixed_table(200, 0).to_csv(source, index=False)
    done = run_main(
        "--config=configs/catvae.py",
        f"--config.data.source={source}",
        "--config.data.label_column=species",
        "--config.data.columns=visits=count",
        "--config.model.num_clusters=2",
        "--config.model.latent_dim=4",
        f"--workdir={run}",
        *QUICK,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    source.unlink()
    new = mixed_table(300, 1)
    new.to_csv(tmp_path / "new.csv", index=False)
    new.to_parquet(tmp_path / "new.parquet")
    made = {}
    for mode, name in (("predict", "new.csv"), ("encode", "new.parquet")):
        output = tmp_path / f"{mode}.csv"
        done = run_main(
            f"--mode={mode}",
            f"--workdir={run}",
            f"--input={tmp_path / name}",
            f"--output={output}",
        )
        assert done.returncode == 0, done.stderr[-2000:]
        made[mode] = read_rows(output)
    assert "unusual" in made["predict"]
    assert (made["predict"]["label_name"] == new["species"]).all()
    assert_rows_agree(load(run), new, made["predict"], made["encode"])
    new.assign(colour="pink").to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match="'pink', which training never had"):
        commands.new_data("predict", str(run), str(tmp_path / "bad.csv"))
    commands.sample(str(run), 5, None)
    assert len(pd.read_csv(run / "samples.csv")) == 5


@pytest.mark.process
def test_a_folder_of_pictures(run_main, tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("new", 20)):
        for i in range(count):
            name = tmp_path / part / "ab"[i % 2] / f"{i}.png"
            name.parent.mkdir(parents=True, exist_ok=True)
            level = 60 + 120 * (i % 2)
            pixels = rng.integers(0, 60, (6, 5)).astype(np.uint8) + level
            Image.fromarray(pixels.astype(np.uint8)).save(name)
    run = tmp_path / "run"
    done = run_main(
        "--config=configs/catvae.py",
        f"--config.data.source={tmp_path / 'train'}",
        f"--config.data.cache_dir={tmp_path / 'cache'}",
        "--config.data.test_fraction=0",
        "--config.model.num_clusters=2",
        "--config.model.latent_dim=4",
        f"--workdir={run}",
        *QUICK,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made = {}
    for mode in ("predict", "encode"):
        output = tmp_path / f"{mode}.csv"
        done = run_main(
            f"--mode={mode}",
            f"--workdir={run}",
            f"--input={tmp_path / 'new'}",
            f"--output={output}",
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert "likelihood:" not in done.stdout  # of the training data
        made[mode] = read_rows(output)
    files = made["predict"]["file"]
    x = np.stack([np.asarray(Image.open(tmp_path / "new" / f)) for f in files])
    assert list(made["predict"]["label_name"]) == [f.split("/")[0] for f in files]
    model = load(run)
    assert_rows_agree(model, x, made["predict"], made["encode"])
    # Fractions of 1 are the same pictures; what it decodes is up to 255.
    codes = model.transform(x)
    np.testing.assert_allclose(model.transform(x / 255.0), codes, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model.predict(x / 255.0), model.predict(x))
    assert model.predict(model.sample(3) / 255).shape == (3,)


@pytest.mark.long
def test_mixed_frames(quick, tmp_path):
    frame = mixed_table(80, 0).drop(columns="species")
    model = CatVAE(n_clusters=2, columns={"visits": "poisson"}, **quick).fit(frame)
    assert "colour: categorical" in model.decision_
    drawn = model.sample(5, cluster=1)
    assert list(drawn.columns) == list(frame.columns)
    assert set(drawn["colour"]) <= set(frame["colour"])
    assert drawn["visits"].dtype.kind == "i"
    back = model.inverse_transform(model.transform(frame))
    assert list(back.columns) == list(frame.columns)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    np.testing.assert_array_equal(
        again.predict_proba(frame), model.predict_proba(frame)
    )
    with pytest.raises(ValueError, match="'pink', which training never had"):
        model.predict(frame.assign(colour="pink"))
    with pytest.raises(ValueError, match="convolutions are of pictures"):
        CatVAE(n_clusters=2, network="conv", **quick).fit(frame)
    frame.to_csv(tmp_path / "t.csv", index=False)
    by_path = CatVAE(n_clusters=2, columns={"visits": "poisson"}, **quick)
    np.testing.assert_array_equal(
        by_path.fit(tmp_path / "t.csv").labels_, model.labels_
    )


def test_a_folder_as_x(quick, tmp_path, images):
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i:03d}.png")
    model = VAE(**quick).fit(str(tmp_path))
    np.testing.assert_array_equal(model.transform(images), model.transform(tmp_path))
    np.testing.assert_array_equal(
        model.transform(images), VAE(**quick).fit(images).transform(images)
    )


def test_rows_without_bound_are_the_most_unusual():
    objective = types.SimpleNamespace(uses_labels=False)
    dataset = types.SimpleNamespace(label_names=())
    run = types.SimpleNamespace(dataset=dataset, objective=objective)
    saved = types.SimpleNamespace(run=run)
    bounds = np.array([-1.0, np.nan, -np.inf, -9.0])
    part, found = (
        Rows(0, np.zeros((4, 1, 1, 1))),
        Results(None, None, None, None, bounds),
    )
    made = new_data.table(saved, part, found, -5.0)
    assert list(made["unusual"]) == [False, True, True, True]
    summary = new_data._Summary(saved, -5.0)
    summary.add(part, found)
    told = "\n".join(summary.lines())
    assert "2 rows are so far from the training data" in told
    assert "mean bound -5 nats" in told
    assert "3 unusual rows" in told
    one = new_data._Summary(saved, -10.0)
    one.add(part, found._replace(bound=np.array([-1.0, -2.0, -11.0, -9.0])))
    assert "1 unusual row: " in "\n".join(one.lines())


def test_labels_that_the_model_has_no_name_for():
    """Of new rows any number may stand there; -1 is unknown."""
    run = types.SimpleNamespace(dataset=types.SimpleNamespace(label_names=("a", "b")))
    x = np.zeros((4, 1, 2, 1), np.float32)
    part = Rows(0, x, labels=np.array([1, -1, 2, 90]))
    found = Results(None, None, None, None, None)
    made = new_data.table(types.SimpleNamespace(run=run), part, found, None)
    assert list(made["label_name"]) == ["b", "", "", ""]
    assert list(made["label"]) == [1, -1, 2, 90]


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_columns_that_tell_rows_apart_come_first(tmp_path, suffix):
    """By their own names, unless these are ours."""
    run = types.SimpleNamespace(dataset=types.SimpleNamespace(label_names=()))
    ids = {"row": np.array(["7", ""], object), "id": np.array(["007", "é"], object)}
    part = Rows(0, np.zeros((2, 1, 2, 1), np.float32), ids=ids)
    mean = np.zeros((2, 3))
    found = Results(mean, mean, None, None, None)
    made = new_data.table(types.SimpleNamespace(run=run), part, found, None)
    assert list(made)[:3] == ["input_row", "id", "row"]
    path = tmp_path / f"rows.{suffix}"
    row_files.write(path, [made, made])
    if suffix == "npz":
        back = np.load(path, allow_pickle=False)
    elif suffix == "csv":
        back = pd.read_csv(path, dtype={"id": str})
    else:
        back = pd.read_parquet(path)
    assert list(back["id"]) == ["007", "é"] * 2
    assert list(back["row"]) == [0, 1] * 2


def test_labels_of_which_training_knew_none():
    dataset = types.SimpleNamespace(label_names=("False", "True"))
    run = types.SimpleNamespace(dataset=dataset)
    summary = new_data._Summary(types.SimpleNamespace(run=run), None)
    x, cluster = np.zeros((2, 1, 2, 1), np.float32), np.zeros(2, np.int32)
    found = Results(None, None, cluster, None, None)
    summary.add(Rows(0, x), found)
    assert summary.lines() == []
    summary.add(Rows(0, x, labels=np.array([-1, -1])), found)
    (line,) = summary.lines()
    assert line == "note: no accuracy, no row has a label of training: False, True"
