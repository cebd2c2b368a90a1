"""The Inception network against the same wiring written out plainly.

The oracle's operations are NumPy's or, where it is installed, PyTorch's, in whose
terms the original is written. Weights are random: the published ones are not here.
"""

import chex
import jax
import numpy as np
import pytest

from infovae_jax.networks import inception

SMALL = 107  # smallest side but a few that leaves 2x2 positions to the last block


class NumpyOps:
    """Channels first, one tap of a kernel at a time."""

    array = staticmethod(np.asarray)

    @staticmethod
    def windows(x, kernel, stride, padding, fill):
        edges = [(0, 0), (0, 0), *((p, p) for p in padding)]
        x = np.pad(x, edges, constant_values=fill)
        sizes = [
            (n - k) // stride + 1 for n, k in zip(x.shape[2:], kernel, strict=True)
        ]
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                rows = slice(i, i + stride * (sizes[0] - 1) + 1, stride)
                yield i, j, x[:, :, rows, j : j + stride * (sizes[1] - 1) + 1 : stride]

    def conv(self, x, w, stride, padding):
        taps = self.windows(x, w.shape[2:], stride, padding, 0.0)
        return sum(np.einsum("nihw,oi->nohw", p, w[:, :, i, j]) for i, j, p in taps)

    def norm(self, x, mean, var, weight, bias):
        mean, var, weight, bias = (a[:, None, None] for a in (mean, var, weight, bias))
        return (x - mean) / np.sqrt(var + 0.001) * weight + bias

    def relu(self, x):
        return np.maximum(x, 0)

    def max_pool(self, x, stride, padding):
        taps = self.windows(x, (3, 3), stride, (padding, padding), -np.inf)
        return np.max([p for _, _, p in taps], axis=0)

    def mean_inside(self, x):
        total = sum(p for _, _, p in self.windows(x, (3, 3), 1, (1, 1), 0.0))
        ones = np.ones_like(x)
        return total / sum(p for _, _, p in self.windows(ones, (3, 3), 1, (1, 1), 0.0))

    def cat(self, parts):
        return np.concatenate(parts, axis=1)


class TorchOps:
    """PyTorch's own functions, as the original calls them."""

    def __init__(self):
        self.torch = pytest.importorskip("torch")
        self.f = self.torch.nn.functional

    def array(self, x):
        return self.torch.tensor(np.asarray(x))

    def conv(self, x, w, stride, padding):
        return self.f.conv2d(x, w, stride=stride, padding=padding)

    def norm(self, x, mean, var, weight, bias):
        return self.f.batch_norm(x, mean, var, weight, bias, eps=0.001)

    def relu(self, x):
        return self.f.relu(x)

    def max_pool(self, x, stride, padding):
        return self.f.max_pool2d(x, kernel_size=3, stride=stride, padding=padding)

    def mean_inside(self, x):
        return self.f.avg_pool2d(
            x, kernel_size=3, stride=1, padding=1, count_include_pad=False
        )

    def cat(self, parts):
        return self.torch.cat(parts, 1)


