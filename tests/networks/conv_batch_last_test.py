"""Convolutions with the batch on the last axis are those of `lax`."""

import functools

import chex
import conv_test
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import networks
from infovae_jax.networks import conv, conv_batch_last

KEY = jax.random.key(0)


def _alike(found, expected):
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-4)


def _with_gradients(function, *arguments):
    y, pull = jax.vjp(function, *arguments)
    return y, pull(jax.random.normal(jax.random.key(9), y.shape))


def _as_images(function):
    """A function of planes as one of images."""
    return lambda x, w: function(x.transpose(3, 1, 2, 0), w).transpose(3, 1, 2, 0)


@pytest.mark.parametrize(
    ("kernel", "stride", "height", "width", "inputs", "outputs"), conv_test.CASES
)
def test_values_and_gradients(kernel, stride, height, width, inputs, outputs):
    keys = jax.random.split(KEY, 3)
    size = (height, width)
    small = [-(-length // stride) for length in size]
    w = jax.random.normal(keys[0], (kernel, kernel, inputs, outputs))
    x = jax.random.normal(keys[1], (3, *size, inputs))
    codes = jax.random.normal(keys[2], (3, *small, inputs))

    def one_layer(x, w):
        return conv_batch_last.conv(x, w, stride)

    def transposed(x, w):
        return conv_batch_last.conv_transpose(x, w, stride, size)

    @jax.jit
    def found():
        return (
            _with_gradients(_as_images(one_layer), x, w),
            _with_gradients(_as_images(transposed), codes, w),
        )

    @jax.jit
    def expected():
        return (
            _with_gradients(lambda x, w: conv.conv2d(x, w, stride, "lax"), x, w),
            _with_gradients(
                lambda x, w: conv.conv_transpose2d(x, w, stride, size, "lax"), codes, w
            ),
        )

    _alike(found(), expected())


@pytest.mark.parametrize(("batch", "parts"), [(17, 1), (24, 1), (34, 2), (64, 4)])
def test_parts_join_to_the_batch_in_its_order(batch, parts):
    x = jax.random.normal(KEY, (batch, 3, 2, 5))
    split = conv_batch_last.split(x, whole=False)
    assert [part.shape for part in split] == [(5, 3, 2, batch // parts)] * parts
    np.testing.assert_array_equal(conv_batch_last.join(split), x)
    (whole,) = conv_batch_last.split(x, whole=True)
    np.testing.assert_array_equal(whole, x.transpose(3, 1, 2, 0))


@pytest.mark.long
@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
@pytest.mark.parametrize("batch", [17, 64])
def test_networks_of_a_batch_agree_in_both_forms(make_config, normalization, batch):
    """Values, gradients and running statistics; leading axes of any number."""
    found = []
    for form in ("dot", "lax"):
        config = make_config("vae").network
        config.kind, config.conv_form = "conv", form
        config.normalization = normalization
        config.conv_channels, config.conv_hidden = (4, 6), 12
        encoder, _ = networks.make_encoder(config, (9, 7, 2))
        decoder = networks.make_decoder(config, (9, 7, 2), 3)
        params = encoder.init(KEY), decoder.init(KEY)
        x = jax.random.normal(KEY, (batch, 1, 9, 7, 2))

        def loss(params, encoder=encoder, decoder=decoder, x=x):
            h, statistics = encoder.train(params[0], x)
            y, more = decoder.train(params[1], h[..., :3])
            return (y**2).mean(), (h, y, statistics, more)

        outputs = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
        assert outputs[0][1][1].shape == x.shape
        found.append(outputs)
        text = str(jax.make_jaxpr(loss)(params))
        assert ("conv_general_dilated" in text) == (form == "lax")
    _alike(*found)


def test_inside_vmap_over_parameters_and_scan():
    """As a population of networks runs."""
    x = jax.random.normal(KEY, (2, 20, 6, 7, 1))
    kernels = (
        jax.random.normal(jax.random.key(1), (3, 4, 4, 1, 5)),
        jax.random.normal(jax.random.key(2), (3, 4, 4, 5, 2)),
    )

    def batch_last(kernels, x):
        h = jnp.tanh(conv_batch_last.conv(x.transpose(3, 1, 2, 0), kernels[0], 2))
        return conv_batch_last.conv_transpose(h, kernels[1], 2, (6, 7)).transpose(
            3, 1, 2, 0
        )

    def as_images(kernels, x):
        h = jnp.tanh(conv.conv2d(x, kernels[0], 2, "lax"))
        return conv.conv_transpose2d(h, kernels[1], 2, (6, 7), "lax")

    def total(kernels, apply):
        def body(carry, batch):
            y = jax.vmap(apply, (0, None))(kernels, batch)
            return carry + (y**2).mean(), y

        return jax.lax.scan(body, 0.0, x)

    _alike(
        *(
            jax.jit(jax.grad(functools.partial(total, apply=apply), has_aux=True))(
                kernels
            )
            for apply in (batch_last, as_images)
        )
    )


def test_the_backward_pass_keeps_no_patches():
    """They are sixteen times as large as the images here."""
    x, w = jnp.ones((2, 8, 8, 16)), jnp.ones((4, 4, 2, 3))
    _, pull = jax.vjp(lambda x, w: conv_batch_last.conv(x, w, 1), x, w)
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull))
    assert kept <= x.size + w.size


@pytest.mark.parametrize(
    ("form", "batch", "expected"),
    [("dot", 16, True), ("dot", 15, False), ("lax", 64, False)],
)
def test_small_batches_and_accelerators_keep_images(form, batch, expected):
    assert conv_batch_last.suits(form, jnp.zeros((batch, 4, 4, 1))) is expected
