"""Parameters -> config."""

import numpy as np
import pytest
from sklearn.base import clone

from infovae_jax import VAE, BetaVAE, InfoCatVAE, objectives
from infovae_jax import config as config_lib
from infovae_jax.config import groups
from infovae_jax.estimators import loading, settings


def resolve(model, shape=(1, 8, 1), count=1000, seed=0):
    return settings.resolve(model, shape, count, seed)


@pytest.mark.parametrize(
    ("count", "batch", "epochs"),
    [(2, 2, 500), (20, 16, 500), (200, 128, 500), (1797, 128, 143), (60_000, 128, 20)],
)
def test_length_follows_from_the_rows(count, batch, epochs):
    config = resolve(VAE(), count=count)
    assert (config.train.batch_size, config.train.num_epochs) == (batch, epochs)


@pytest.mark.parametrize(
    ("count", "batch", "epochs", "hidden"),
    [(300, 128, 178, 256), (2000, 128, 24, 256), (6000, 128, 20, 500)],
)
def test_large_pictures_take_fewer_and_smaller_steps(count, batch, epochs, hidden):
    config = resolve(InfoCatVAE(), (48, 40, 3), count)
    assert (config.train.batch_size, config.train.num_epochs) == (batch, epochs)
    assert config.network.encoder_hidden == (hidden, hidden)


def test_parameters_weights_and_config_reach_their_keys():
    model = BetaVAE(
        latent_dim=3,
        hidden=(7, 5),
        epochs=9,
        learning_rate="linear(1e-3, 1e-4, 5)",
        weights={"kl_z": 2.0},
        config={"network.activation": "gelu", "optimizer.clip_norm": 1.0},
    )
    config = resolve(model, seed=4)
    assert config.seed == 4
    assert config.model.latent_dim == 3
    assert config.network.encoder_hidden == (7, 5)
    assert config.network.decoder_hidden == (5, 7)
    assert config.train.num_epochs == 9
    assert config.optimizer.learning_rate == "linear(1e-3, 1e-4, 5)"
    assert config.weights.kl_z == 2.0
    assert config.network.activation == "gelu"
    assert config.optimizer.clip_norm == 1.0
    config_lib.check(config)


@pytest.mark.parametrize(
    ("preset", "shape"), [("digits", (8, 8, 1)), ("omniglot", (28, 28, 1))]
)
def test_recipes_are_those_of_the_config_files(preset, shape):
    shipped = config_lib.load_config_file(f"configs/infocatvae.py:{preset}")
    own = resolve(InfoCatVAE(), shape, 1438)
    assert own.model.to_dict() == shipped.model.to_dict()
    assert own.weights.to_dict() == shipped.weights.to_dict()
    assert own.network.to_dict() == shipped.network.to_dict()
    assert own.optimizer.to_dict() == shipped.optimizer.to_dict()


def test_rows_have_neighbours_in_place_of_affine_maps():
    config = resolve(InfoCatVAE(), (1, 64, 1), 1438)
    assert (config.model.neighbours, config.model.affine) == (True, False)
    assert config.model.neighbours_count == 10
    assert resolve(InfoCatVAE(), (1, 3, 1), 8).model.neighbours_count == 7


def test_columns_of_their_own_scale_have_noise_in_place_of_adversarial_changes():
    own = settings.resolve(InfoCatVAE(), (1, 13, 1), 178, 0, columns=True)
    shipped = config_lib.load_config_file("configs/infocatvae.py:table")
    for config in (own, shipped):
        assert (config.model.noise, config.model.invariance) == (True, False)
        assert (config.model.neighbours, config.model.affine) == (True, False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 16)) * np.logspace(-2, 3, 16)
    model = InfoCatVAE(n_clusters=2, hidden=(4,), epochs=1, random_state=0, verbose=0)
    assert model._prepared(x, None, 0)[0].model.noise
    grey = rng.integers(0, 17, (30, 16)).astype(float)
    assert model._prepared(grey, None, 0)[0].model.invariance


@pytest.mark.parametrize("name", objectives.names())
def test_a_clone_of_a_run_is_trained_as_the_run_was(name):
    """Its recipe, of few and of many pixels, and whatever was changed of it."""
    system = {cls.objective: cls for cls in loading.classes().values()}[name]
    for few, shape in ((True, (1, 8, 1)), (False, (20, 20, 3))):
        config = objectives.use(groups.default_config(), name, few)
        own, weight = config.model, sorted(config.weights)[0]
        config.network.activation, config.network.encoder_hidden = "gelu", (7, 5)
        config.optimizer.learning_rate, config.seed = "linear(1e-3, 1e-4, 5)", 3
        config.weights[weight] = "linear(0, 1, 9)"
        config.train.batch_size, config.train.num_epochs = 17, 9
        config.train.precision, config.data.levels = "bfloat16", 17
        if "num_clusters" in own:
            own.num_clusters, own.latent_dim = 3, 9
        for kind in ("conv", "mlp"):
            config.network.kind = kind
            given = system, config, shape, False
            model = clone(system(**settings.parameters_of(*given)))
            again = settings.resolve(model, shape, 1000, config.seed)
            for group in ("model", "network", "optimizer", "weights"):
                assert again[group].to_dict() == config[group].to_dict()
            assert (again.train.batch_size, again.train.num_epochs) == (17, 9)
            assert (again.train.precision, again.data.levels) == ("bfloat16", 17)
            assert (again.seed, model.hidden) == (3, (7, 5))
            assert model.weights[weight] == "linear(0, 1, 9)"
            if "num_clusters" in own:
                assert (model.n_clusters, model.latent_dim) == (3, 9)


def test_dims_follow_the_clusters():
    one = resolve(InfoCatVAE(n_clusters=1)).model
    assert (one.top_clusters, one.latent_dim) == (1, 2)
    assert resolve(InfoCatVAE(n_clusters=7)).model.latent_dim == 14
    assert resolve(InfoCatVAE(n_clusters=7, latent_dim=21)).model.latent_dim == 21


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("config.optimizer.learning_rate is", "learning_rate is"),
        ("lower config.weights.kl_z", "lower weights={'kl_z': ...}"),
        ("set data.binarize='none'", "set config={'data.binarize': 'none'}"),
        (
            "or set config.optimizer.clip_norm",
            "or set config={'optimizer.clip_norm': ...}",
        ),
        ("use --config=vae.py:table, or set it", "set it"),
        ("config.data.columns='age=count'", "columns={'age': 'count'}"),
        ("of file data.csv and train.npz", "of file data.csv and train.npz"),
        ("did you mean 'weights.kl_z'", "did you mean 'weights.kl_z'"),
    ],
)
def test_messages_speak_of_parameters(text, shown):
    assert settings.in_python(text) == shown


def test_seeds():
    assert settings.seed_of(7) == settings.seed_of(np.int64(7)) == 7
    state = np.random.RandomState(0)
    assert settings.seed_of(state) != settings.seed_of(state)