class Oracle:
    """The network written out: name, stride and padding of every layer."""

    def __init__(self, ops, params):
        self.ops = ops
        self.params = {name: ops.array(a) for name, a in params.items()}

    def layer(self, x, name, stride=1, padding=(0, 0)):
        ops, p = self.ops, self.params
        x = ops.conv(x, p[f"{name}.conv.weight"], stride, padding)
        parts = ("running_mean", "running_var", "weight", "bias")
        return ops.relu(ops.norm(x, *(p[f"{name}.bn.{part}"] for part in parts)))

    def stem(self, x):
        x = self.layer(x, "Conv2d_1a_3x3", stride=2)
        x = self.layer(x, "Conv2d_2a_3x3")
        x = self.layer(x, "Conv2d_2b_3x3", padding=(1, 1))
        x = self.ops.max_pool(x, 2, 0)
        x = self.layer(x, "Conv2d_3b_1x1")
        x = self.layer(x, "Conv2d_4a_3x3")
        return self.ops.max_pool(x, 2, 0)

    def block(self, x, b):
        kind = {"5": self.five, "6": self.six, "7": self.seven}[b[6]]
        return kind(x, b)

    def five(self, x, b):
        one = self.layer(x, f"{b}.branch1x1")
        five = self.layer(x, f"{b}.branch5x5_1")
        five = self.layer(five, f"{b}.branch5x5_2", padding=(2, 2))
        double = self.layer(x, f"{b}.branch3x3dbl_1")
        double = self.layer(double, f"{b}.branch3x3dbl_2", padding=(1, 1))
        double = self.layer(double, f"{b}.branch3x3dbl_3", padding=(1, 1))
        pool = self.layer(self.ops.mean_inside(x), f"{b}.branch_pool")
        return self.ops.cat([one, five, double, pool])

    def six(self, x, b):
        if b == "Mixed_6a":
            three = self.layer(x, f"{b}.branch3x3", stride=2)
            double = self.layer(x, f"{b}.branch3x3dbl_1")
            double = self.layer(double, f"{b}.branch3x3dbl_2", padding=(1, 1))
            double = self.layer(double, f"{b}.branch3x3dbl_3", stride=2)
            return self.ops.cat([three, double, self.ops.max_pool(x, 2, 0)])
        wide, tall = (0, 3), (3, 0)
        one = self.layer(x, f"{b}.branch1x1")
        seven = self.layer(x, f"{b}.branch7x7_1")
        seven = self.layer(seven, f"{b}.branch7x7_2", padding=wide)
        seven = self.layer(seven, f"{b}.branch7x7_3", padding=tall)
        double = self.layer(x, f"{b}.branch7x7dbl_1")
        for number, padding in ((2, tall), (3, wide), (4, tall), (5, wide)):
            double = self.layer(double, f"{b}.branch7x7dbl_{number}", padding=padding)
        pool = self.layer(self.ops.mean_inside(x), f"{b}.branch_pool")
        return self.ops.cat([one, seven, double, pool])

    def seven(self, x, b):
        if b == "Mixed_7a":
            three = self.layer(x, f"{b}.branch3x3_1")
            three = self.layer(three, f"{b}.branch3x3_2", stride=2)
            seven = self.layer(x, f"{b}.branch7x7x3_1")
            seven = self.layer(seven, f"{b}.branch7x7x3_2", padding=(0, 3))
            seven = self.layer(seven, f"{b}.branch7x7x3_3", padding=(3, 0))
            seven = self.layer(seven, f"{b}.branch7x7x3_4", stride=2)
            return self.ops.cat([three, seven, self.ops.max_pool(x, 2, 0)])
        one = self.layer(x, f"{b}.branch1x1")
        three = self.layer(x, f"{b}.branch3x3_1")
        threes = [
            self.layer(three, f"{b}.branch3x3_2a", padding=(0, 1)),
            self.layer(three, f"{b}.branch3x3_2b", padding=(1, 0)),
        ]
        double = self.layer(x, f"{b}.branch3x3dbl_1")
        double = self.layer(double, f"{b}.branch3x3dbl_2", padding=(1, 1))
        doubles = [
            self.layer(double, f"{b}.branch3x3dbl_3a", padding=(0, 1)),
            self.layer(double, f"{b}.branch3x3dbl_3b", padding=(1, 0)),
        ]
        last = b == "Mixed_7c"
        pool = self.ops.max_pool(x, 1, 1) if last else self.ops.mean_inside(x)
        pool = self.layer(pool, f"{b}.branch_pool")
        return self.ops.cat([one, *threes, *doubles, pool])


@pytest.fixture(scope="module")
def params():
    """Random weights that keep activations near 1."""
    rng = np.random.default_rng(0)

    def draw(name, shape):
        if name.endswith(("running_var", "bn.weight")):
            return rng.uniform(0.5, 1.5, shape)
        if len(shape) == 1:
            return 0.1 * rng.standard_normal(shape, np.float32)
        scale = np.sqrt(2 / np.prod(shape[1:]))
        return scale * rng.standard_normal(shape, np.float32)

    shapes = inception.parameter_shapes()
    return {name: draw(name, s).astype(np.float32) for name, s in shapes.items()}


def test_number_of_parameters():
    """Keras states 23,851,784 for 1,000 classes and without the norms' weights.

    Here are 1,008 classes (eight rows of 2,048 weights and a bias more) and one weight
    for each of the 17,216 channels that are normalised.
    """
    shapes = inception.parameter_shapes()
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    channels = sum(shapes[n][0] for n in shapes if n.endswith("bn.weight"))
    assert channels == 17_216
    assert total == 23_851_784 + 8 * (2048 + 1) + 17_216 == 23_885_392
    assert len(shapes) == 94 * 5 + 2
    assert shapes["Mixed_6c.branch7x7dbl_4.conv.weight"] == (160, 160, 7, 1)
    assert shapes["Mixed_7b.branch3x3_2a.conv.weight"] == (384, 384, 1, 3)


