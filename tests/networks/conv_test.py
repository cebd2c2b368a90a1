"""The two forms of the convolution agree in values and gradients."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax.errors import ConfigError
from infovae_jax.networks import conv

CASES = [  # kernel, stride, height, width, in, out
    (3, 1, 5, 6, 2, 3),
    (4, 1, 7, 7, 1, 2),
    (3, 2, 7, 8, 3, 2),
    (4, 2, 28, 28, 1, 4),
    (4, 2, 9, 5, 2, 3),
    (5, 2, 11, 6, 2, 2),
    (5, 2, 1, 4, 2, 2),
    (2, 2, 6, 7, 1, 3),
    (1, 2, 5, 5, 2, 2),
    (5, 3, 10, 8, 2, 2),
    (3, 1, 4, 5, 3, 2),  # more inputs than outputs: the transpose's other form
    (4, 2, 9, 6, 9, 2),
    (5, 2, 7, 8, 5, 1),
]


def _both(function, *arguments):
    """Value and both gradients of a fixed random projection, for each form."""
    found = {}
    for form in ("dot", "lax"):
        y, pull = jax.vjp(lambda a, b, f=form: function(a, b, f), *arguments)
        found[form] = (y, *pull(jax.random.normal(jax.random.key(9), y.shape)))
    return found["dot"], found["lax"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("kernel", "stride", "height", "width", "inputs", "outputs"), CASES
)
def test_conv2d(kernel, stride, height, width, inputs, outputs):
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (2, height, width, inputs))
    w = jax.random.normal(keys[1], (kernel, kernel, inputs, outputs))
    dot, lax = _both(lambda a, b, form: conv.conv2d(a, b, stride, form), x, w)
    chex.assert_shape(dot[0], (2, -(-height // stride), -(-width // stride), outputs))
    for a, b in zip(dot, lax, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kernel", "stride", "height", "width", "inputs", "outputs"), CASES
)
def test_conv_transpose2d(kernel, stride, height, width, inputs, outputs):
    keys = jax.random.split(jax.random.key(0))
    small = (-(-height // stride), -(-width // stride))
    x = jax.random.normal(keys[0], (2, *small, inputs))
    w = jax.random.normal(keys[1], (kernel, kernel, inputs, outputs))

    def function(a, b, form):
        return conv.conv_transpose2d(a, b, stride, (height, width), form)

    dot, lax = _both(function, x, w)
    chex.assert_shape(dot[0], (2, height, width, outputs))
    for a, b in zip(dot, lax, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("size", [(7, 8), (5, 5)])
def test_conv_is_same_padded_as_xla_means_it(size):
    x = jax.random.normal(jax.random.key(0), (1, *size, 2))
    w = jax.random.normal(jax.random.key(1), (4, 4, 2, 3))
    expected = jax.lax.conv_general_dilated(
        x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(conv.conv2d(x, w, 2, "dot"), expected, atol=1e-4)


@pytest.mark.parametrize("form", ["dot", "lax"])
def test_transpose_is_the_adjoint(form):
    """<conv(x), y> = <x, conv_transpose(y)> with the channel axes exchanged."""
    x = jax.random.normal(jax.random.key(0), (2, 9, 6, 3))
    w = jax.random.normal(jax.random.key(1), (4, 4, 3, 5))
    y = jax.random.normal(jax.random.key(2), (2, 5, 3, 5))
    left = (conv.conv2d(x, w, 2, form) * y).sum()
    back = conv.conv_transpose2d(y, w.transpose(0, 1, 3, 2), 2, (9, 6), form)
    np.testing.assert_allclose(left, (x * back).sum(), rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 9])  # each way to transpose
def test_forms_agree_inside_vmap_and_scan(channels):
    """Values, gradients and tangents of both layers, one example at a time."""
    x = jax.random.normal(jax.random.key(0), (3, 2, 6, 7, 1))
    kernels = (
        jax.random.normal(jax.random.key(1), (4, 4, 1, channels)),
        jax.random.normal(jax.random.key(2), (4, 4, channels, 2)),
    )

    def scanned(kernels, form):
        def one(image):
            h = jnp.tanh(conv.conv2d(image[None], kernels[0], 2, form))
            return conv.conv_transpose2d(h, kernels[1], 2, (6, 7), form)[0]

        def body(total, batch):
            y = jax.vmap(one)(batch)
            return total + (y**2).mean(), y

        return jax.lax.scan(body, 0.0, x)

    found = []
    for form in ("dot", "lax"):
        run = functools.partial(scanned, form=form)
        grads, outputs = jax.jit(jax.grad(run, has_aux=True))(kernels)
        tangent = jax.jvp(lambda k, run=run: run(k)[0], (kernels,), (kernels,))[1]
        found.append((grads, outputs, tangent))
    chex.assert_trees_all_close(*found, rtol=1e-4, atol=1e-4)


def test_split_product_of_tall_patches(monkeypatch):
    """The gradients of the split sum are those of the plain product."""
    x = jax.random.normal(jax.random.key(0), (32, 12, 14, 3))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 3, 2)) / 7
    back = jax.random.normal(jax.random.key(2), (32, 6, 7, 2))

    def gradients():
        return jax.vjp(lambda x, w: conv.conv2d(x, w, 2, "dot"), x, kernel)[1](back)

    assert conv._is_tall(jnp.zeros((32 * 6 * 7, 4 * 4 * 3)))
    split = gradients()
    monkeypatch.setattr(conv, "_is_tall", lambda flat: False)
    plain = gradients()
    chex.assert_trees_all_close(split, plain, rtol=1e-4, atol=1e-4)


def test_auto_is_the_dot_form_on_cpu():
    text = str(
        jax.make_jaxpr(lambda x, w: conv.conv2d(x, w, 2))(
            jnp.zeros((1, 4, 4, 1)), jnp.zeros((4, 4, 1, 1))
        )
    )
    assert ("conv_general_dilated" in text) == (jax.default_backend() != "cpu")


def test_too_many_layers_for_the_image():
    conv.check_sizes((8, 8, 1), 3)
    with pytest.raises(ConfigError, match="at most 3 layers"):
        conv.check_sizes((8, 8, 1), 4)
