"""Groups of figures on real digits, kept small, and the classifier behind them."""

import importlib.util
import pathlib
from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import commands, evaluation
from infovae_jax.data import load
from infovae_jax.errors import ConfigError
from infovae_jax.evaluation import classifier, encoding, generation, groups, subsets
from infovae_jax.evaluation.groups import disentanglement, likelihood, representation
from infovae_jax.evaluation.groups import generation as of_samples
from infovae_jax.training.run import open_run
from infovae_jax.training.saved import Saved


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(representation, "NUM_LABELS", (100,))
    monkeypatch.setattr(representation, "NUM_DRAWS", 2)
    monkeypatch.setattr(representation, "SIGMAS", (0.5,))
    monkeypatch.setattr(representation, "MASKS", (0.5,))
    for name, count in (("probe/tsvm", 60), ("ais", 3)):
        use = subsets.USES[name]._replace(count=count)
        monkeypatch.setitem(subsets.USES, name, use)
    monkeypatch.setattr(of_samples, "CLASSIFIER_STEPS", 200)
    monkeypatch.setattr(likelihood, "AIS_TEMPERATURES", 10)
    monkeypatch.setattr(likelihood, "AIS_CHAINS", 2)
    monkeypatch.setattr(of_samples, "ARTIFICIAL_SHARES", (0.0, 1.0))


def opened(make_config, name, **data):
    config = make_config(name)
    config.evaluation.nll_samples, config.evaluation.nll_examples = 2, 10
    for key, value in data.items():
        config.data[key] = value
    return open_run(config, say=lambda text: None)


def prepared_groups(run, params):
    splits = encoding.make_splits(run, params)
    return {
        row.name: row
        for function in groups.GROUPS.values()
        for row in function(run, params, splits)
    }


@pytest.mark.long
@pytest.mark.parametrize("name", ["vae", "infocatvae", "n_vae"])
def test_figures_are_there_in_range_and_repeat(make_config, small, name):
    run = opened(make_config, name)
    params = run.objective.init(jax.random.key(0))
    rows = prepared_groups(run, params)
    if name == "vae":
        again = prepared_groups(run, params)
        assert {k: r.value for k, r in rows.items()} == {
            k: r.value for k, r in again.items()
        }
    assert 0 <= rows["ais/acceptance"].value <= 1
    assert rows["ais/nll"].value > 0
    shares = [n for n in rows if n.startswith(("probe", "robust", "artificial"))]
    shares = [n for n in shares if not n.endswith(("_area", "label_counts"))]
    assert all(0 <= rows[n].value <= 1 for n in shares)
    assert {"probe/linear_100", "probe/knn_100", "probe/tsvm_100"} <= set(rows)
    assert "draws by seeds 0 to 1" in rows["probe/knn_100"].recipe
    assert rows["probe/label_counts"].value == [100]
    assert rows["robust/tsvm_100_clean"].value == rows["probe/tsvm_100"].value
    assert rows["robust/tsvm_100_mask_area"].value >= 0
    assert rows["robust/gaussian_0.5"].value <= rows["robust/clean"].value + 0.05
    stated = {n for n, r in rows.items() if "standard error" in r.recipe}
    assert stated == {"ais/nll", "generation/kernel"}
    for row in (rows[n] for n in stated):
        assert f"standard error {row.error:.2g}" in row.recipe
    # Real images of the training split are nearer to the test split than noise is.
    floor, found = (rows[f"generation/{k}"].value for k in ("frechet_floor", "frechet"))
    assert 0 <= floor < found
    assert rows["artificial/accuracy_0"].value > 0.9
    assert ("generation/sample_accuracy" in rows) == (name != "vae")
    # An untrained decoder's samples teach nothing.
    assert rows["artificial/accuracy_1"].value < 0.5
    wide = {"artificial/accuracy_wide_1"} if name == "n_vae" else set()
    found = {n for n in rows if n.startswith("artificial/accuracy_wide")}
    assert found == wide
    assert all("sigma 1.4" in rows[n].recipe for n in found)
    assert not any(n.startswith("disentanglement") for n in rows)  # no factors
    assert not {"generation/fid", "generation/kid"} & set(rows)  # no Inception file


def test_samples_are_read_by_another_than_who_made_them():
    """Cluster c of one-hot images holds label 2 - c, and 1 makes what 0 does."""

    def sample(key, params, num, clusters):
        made = jnp.where(clusters == 1, 0, clusters)
        return jax.nn.one_hot(made, 3)[:, None, :, None]

    objective = SimpleNamespace(
        sample=sample,
        classify=lambda params, x: 9.0 * x[:, 0, :, 0],
        prior=SimpleNamespace(mean=np.zeros((3, 1))),
        uses_labels=False,
    )
    settings = SimpleNamespace(samples_per_cluster=50, seed=0, batch_size=64)
    run = SimpleNamespace(
        objective=objective, config=SimpleNamespace(evaluation=settings)
    )
    x = np.eye(3, dtype=np.float32)[np.arange(60) % 3][:, None, :, None]
    judge = SimpleNamespace(probabilities=lambda x: x[:, 0, ::-1, 0], recipe="judge")
    split = encoding.Split(x, 2 - np.arange(60) % 3, x[:, 0, :, 0])
    row = of_samples._obedience(run, {}, split, judge)
    assert row.value == pytest.approx(2 / 3)
    assert "150 samples" in row.recipe
    assert "smallest cluster 0.000" in row.recipe


