"""bfloat16 is where the networks multiply, and nowhere else."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infovae_jax import config as config_lib
from infovae_jax import networks, objectives
from infovae_jax.data import batches
from infovae_jax.errors import ConfigError
from infovae_jax.training import train_step
from infovae_jax.types import Batch, DataSpec

KEY = jax.random.key(0)
VAE = pathlib.Path(__file__).resolve().parents[2] / "configs" / "vae.py"
# Primitives of likelihoods, divergences and moments.
REDUCTIONS = ("reduce_sum", "rsqrt", "log", "log1p", "exp", "logistic")


def equations(jaxpr):
    """All equations, those of inner jaxprs too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(item, "jaxpr", item)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def types_of(jaxpr, *names):
    """Types of the first operand of every equation called one of `names`."""
    return [
        e.invars[0].aval.dtype for e in equations(jaxpr) if e.primitive.name in names
    ]


@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("form", ["dot", "lax"])
@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
def test_networks_multiply_in_bfloat16_alone(make_config, kind, form, normalization):
    config = make_config("vae").network
    config.kind, config.conv_form, config.normalization = kind, form, normalization
    config.conv_channels, config.conv_hidden = (4, 6), 12
    x, z = jnp.ones((3, 8, 8, 1)), jnp.ones((3, 5))
    encoder, _ = networks.make_encoder(config, (8, 8, 1), "bfloat16")
    decoder = networks.make_decoder(config, (8, 8, 1), 5, "bfloat16")
    float32 = {jnp.dtype("float32")}
    for network, inputs in ((encoder, x), (decoder, z)):
        params = jax.eval_shape(network.init, KEY)
        outputs = jax.eval_shape(network.train, params, inputs)
        grads = jax.eval_shape(
            jax.grad(lambda p, x, n=network: n.train(p, x)[0].sum()), params, inputs
        )
        for tree in (params, outputs, grads):
            assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == float32
        jaxpr = jax.make_jaxpr(network.apply)(params, inputs).jaxpr
        products = types_of(jaxpr, "dot_general", "conv_general_dilated")
        assert products
        assert set(products) == {jnp.dtype(jnp.bfloat16)}
        assert {jnp.dtype(jnp.bfloat16)}.isdisjoint(types_of(jaxpr, *REDUCTIONS))


def test_float32_networks_have_no_bfloat16(make_config):
    config = make_config("vae").network
    encoder, _ = networks.make_encoder(config, (8, 8, 1))
    params = jax.eval_shape(encoder.init, KEY)
    jaxpr = jax.make_jaxpr(encoder.apply)(params, jnp.ones((3, 8, 8, 1)))
    assert "bf16" not in str(jaxpr)


def loss_and_inputs(config, spec, precision):
    """The loss of an objective, and what it takes."""
    config.train.precision = precision
    objective = objectives.make(config, spec)
    x = jax.random.uniform(KEY, (32, *spec.shape))
    labels = jnp.arange(32, dtype=jnp.int32) % 10
    hparams = {k: jnp.float32(v) for k, v in objective.hparams.items()}
    batch = Batch(x, labels) if objective.uses_labels else x
    return objective, batch, hparams


@pytest.mark.parametrize("name", objectives.names())
def test_losses_are_computed_in_float32(make_config, spec, name):
    config = make_config(name)
    config.network.activation = "relu"  # others take exponentials in the network
    objective, batch, hparams = loss_and_inputs(config, spec, "bfloat16")
    params = jax.eval_shape(objective.init, KEY)
    outputs = jax.eval_shape(objective.loss, params, batch, KEY, hparams)
    assert {leaf.dtype for leaf in jax.tree.leaves(outputs)} == {jnp.dtype("float32")}
    jaxpr = jax.make_jaxpr(objective.loss)(params, batch, KEY, hparams).jaxpr
    assert jnp.dtype(jnp.bfloat16) in types_of(jaxpr, "dot_general")
    found = types_of(jaxpr, *REDUCTIONS)
    assert found
    assert jnp.dtype(jnp.bfloat16) not in found


@pytest.mark.parametrize("name", ["vae", "n_vae"])
def test_losses_are_close(make_config, spec, name):
    found = {}
    for precision in ("float32", "bfloat16"):
        objective, batch, hparams = loss_and_inputs(make_config(name), spec, precision)
        params = jax.jit(objective.init)(KEY)
        found[precision] = float(
            jax.jit(objective.loss)(params, batch, KEY, hparams)[0]
        )
    assert found["float32"] != found["bfloat16"]
    np.testing.assert_allclose(found["bfloat16"], found["float32"], rtol=0.02)


def test_mmd_is_that_of_float32_codes(make_config, spec):
    """The distances' product runs in float32 though the encoder's do not."""
    objective, x, hparams = loss_and_inputs(make_config("vimae"), spec, "bfloat16")
    params = jax.eval_shape(objective.init, KEY)
    jaxpr = jax.make_jaxpr(objective.loss)(params, x, KEY, hparams).jaxpr
    distances = [
        e
        for e in equations(jaxpr)
        if e.primitive.name == "dot_general" and e.outvars[0].aval.shape == (32, 32)
    ]
    assert len(distances) == 3
    assert {e.invars[0].aval.dtype for e in distances} == {jnp.dtype("float32")}


@pytest.mark.long
def test_training_in_bfloat16_reaches_the_bound_of_float32():
    """On digits, within 0.5 nat of about 20 after 20 epochs; state is float32."""
    from sklearn.datasets import load_digits

    images = (load_digits().images / 16.0).astype(np.float32)[..., None]
    train, test = images[:1400], jnp.asarray(images[1400:])
    config = config_lib.load_config_file(str(VAE))
    config.network.encoder_hidden = config.network.decoder_hidden = (128,)
    spec = DataSpec((8, 8, 1), "float32", "bernoulli", len(train), 0, False)
    found = {}
    for precision in ("float32", "bfloat16"):
        config.train.precision = precision
        objective = objectives.make(config, spec)
        optimizer = optax.adam(1e-3)
        step = train_step.make_train_step(objective, optimizer, {})
        state = train_step.init_train_state(objective, optimizer, 0)
        indices = batches.batch_indices(0, 0, 20 * 10, len(train), 128)
        run = jax.jit(train_step.make_multi_step(step))
        state, _ = run(state, jnp.asarray(train), indices)
        for leaf in jax.tree.leaves((state.params, state.opt_state)):
            assert leaf.dtype in (jnp.float32, jnp.int32)
        keys = jax.random.split(KEY, len(test))
        elbo = jax.jit(jax.vmap(objective.elbo, (None, 0, 0)))
        terms = elbo(state.params, test, keys)
        found[precision] = -float(sum(terms.values()).mean())
        start = elbo(jax.jit(objective.init)(KEY), test, keys)
        start = -float(sum(start.values()).mean())
    assert found["float32"] > start + 5.0  # it has learned
    assert abs(found["bfloat16"] - found["float32"]) < 0.5


def test_unknown_precision(make_config):
    config = config_lib.load_config_file(str(VAE))
    config.train.precision = "bfloat61"
    with pytest.raises(ConfigError, match="did you mean 'bfloat16'"):
        config_lib.check(config)
    with pytest.raises(ConfigError, match="did you mean 'bfloat16'"):
        networks.make_encoder(config.network, (8, 8, 1), "bfloat61")
