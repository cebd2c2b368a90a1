"""Encoders, decoders and heads: shapes, ranks and messages."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import networks
from infovae_jax.errors import ConfigError
from infovae_jax.types import STATISTICS

KEY = jax.random.key(0)
SHAPES = [(8, 8, 1), (7, 5, 3), (1, 6, 1), (28, 28, 1), (9, 16, 2)]


@pytest.fixture
def network_config(make_config):
    def make(**changes):
        config = make_config("vae").network
        config.conv_channels, config.conv_hidden = (4, 6), 12
        for key, value in changes.items():
            config[key] = value
        return config

    return make


@pytest.mark.long
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_any_image_size_and_any_leading_axes(
    network_config, shape, kind, normalization
):
    config = network_config(kind=kind, normalization=normalization)
    encoder, features = networks.make_encoder(config, shape)
    decoder = networks.make_decoder(config, shape, 3)
    params = encoder.init(KEY), decoder.init(KEY)
    x = jax.random.normal(KEY, (2, 3, *shape))
    h = encoder.apply(params[0], x)
    chex.assert_shape(h, (2, 3, features))
    z = h[..., :3]
    y = decoder.apply(params[1], z)
    assert y.shape == x.shape
    assert y.dtype == h.dtype == jnp.float32
    np.testing.assert_allclose(encoder.apply(params[0], x[1, 2]), h[1, 2], atol=1e-5)
    np.testing.assert_allclose(decoder.apply(params[1], z[1, 2]), y[1, 2], atol=1e-5)
    mapped = jax.vmap(jax.vmap(lambda image: encoder.apply(params[0], image)))(x)
    np.testing.assert_allclose(mapped, h, atol=1e-5)


@pytest.mark.long
def test_forms_share_parameters_and_values(network_config):
    outputs = []
    for form in ("dot", "lax"):
        config = network_config(kind="conv", conv_form=form)
        encoder, _ = networks.make_encoder(config, (9, 7, 2))
        decoder = networks.make_decoder(config, (9, 7, 2), 3)
        params = encoder.init(KEY), decoder.init(KEY)

        def loss(params, encoder=encoder, decoder=decoder):
            h = encoder.apply(params[0], jnp.ones((2, 9, 7, 2)))
            return (decoder.apply(params[1], h[:, :3]) ** 2).sum()

        outputs.append(jax.value_and_grad(loss)(params))
    chex.assert_trees_all_close(*outputs, atol=1e-4, rtol=1e-7)


def test_layer_normalization_makes_features_free_of_input_scale(network_config):
    config = network_config(normalization="layer")
    encoder, _ = networks.make_encoder(config, (8, 8, 1))
    params = encoder.init(KEY)
    x = jax.random.normal(KEY, (8, 8, 1))
    np.testing.assert_allclose(
        encoder.apply(params, x), encoder.apply(params, 50 * x), atol=1e-3
    )


def test_gaussian_head_is_linear_in_features_and_one_hot():
    head = networks.make_gaussian_head(5, 4, 3)
    params = head.init(KEY)
    h, c = jax.random.normal(KEY, (2, 5)), jax.nn.one_hot(jnp.array([0, 2]), 3)
    kernel = jnp.concatenate(
        [params["features"]["kernel"], params["cluster"]["kernel"]]
    )
    inputs = jnp.concatenate([h, c], axis=-1)
    expected = inputs @ kernel + params["features"]["bias"][None]
    found = jnp.concatenate(head.apply(params, h, c), axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_hidden_layers_of_heads():
    head = networks.make_gaussian_head(5, 4, 3, hidden=(7,))
    mean, log_var = head.apply(head.init(KEY), jnp.ones((2, 5)), jnp.eye(3)[:2])
    assert mean.shape == log_var.shape == (2, 4)
    assert not np.allclose(mean[0], mean[1])
    classifier = networks.make_classifier(5, 3, hidden=(7,))
    assert classifier.apply(classifier.init(KEY), jnp.ones((2, 5))).shape == (2, 3)


def test_initialisation_is_a_function_of_the_key(network_config):
    encoder, _ = networks.make_encoder(network_config(kind="conv"), (8, 8, 1))
    first, second, other = (encoder.init(jax.random.key(k)) for k in (0, 0, 1))
    chex.assert_trees_all_equal(first, second)
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True)
    )


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"kind": "mpl"}, "did you mean 'mlp'"),
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"normalization": "layers"}, "did you mean 'layer'"),
        ({"kind": "conv", "conv_form": "dots"}, "did you mean 'dot'"),
        ({"kind": "conv", "conv_channels": (1,) * 5}, "at most 3 layers"),
    ],
)
def test_bad_values_are_named(network_config, changes, part):
    with pytest.raises(ConfigError, match=part):
        networks.make_encoder(network_config(**changes), (8, 8, 1))[0].init(KEY)


def test_batch_normalization_without_layers(network_config):
    """As a classifier that is linear has it: no weights, no statistics."""
    config = network_config(encoder_hidden=(), normalization="batch")
    encoder, features = networks.make_encoder(config, (3, 2, 1))
    params = encoder.init(jax.random.key(0))
    assert features == 6
    assert params == {STATISTICS: {}}
    x = jnp.arange(12.0).reshape(2, 3, 2, 1)
    values, changed = encoder.train(params, x)
    np.testing.assert_array_equal(values, x.reshape(2, 6))
    assert changed == params