@pytest.mark.long
@pytest.mark.parametrize("ops", [NumpyOps, TorchOps])
def test_every_block_and_the_whole(params, ops):
    oracle = Oracle(ops(), params)
    images = np.random.default_rng(1).uniform(-1, 1, (2, SMALL, SMALL, 3))
    images = images.astype(np.float32)

    def last(x):
        return np.moveaxis(np.asarray(x), 1, -1)

    expected = oracle.stem(oracle.ops.array(np.moveaxis(images, -1, 1)))
    np.testing.assert_allclose(
        inception.apply_stem(params, images), last(expected), rtol=1e-3, atol=1e-4
    )
    for name in inception.BLOCKS:
        before = expected
        expected = oracle.block(before, name)
        found = inception.apply_block(params, name, last(before))
        np.testing.assert_allclose(
            found, last(expected), rtol=1e-3, atol=1e-4, err_msg=name
        )
    assert last(expected).shape == (2, 2, 2, 2048)
    features = inception.pool_features(params, images)
    assert features.std() > 0.05
    np.testing.assert_allclose(
        features, last(expected).mean((1, 2)), rtol=1e-3, atol=1e-4
    )
    scores = inception.logits(params, features)
    exact = np.asarray(features) @ params["fc.weight"].T + params["fc.bias"]
    np.testing.assert_allclose(scores, exact, rtol=1e-3, atol=1e-4)


def bilinear(image, size):
    """By definition: centres of pixels at (i + 1/2) / size, edges held."""
    height, width = image.shape
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            y = max((i + 0.5) * height / size - 0.5, 0)
            x = max((j + 0.5) * width / size - 0.5, 0)
            top, left = int(y), int(x)
            low, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, u = y - top, x - left
            out[i, j] = (1 - v) * ((1 - u) * image[top, left] + u * image[top, right])
            out[i, j] += v * ((1 - u) * image[low, left] + u * image[low, right])
    return out


@pytest.mark.parametrize("shape", [(2, 2), (28, 28), (5, 40), (600, 320)])
def test_preprocessing(shape):
    image = np.random.default_rng(2).random(shape).astype(np.float32)
    grey = np.asarray(inception.preprocess(image[None, :, :, None]))
    chex.assert_shape(grey, (1, 299, 299, 3))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    # Positions are float32: off by up to their size times 2^-24, on slopes up to 4.
    atol = 4 * max(299, *shape) * 2.0**-24
    np.testing.assert_allclose(grey[0, ..., 1], 2 * bilinear(image, 299) - 1, atol=atol)
    if max(shape) < 299:  # corners are the corner pixels
        np.testing.assert_allclose(
            grey[0, ::298, ::298, 0], 2 * image[:: shape[0] - 1, :: shape[1] - 1] - 1
        )


def test_colours_stay_apart_and_black_and_white_are_the_ends():
    image = np.zeros((1, 4, 4, 3), np.float32)
    image[..., 1] = 1.0
    found = np.asarray(inception.preprocess(image))
    np.testing.assert_allclose(found[0].min((0, 1)), [-1, 1, -1], atol=1e-6)
    np.testing.assert_allclose(found[0].max((0, 1)), [-1, 1, -1], atol=1e-6)


def test_preprocessing_is_that_of_torch():
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(3).random((2, 32, 48, 3)).astype(np.float32)
    resized = torch.nn.functional.interpolate(
        torch.tensor(np.moveaxis(image, -1, 1)),
        size=(299, 299),
        mode="bilinear",
        align_corners=False,
    )
    exact = np.moveaxis(2 * resized.numpy() - 1, 1, -1)
    np.testing.assert_allclose(inception.preprocess(image), exact, atol=1e-5)


def test_it_traces_at_full_size():
    """Shapes of the whole at 299x299, without computing."""
    shapes = inception.parameter_shapes()
    tree = {n: jax.ShapeDtypeStruct(s, np.float32) for n, s in shapes.items()}
    x = jax.ShapeDtypeStruct((4, 64, 64, 1), np.float32)
    found = jax.eval_shape(
        lambda p, x: inception.pool_features(p, inception.preprocess(x)), tree, x
    )
    chex.assert_shape(found, (4, 2048))
    stem = jax.eval_shape(
        inception.apply_stem, tree, jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    )
    chex.assert_shape(stem, (1, 35, 35, 192))
