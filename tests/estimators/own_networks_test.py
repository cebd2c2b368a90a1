"""Encoders and decoders of one's own; fits that go on from the fit before."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from sklearn.base import clone

from infovae_jax import NVAE, VAE, CatVAE, load
from infovae_jax.errors import CheckpointError
from infovae_jax.export import numpy_runtime


class Encoder(nn.Module):
    size: int = 6

    @nn.compact
    def __call__(self, x):
        return nn.tanh(nn.Dense(self.size)(x.reshape(len(x), -1)))


class Decoder(nnx.Module):
    def __init__(self, dims, size, rngs):
        self.first = nnx.Linear(dims, 7, rngs=rngs)
        self.last = nnx.Linear(7, size, rngs=rngs)

    def __call__(self, z):
        return self.last(nnx.relu(self.first(z)))


def init(key, x):
    return [0.1 * jax.random.normal(key, (x.size, 6)), jnp.zeros(6)]


def apply(params, x):
    weights, bias = params
    return jnp.tanh(x.reshape(len(x), -1) @ weights + bias[None])


def decoder(size):
    return Decoder(2, size, nnx.Rngs(0))


def assert_same_after_saving(model, x, folder, **own):
    model.save(folder)
    again = load(folder, **own)
    np.testing.assert_array_equal(again.transform(x), model.transform(x))
    alone = numpy_runtime.load(folder)  # which needs none of the modules' code
    close = {"rtol": 1e-5, "atol": 1e-5}
    codes = model.transform(x)
    np.testing.assert_allclose(alone.encode(x), codes, **close)
    expected = model.inverse_transform(codes)
    np.testing.assert_allclose(alone.decode(codes), expected, **close)


@pytest.mark.long
def test_linen_encoder_of_rows(tmp_path, table, quick):
    model = CatVAE(n_clusters=2, encoder=Encoder(), **quick).fit(table)
    assert model.params_["encoder"]["Dense_0"]["kernel"].shape == (5, 6)
    assert_same_after_saving(model, table, tmp_path, encoder=Encoder())
    with pytest.raises(CheckpointError, match="own_networks_test.Encoder"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path, encoder=Encoder(9))
    assert clone(model).fit(table).transform(table).shape == (60, 4)
    with pytest.raises(ValueError, match="one of mlp, conv$"):
        clone(model).set_params(network="cnn").fit(table)
    codes = model.transform(table)
    model.set_params(encoder=None, network="conv")  # of the next fit
    np.testing.assert_array_equal(model.transform(table), codes)
    assert_same_after_saving(model, table, tmp_path, encoder=Encoder())


@pytest.mark.long
def test_nnx_decoder_and_functions(tmp_path, images, quick):
    own = {"encoder": (init, apply), "decoder": decoder(90)}
    model = VAE(latent_dim=2, **own, **quick).fit(images)
    names = {name.partition(".value")[0] for name in model.params_["decoder"]}
    assert names == {"first.kernel", "first.bias", "last.kernel", "last.bias"}
    assert model.sample(3).shape == (3, 6, 5, 3)
    assert_same_after_saving(model, images, tmp_path, **own)


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ({"encoder": 5}, "it is a int; encoder"),
        ({"encoder": nn.BatchNorm(False)}, "batch_stats"),
        ({"decoder": (lambda key: [], lambda params, z: z)}, "makes"),
        ({"encoder": (init, lambda params, x: x @ x)}, "fails for an input"),
        ({"encoder": (init, lambda params, x: (x, x))}, "does not map"),
    ],
)
def test_what_is_no_network_is_refused(table, quick, own, text):
    with pytest.raises(ValueError, match=text):
        VAE(latent_dim=2, **own, **quick).fit(table)


def test_warm_start_goes_on(table, quick):
    cold = VAE(**quick).fit(table)
    warm = VAE(warm_start=True, **quick).fit(table)
    jax.tree.map(np.testing.assert_array_equal, warm.params_, cold.params_)
    warm.fit(table[:40])
    assert warm.history_["loss"][0] != cold.history_["loss"][0]
    assert warm._scaling.shift.tolist() == cold._scaling.shift.tolist()
    again = VAE(**quick).fit(table)
    again.warm_start = True
    again.fit(table)
    assert again.history_["loss"][0] < cold.history_["loss"][0]


@pytest.mark.long
def test_warm_start_of_other_networks_is_refused(table, images, quick):
    model = VAE(warm_start=True, **quick).fit(table)
    model.set_params(hidden=(9,))
    with pytest.raises(ValueError, match="other networks"):
        model.fit(table)
    model = VAE(warm_start=True, **quick).fit(table)
    with pytest.raises(ValueError, match="shape of the data"):
        model.fit(images)
    y = np.arange(60) % 2
    model = NVAE(warm_start=True, **quick).fit(table, y)
    with pytest.raises(ValueError, match="other classes"):
        model.fit(table, np.where(y, "a", "b"))
