"""bfloat16 is where the networks multiply, and nowhere else."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import load_config

from infovae_jax import config as config_lib
from infovae_jax import networks, objectives, train_step
from infovae_jax.data import pipeline
from infovae_jax.errors import ConfigError
from infovae_jax.types import DataSpec

KEY = jax.random.key(0)


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
    for network, inputs in ((encoder, x), (decoder, z)):
        params = network.init(KEY)
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {
            jnp.dtype("float32")
        }
        outputs, statistics = network.train(params, inputs)
        assert outputs.dtype == network.apply(params, inputs).dtype == jnp.float32
        for leaf in jax.tree.leaves(statistics):
            assert leaf.dtype == jnp.float32
        grads = jax.grad(lambda p, n=network, i=inputs: n.train(p, i)[0].sum())(params)
        assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
        jaxpr = jax.make_jaxpr(network.apply)(params, inputs).jaxpr
        products = types_of(jaxpr, "dot_general", "conv_general_dilated")
        assert products
        assert set(products) == {jnp.dtype(jnp.bfloat16)}
        # Moments of normalisations are means and sums of squares.
        for equation in equations(jaxpr):
            if equation.primitive.name in ("reduce_sum", "rsqrt"):
                assert equation.invars[0].aval.dtype == jnp.float32


def test_float32_networks_have_no_bfloat16(make_config):
    config = make_config("vae").network
    encoder, _ = networks.make_encoder(config, (8, 8, 1))
    jaxpr = jax.make_jaxpr(encoder.apply)(encoder.init(KEY), jnp.ones((3, 8, 8, 1)))
    assert "bf16" not in str(jaxpr)


@pytest.mark.parametrize("name", objectives.names())
def test_losses_are_close_and_computed_in_float32(make_config, spec, name):
    config = make_config(name)
    found = {}
    x = jax.random.uniform(KEY, (32, *spec.shape))
    for precision in ("float32", "bfloat16"):
        config.train.precision = precision
        objective = objectives.make(config, spec)
        params = objective.init(KEY)
        batch = x
        if objective.uses_labels:
            from infovae_jax.types import Batch

            batch = Batch(x, jnp.arange(32, dtype=jnp.int32) % 10)
        hparams = {k: jnp.float32(v) for k, v in objective.hparams.items()}
        loss, metrics = objective.loss(params, batch, KEY, hparams)
        assert loss.dtype == jnp.float32
        for key, value in metrics.items():
            assert value.dtype == jnp.float32, key
        found[precision] = float(loss)
        jaxpr = jax.make_jaxpr(objective.loss)(params, batch, KEY, hparams).jaxpr
        for equation in equations(jaxpr):
            # Logarithms, sums and exponentials are of likelihoods and divergences.
            if equation.primitive.name in ("reduce_sum", "log", "log1p", "exp"):
                assert equation.invars[0].aval.dtype != jnp.bfloat16
    assert found["float32"] != found["bfloat16"]
    np.testing.assert_allclose(found["bfloat16"], found["float32"], rtol=0.02)


def test_mmd_is_that_of_float32_codes(make_config, spec):
    """The distances' product runs in float32 though the encoder's do not."""
    config = make_config("vimae")
    config.train.precision = "bfloat16"
    objective = objectives.make(config, spec)
    params = objective.init(KEY)
    x = jax.random.uniform(KEY, (32, *spec.shape))
    hparams = {k: jnp.float32(v) for k, v in objective.hparams.items()}
    jaxpr = jax.make_jaxpr(objective.loss)(params, x, KEY, hparams).jaxpr
    distances = [
        e
        for e in equations(jaxpr)
        if e.primitive.name == "dot_general" and e.outvars[0].aval.shape == (32, 32)
    ]
    assert len(distances) == 3
    assert {e.invars[0].aval.dtype for e in distances} == {jnp.dtype("float32")}


def test_training_in_bfloat16_reaches_the_bound_of_float32():
    """On digits, within 0.5 nat of about 20 after 20 epochs; state is float32."""
    from sklearn.datasets import load_digits

    images = (load_digits().images / 16.0).astype(np.float32)[..., None]
    train, test = images[:1400], jnp.asarray(images[1400:])
    config = load_config("vae")
    config.network.encoder_hidden = config.network.decoder_hidden = (128,)
    spec = DataSpec((8, 8, 1), "float32", "bernoulli", len(train), 0, False)
    found = {}
    for precision in ("float32", "bfloat16"):
        config.train.precision = precision
        objective = objectives.make(config, spec)
        optimizer = optax.adam(1e-3)
        step = train_step.make_train_step(objective, optimizer, {})
        state = train_step.init_train_state(objective, optimizer, 0)
        indices = pipeline.batch_indices(0, 0, 20 * 10, len(train), 128)
        run = jax.jit(train_step.make_multi_step(step))
        state, _ = run(state, jnp.asarray(train), indices)
        for leaf in jax.tree.leaves((state.params, state.opt_state)):
            assert leaf.dtype in (jnp.float32, jnp.int32)
        keys = jax.random.split(KEY, len(test))
        terms = jax.vmap(objective.elbo, (None, 0, 0))(state.params, test, keys)
        found[precision] = -float(sum(terms.values()).mean())
        first = objective.init(KEY)
        terms = jax.vmap(objective.elbo, (None, 0, 0))(first, test, keys)
        start = -float(sum(terms.values()).mean())
    assert found["float32"] > start + 5.0  # it has learned
    assert abs(found["bfloat16"] - found["float32"]) < 0.5


def test_unknown_precision(make_config):
    config = load_config("vae")
    config.train.precision = "bfloat61"
    with pytest.raises(ConfigError, match="did you mean 'bfloat16'"):
        config_lib.check(config)
    with pytest.raises(ConfigError, match="did you mean 'bfloat16'"):
        networks.make_encoder(config.network, (8, 8, 1), "bfloat61")
