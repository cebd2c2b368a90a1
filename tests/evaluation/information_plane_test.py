"""The axes of the information plane against laws that are known."""

import jax
import numpy as np
import pytest

from infovae_jax import commands
from infovae_jax.errors import NonFiniteError
from infovae_jax.evaluation import information_plane
from infovae_jax.training.metrics import read_metrics
from infovae_jax.training.run import open_run


def two_classes(rng, num, gap):
    """Codes y * gap + N(0, 1) beside a dim of noise, y fair."""
    labels = rng.integers(0, 2, num)
    codes = rng.standard_normal((num, 2)) + np.stack([labels * gap, 0 * labels], 1)
    return codes, labels


def exact_information(gap):
    """I(y; z) of `two_classes` by quadrature, nats."""
    z, dz = np.linspace(-12, 12 + gap, 20_001, retstep=True)
    density = np.stack(
        [np.exp(-0.5 * (z - m) ** 2) / np.sqrt(2 * np.pi) for m in (0, gap)]
    )
    mean = density.mean(0)
    return (0.5 * density * np.log(density / mean)).sum() * dz


@pytest.mark.parametrize("gap", [0.0, 1.0, 3.0])
def test_label_information_of_two_gaussians(gap):
    """Here the logistic probe is the true posterior: the bound is tight."""
    rng = np.random.default_rng(0)
    train, test = (two_classes(rng, num, gap) for num in (20_000, 20_000))
    found = information_plane.label_information(*train, *test, num_labels=2)
    assert found == pytest.approx(exact_information(gap), abs=0.015)


def test_label_information_stays_finite_for_a_class_the_probe_never_saw():
    rng = np.random.default_rng(0)
    codes, labels = two_classes(rng, 4000, 20.0)
    test_labels = labels.copy()
    test_labels[:100] = 2
    found = information_plane.label_information(
        codes, labels, codes, test_labels, num_labels=3
    )
    shares = np.bincount(test_labels) / 4000
    entropy = -(shares * np.log(shares)).sum()
    # Each miss at a third of a thousandth; the others are all but certain.
    assert found == pytest.approx(entropy - 100 / 4000 * np.log(3000), abs=0.01)
    one = np.zeros(4000, int)
    found = information_plane.label_information(codes, one, codes, one, num_labels=2)
    assert found == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "labels", "names"),
    [
        ("vae", True, {information_plane.DATA, information_plane.LABEL}),
        ("vae", False, {information_plane.DATA}),
        ("infomax_vae", True, {information_plane.DATA, information_plane.LABEL}),
    ],
)
def test_figures_of_fresh_parameters(make_config, tmp_path, name, labels, names):
    x = np.random.default_rng(0).random((60, 4, 4), dtype=np.float32)
    source = tmp_path / "data.npz"
    np.savez(source, x=x, **({"y": np.arange(60) % 3} if labels else {}))
    config = make_config(name)
    config.data.source, config.data.test_fraction = str(source), 0.5
    config.train.batch_size = 8
    run = open_run(config, say=lambda text: None)
    evaluate = information_plane.make_plane_evaluator(run)
    found = evaluate(run.objective.init(jax.random.key(0)))
    assert found.keys() == names
    assert 0 <= found[information_plane.DATA] <= np.log(30)
    assert found.get(information_plane.LABEL, 0.0) < np.log(3)
    assert found == evaluate(run.objective.init(jax.random.key(0)))


def test_a_code_of_noise_alone_says_nothing_and_a_sharp_one_all(make_config):
    """The posteriors are replaced by ones whose information is known."""
    run = open_run(make_config("vae"), say=lambda text: None)
    dim = run.objective.latent_dim

    def constant(params, x):
        zeros = x.reshape(len(x), -1)[:, :dim] * 0
        return information_plane.Gaussian(zeros, zeros)

    def sharp(params, x):
        mean = x.reshape(len(x), -1)[:, -dim - 1 : -1]
        return information_plane.Gaussian(mean, 0 * mean - 20)

    nothing, everything = (
        information_plane.make_plane_evaluator(
            run._replace(objective=run.objective._replace(encode=encode))
        )({})
        for encode in (constant, sharp)
    )
    assert nothing[information_plane.DATA] == pytest.approx(0.0, abs=1e-5)
    assert nothing[information_plane.LABEL] < 0.01
    assert everything[information_plane.DATA] == pytest.approx(np.log(359), abs=0.01)
    assert everything[information_plane.LABEL] > 1.0


def test_a_diverged_model_is_said_to_have_diverged(make_config):
    """Not the example is at fault, so nobody is told to repair it."""
    run = open_run(make_config("vae"), say=lambda text: None)
    params = run.objective.init(jax.random.key(0))
    broken = jax.tree.map(lambda a: a * np.nan, params)
    with pytest.raises(NonFiniteError, match="codes of 359 of 359 examples") as caught:
        information_plane.make_plane_evaluator(run)(broken)
    message = caught.value.line()
    assert f"'{information_plane.DATA}'" in message
    assert "diverged" in message
    assert "config.optimizer.learning_rate" in message
    assert "repair" not in message
    assert caught.value.exit_code == 5


@pytest.mark.long
def test_training_logs_the_plane_where_asked(make_config, tmp_path, monkeypatch):
    """As the command does it: the knob decides, at the epochs of the bound."""
    monkeypatch.setattr(commands, "evaluate_and_report", lambda saved: None)
    for wanted in (True, False):
        config = make_config("vae")
        config.train.num_epochs, config.train.eval_every = 4, 2
        config.evaluation.plane = wanted
        folder = tmp_path / str(wanted)
        commands.train(config, str(folder))
        rows = read_metrics(folder)
        logged = {
            row["epoch"]
            for row in rows
            if information_plane.DATA in row and information_plane.LABEL in row
        }
        assert logged == ({2.0, 4.0} if wanted else set())