@pytest.mark.long
def test_factors_are_scored_where_the_data_carry_them(make_config, small, tmp_path):
    rng = np.random.default_rng(0)
    light = rng.integers(0, 3, 240)
    x = np.repeat(light / 2.0, 16).reshape(-1, 4, 4, 1).astype(np.float32)
    path = tmp_path / "data.npz"
    np.savez(path, x=x, factor_light=light)
    run = opened(make_config, "vae", source=str(path))
    rows = prepared_groups(run, run.objective.init(jax.random.key(0)))
    assert rows["disentanglement/dci_informativeness_test"].value > 0.95
    assert "light" in rows["disentanglement/mig"].recipe
    # Without labels there is no judge of what is made, but still its sharpness.
    made = {n for n in rows if n.startswith("generation")}
    assert made == {"generation/sharpness_samples", "generation/sharpness_test"}
    assert not any(n.startswith("probe") for n in rows)
    assert "3 test examples of 48, drawn by seed 0" in rows["ais/nll"].recipe


def test_faces_are_scored_by_their_light_and_their_subject(make_config, tmp_path):
    """An archive as launch/prepare_yale_b.py writes it."""
    pytest.importorskip("PIL")
    script = pathlib.Path(__file__).resolve().parents[2] / "launch/prepare_yale_b.py"
    spec = importlib.util.spec_from_file_location("prepare_yale_b", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng = np.random.default_rng(0)
    azimuth, elevation = rng.integers(0, 4, 150), rng.integers(0, 3, 150)
    image = np.zeros((150, 96, 84), np.uint8)
    image[:, :48] = 60 * azimuth[:, None, None]
    image[:, 48:] = 80 * elevation[:, None, None]
    source, target = tmp_path / "faces.npz", tmp_path / "yale.npz"
    subject = np.repeat([1, 2, 39], 50)
    light = {"azimuth": 20 * azimuth - 30, "elevation": 15 * elevation}
    np.savez(source, image=image, subject=subject, **light)
    module.main(str(source), str(target))
    config = make_config("vae", latent_dim=3)
    config.train.batch_size = 32
    config.data.source = str(target)
    run = open_run(config, say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    splits = encoding.make_splits(run, params)
    rows = {row.name: row for row in disentanglement.rows(run, params, splits)}
    names = {"mig", "modularity", "sap", "factor_vae", "beta_vae", "irs"}
    assert {f"disentanglement/{name}" for name in names} < set(rows)
    assert all(-0.2 <= row.value <= 1 for row in rows.values())
    assert "30 test, azimuth, elevation, label" in rows["disentanglement/mig"].recipe


def test_large_training_sets_are_read_in_part(make_config, monkeypatch):
    monkeypatch.setitem(subsets.USES, "codes", subsets.Use("train", 300))
    run = opened(make_config, "vae")
    splits = encoding.make_splits(run, run.objective.init(jax.random.key(0)))
    assert [len(part) for part in splits.train] == [300] * 3
    assert len(splits.test.x) == len(run.dataset.test_x)


@pytest.fixture
def pixels(monkeypatch):
    """Stands for Inception's features: the first three pixels."""

    def load(path, sha256):
        assert (path, sha256) == ("weights.npz", "ab")
        function = lambda x: x.reshape(len(x), -1)[:, :3]  # noqa: E731
        return generation.Features("pixels", function, "three pixels")

    monkeypatch.setattr(of_samples.inception, "load", load)


def with_inception(make_config, tmp_path, x):
    path = tmp_path / "data.npz"
    np.savez(path, x=x)
    run = opened(make_config, "vae", source=str(path))
    run.config.evaluation.inception = "weights.npz"
    run.config.evaluation.inception_sha256 = "ab"
    run.config.evaluation.inception_samples = 40
    return run


def generated_rows(run):
    params = run.objective.init(jax.random.key(0))
    splits = encoding.make_splits(run, params)
    rows = of_samples.rows(run, params, splits)
    return {row.name: row for row in rows}, run, params, splits


def test_inception_distances_need_no_labels(make_config, tmp_path, pixels):
    x = np.random.default_rng(0).random((300, 4, 4, 1)).astype(np.float32)
    rows, run, params, splits = generated_rows(with_inception(make_config, tmp_path, x))
    made = of_samples._samples(run.objective, params, 60, None, 0)[:40]
    chosen = subsets.indices(run, "generation/fid")
    assert len(set(chosen)) == 40
    assert chosen.max() >= 40  # not the first ones
    made, real = (a.reshape(40, -1)[:, :3] for a in (made, splits.test.x[chosen]))
    moments = [generation.moments(a) for a in (real, made)]
    exact = generation.frechet_distance(*moments[0], *moments[1])
    assert rows["generation/fid"].value == pytest.approx(exact, rel=1e-6)
    exact = generation.kernel_distance(real, made, seed=0)[0]
    assert rows["generation/kid"].value == pytest.approx(exact, rel=1e-6)
    for name in ("fid", "kid"):
        recipe = rows[f"generation/{name}"].recipe
        assert "three pixels; 40 samples against 40 test images" in recipe
    kid = rows["generation/kid"]
    assert f"standard error {kid.error:.2g};" in kid.recipe
    assert "few images" in rows["generation/fid"].recipe


def test_inception_distances_that_make_no_sense_are_not_reported(
    make_config, tmp_path, pixels
):
    rng = np.random.default_rng(0)
    for x, words in (
        (rng.normal(size=(200, 4, 4, 1)), "outside"),
        (rng.random((200, 4, 4, 2)), "2 channels"),
    ):
        run = with_inception(make_config, tmp_path, x.astype(np.float32))
        rows = generated_rows(run)[0]
        for name in ("fid", "kid"):
            assert rows[f"generation/{name}"].value is None
            assert words in rows[f"generation/{name}"].recipe


def test_a_wrong_inception_file_is_refused_before_anything_is_computed(
    make_config, tmp_path, monkeypatch
):
    x = np.random.default_rng(0).random((200, 4, 4, 1)).astype(np.float32)
    run = with_inception(make_config, tmp_path, x)
    monkeypatch.setattr(evaluation.core, "make_bound_evaluator", None)  # never reached
    with pytest.raises(ConfigError, match=r"no file 'weights.npz'"):
        evaluation.evaluate(run, {}, 1, "generation")


def test_label_counts_leave_half_the_split_and_equal_shares():
    balanced = np.arange(2500) % 10
    assert representation.label_counts(balanced) == [100, 600, 1000]
    uneven = np.r_[np.zeros(2000, int), np.ones(60, int)]
    assert representation.label_counts(uneven) == [100]
    assert representation.label_counts(np.arange(10)) == []


def test_the_command_line_names_the_inception_file(make_config, monkeypatch):
    run, seen = opened(make_config, "vae"), []
    saved = Saved(run, {}, 1, None)
    monkeypatch.setattr(commands, "open_saved", lambda *_: saved)
    monkeypatch.setattr(
        commands,
        "evaluate_and_report",
        lambda saved, metrics: seen.append(saved.run.config.evaluation),
    )
    commands.evaluate("somewhere", "generation")
    assert seen[-1].inception is None
    commands.evaluate("somewhere", "generation", None, {"inception": "weights.npz"})
    assert seen[-1].inception == "weights.npz"


def test_asking_for_groups_adds_them_to_the_core(make_config, small):
    run = opened(make_config, "vae")
    params = run.objective.init(jax.random.key(0))
    result = evaluation.evaluate(run, params, 1, "core,representation")
    assert "elbo" in result["metrics"]
    assert "probe/linear_100" in result["metrics"]
    assert "generation/frechet" not in result["metrics"]
    assert set(result["standard_errors"]) <= set(result["metrics"])
    assert evaluation.chosen_groups("all") == list(groups.GROUPS)
    assert evaluation.chosen_groups("core") == []
    with pytest.raises(ConfigError, match="did you mean 'generation'"):
        evaluation.chosen_groups("core,generatoin")


@pytest.mark.long
def test_the_classifier_learns_digits_and_is_a_function_of_its_seed(make_config):
    data = load(make_config("vae").data)
    trained = [
        classifier.train_classifier(data.train_x, data.train_y, 10, 250, seed)
        for seed in (0, 0, 1)
    ]
    assert classifier.accuracy(trained[0], data.test_x, data.test_y) > 0.93
    features = [model.features(data.test_x[:20]) for model in trained]
    chex.assert_shape(features[0], (20, 128))
    np.testing.assert_array_equal(features[0], features[1])
    assert not np.allclose(features[0], features[2])
    shares = trained[0].probabilities(data.test_x)
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-5)
    assert "mlp classifier of these data, 250 steps" in trained[0].recipe
    # Larger images get convolutions.
    big = np.repeat(np.repeat(data.train_x[:200], 2, 1), 2, 2)
    conv = classifier.train_classifier(big, data.train_y[:200], 10, 20, 0)
    assert conv.recipe.startswith("conv")
    assert conv.features(big[:3]).shape == (3, 128)
