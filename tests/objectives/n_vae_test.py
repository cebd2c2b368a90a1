"""N-VAE: the gate, labels known and unknown, and the factors that it separates."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infovae_jax import distributions, objectives
from infovae_jax.distributions import Gaussian
from infovae_jax.errors import ConfigError, DataError
from infovae_jax.evaluation import codes as code_metrics
from infovae_jax.objectives import n_vae
from infovae_jax.training import train_step
from infovae_jax.types import Batch

KEY = jax.random.key(0)
L, DS, DC = 3, 2, 2


@pytest.fixture
def x():
    return jax.random.uniform(jax.random.key(1), (6, 4, 4, 1))


@pytest.fixture
def label():
    return jnp.array([0, 1, 2, 2, 1, 0])


def build(make_config, spec, partly=True, num_labels=L, **model):
    config = make_config("n_vae", **{"latent_dim": DS, "class_dim": DC, **model})
    config.data.labels_per_class = 1 if partly else None
    objective = objectives.make(config, spec._replace(num_labels=num_labels))
    return objective, objective.init(KEY)


def terms_of(objective, params, batch, weights=None):
    weights = {**objective.hparams, **(weights or {})}
    return objective.loss(params, batch, KEY, weights)


def test_gate_by_hand():
    z_c = jnp.arange(6.0).reshape(3, 2) + 1
    expected = [0, 0, 0, 1, 3, 4, 0, 0, 0]
    np.testing.assert_array_equal(n_vae.gate(z_c, jnp.asarray(1)), expected)
    np.testing.assert_array_equal(n_vae.gate(z_c, jnp.eye(3)[1]), expected)
    soft = n_vae.gate(z_c, jnp.array([0.5, 0.5, 0.0]))
    np.testing.assert_allclose(soft, [0.5, 0.5, 1, 0.5, 1.5, 2, 0, 0, 0])
    no_dims = n_vae.gate(jnp.zeros((3, 0)), jnp.asarray(2))
    np.testing.assert_array_equal(no_dims, [0, 0, 1])


def test_the_decoder_does_not_see_blocks_of_other_classes(make_config, spec):
    objective, params = build(make_config, spec)
    code = jax.random.normal(KEY, (DS + L * DC,))
    for y in range(L):
        jacobian = jax.jacobian(
            lambda z, y=y: objective.decode(params, jnp.concatenate([z, jnp.eye(L)[y]]))
        )(code)
        sizes = np.asarray(jnp.abs(jacobian).max((0, 1, 2)))
        own = slice(DS + y * DC, DS + (y + 1) * DC)
        assert (sizes[:DS] > 0).all()
        assert (sizes[own] > 0).all()
        others = np.delete(sizes[DS:], np.arange(y * DC, (y + 1) * DC))
        np.testing.assert_array_equal(others, 0.0)


@pytest.mark.long
def test_all_labels_known_needs_one_pass_and_gives_the_same(
    make_config, spec, x, label
):
    enumerating, params = build(make_config, spec, partly=True)
    single, _ = build(make_config, spec, partly=False)
    results = [
        jax.value_and_grad(lambda p, o=o: terms_of(o, p, Batch(x, label))[0])(params)
        for o in (enumerating, single)
    ]
    chex.assert_trees_all_close(*results, atol=2e-5, rtol=1e-7)


@pytest.mark.long
def test_one_constant_class_without_own_dims_is_the_vae(make_config, spec, x):
    """The ones column of the only class is a bias of the decoder's first layer."""
    ours, params = build(
        make_config, spec, partly=False, num_labels=1, class_dim=0, latent_dim=20
    )
    vae = objectives.make(make_config("vae"), spec)
    first = params["decoder"]["dense_0"]
    folded = {
        **{k: v for k, v in params.items() if k != "classifier"},
        "decoder": {
            **params["decoder"],
            "dense_0": {
                "kernel": first["kernel"][:-1],
                "bias": first["bias"] + first["kernel"][-1],
            },
        },
    }
    batch = Batch(x, jnp.zeros(6, jnp.int32))
    total, metrics = terms_of(ours, params, batch)
    np.testing.assert_allclose(
        total, vae.loss(folded, x, KEY, vae.hparams)[0], rtol=1e-5
    )
    assert float(metrics["term/classification"]) == 0.0
    # The same with the code in the class's block: L = 1 is a VAE on [z_s; z_c].
    ours, params = build(make_config, spec, partly=False, num_labels=1)
    _, metrics = terms_of(ours, params, batch)
    q = ours.encode(params, x)
    standard = Gaussian(jnp.zeros(1), jnp.zeros(1))
    rate = distributions.gaussian_kl(
        Gaussian(q.mean[:, :-1], q.log_var[:, :-1]), standard
    ).mean()
    np.testing.assert_allclose(
        metrics["term/kl_z"] + metrics["term/kl_class"], rate, rtol=1e-5
    )


@pytest.mark.long
def test_missing_labels_are_summed_out(make_config, spec, x, label):
    """A mixed batch against a loop over examples and classes."""
    objective, params = build(make_config, spec)
    mixed = label.at[jnp.array([1, 4])].set(-1)
    total, metrics = terms_of(objective, params, Batch(x, mixed))
    q = objective.encode(params, x)
    z = distributions.gaussian_sample(
        jax.random.split(KEY, 6),
        Gaussian(q.mean[:, :-L], q.log_var[:, :-L]),
    )
    log_q = jax.nn.log_softmax(objective.classify(params, x))
    costs, classification, kl_y = [], [], []
    for i in range(6):
        per_class = []
        for y in range(L):
            image = objective.decode(params, jnp.concatenate([z[i], jnp.eye(L)[y]]))
            p = distributions.Bernoulli(jnp.log(image / (1 - image)).reshape(-1))
            per_class.append(-distributions.bernoulli_log_prob(p, x[i].reshape(-1)))
        per_class = jnp.stack(per_class)
        if mixed[i] < 0:
            costs.append((jnp.exp(log_q[i]) * per_class).sum())
            kl_y.append(np.log(L) + (jnp.exp(log_q[i]) * log_q[i]).sum())
        else:
            costs.append(per_class[mixed[i]])
            classification.append(-log_q[i, mixed[i]])
    np.testing.assert_allclose(
        metrics["term/reconstruction"], np.mean(costs), rtol=1e-4
    )
    np.testing.assert_allclose(
        metrics["term/classification"], np.mean(classification), rtol=1e-4
    )
    np.testing.assert_allclose(metrics["term/kl_y"], np.sum(kl_y) / 6, rtol=1e-4)
    assert bool(jnp.isfinite(total))


def test_a_certain_guess_costs_log_l_more_than_the_label(make_config, spec, x, label):
    objective, params = build(make_config, spec)
    kernel = params["classifier"]["logits"]["kernel"]
    params["classifier"]["logits"] = {
        "kernel": 0.0 * kernel,
        "bias": jnp.array([0.0, 500.0, 0.0]),
    }
    always = jnp.full(6, 1)
    known, _ = terms_of(objective, params, Batch(x, always), {"classification": 0.0})
    unknown, _ = terms_of(objective, params, x)
    np.testing.assert_allclose(unknown - known, np.log(L), rtol=1e-4)
    np.testing.assert_array_equal(n_vae.as_batch(x).label, -1)


def test_relabelling_classes_leaves_the_loss_unchanged(make_config, spec, x, label):
    objective, params = build(make_config, spec)
    order = np.array([2, 0, 1])  # new class k is old class order[k]
    inverse = np.argsort(order)
    moved = jax.tree.map(lambda a: a, params)
    moved["classifier"]["logits"] = jax.tree.map(
        lambda a: a[..., order], params["classifier"]["logits"]
    )
    dims = np.concatenate(
        [np.arange(DS)] + [DS + k * DC + np.arange(DC) for k in order]
    )
    both = np.concatenate([dims, DS + L * DC + dims])
    moved["posterior"]["features"] = jax.tree.map(
        lambda a: a[..., both], params["posterior"]["features"]
    )
    rows = np.concatenate(
        [np.arange(DS)] + [DS + k * (1 + DC) + np.arange(1 + DC) for k in order]
    )
    kernel = params["decoder"]["dense_0"]["kernel"]
    moved["decoder"]["dense_0"]["kernel"] = kernel[rows]
    batch = Batch(x, jnp.array([0, 1, 2, -1, 1, -1]))
    there = jnp.where(batch.label < 0, -1, jnp.asarray(inverse)[batch.label])
    weights = {"reconstruction": 0.0}  # the noise of z is not permuted
    a, _ = terms_of(objective, params, batch, weights)
    b, _ = terms_of(objective, moved, Batch(x, there), weights)
    np.testing.assert_allclose(a, b, rtol=1e-5)
    code = objective.encode(params, x).mean
    swapped = objective.encode(moved, x).mean
    np.testing.assert_allclose(
        objective.decode(params, code), objective.decode(moved, swapped), atol=1e-5
    )


def test_beta_c_scales_the_blocks_alone(make_config, spec, x, label):
    objective, params = build(make_config, spec)
    batch = Batch(x, label)

    def total(beta):
        return terms_of(objective, params, batch, {"kl_class": beta})[0]

    _, metrics = terms_of(objective, params, batch)
    np.testing.assert_allclose(
        jax.grad(total)(1.0), metrics["term/kl_class"], rtol=1e-5
    )
    active, _ = build(make_config, spec, kl_blocks="active")
    _, fewer = terms_of(active, params, batch)
    q = objective.encode(params, x)
    per_dim = distributions.gaussian_kl_per_dim(q, Gaussian(jnp.zeros(1), jnp.zeros(1)))
    own = [
        per_dim[i, DS + y * DC : DS + (y + 1) * DC].sum() for i, y in enumerate(label)
    ]
    np.testing.assert_allclose(fewer["term/kl_class"], np.mean(own), rtol=1e-5)
    assert float(fewer["term/kl_class"]) < float(metrics["term/kl_class"])


def test_samples_of_a_class_and_wider_ones(make_config, spec):
    objective, params = build(make_config, spec)
    code = objective.sample_code(KEY, params, 5000, 2, 1.4)
    np.testing.assert_array_equal(code[:, -L:], np.tile([0, 0, 1], (5000, 1)))
    np.testing.assert_allclose(code[:, :-L].std(), 1.4, rtol=0.03)
    any_class = objective.sample_code(KEY, params, 3000)[:, -L:]
    np.testing.assert_allclose(any_class.mean(0), 1 / L, atol=0.05)
    chex.assert_shape(objective.prior.mean, (L, objective.latent_dim))


def test_invariance_is_counted_where_asked(make_config, spec, x, label):
    plain, params = build(make_config, spec)
    with_term, _ = build(make_config, spec, invariance=True)
    _, metrics = terms_of(with_term, params, Batch(x, label))
    assert float(metrics["term/invariance"]) > 0
    without = {"invariance": 0.0}
    np.testing.assert_allclose(
        terms_of(with_term, params, Batch(x, label), without)[0],
        terms_of(plain, params, Batch(x, label))[0],
        rtol=1e-6,
    )


@pytest.mark.long
def test_shared_and_class_factors_are_found(make_config, spec):
    """Light in all classes, a second bar's in class 0 alone (NV-8)."""
    rng = np.random.default_rng(0)
    n = 600
    label = np.arange(n) % 2
    light, own = rng.normal(size=n), rng.normal(size=n)
    x = np.zeros((n, 4, 4, 1), np.float32)
    x[:, 0] += light[:, None, None]
    x[:, 3] += np.where(label == 0, own, 0.0)[:, None, None]
    x[:, 1, 0] = 2.0 * label[:, None]
    x += 0.05 * rng.normal(size=x.shape).astype(np.float32)
    config = make_config("n_vae", latent_dim=1, class_dim=1, scale=0.2)
    config.weights.kl_class = 2.0
    objective = objectives.make(
        config, spec._replace(num_labels=2, likelihood="gaussian")
    )
    optimizer = optax.adam(3e-3)
    state = train_step.init_train_state(objective, optimizer, 0)
    run = jax.jit(
        train_step.make_multi_step(train_step.make_train_step(objective, optimizer, {}))
    )
    data = Batch(jnp.asarray(x), jnp.asarray(label, jnp.int32))
    rows = jnp.asarray(rng.integers(0, n, (2500, 64)))
    state, means = run(state, data, rows)
    assert float(means["info/accuracy"]) > 0.95
    params = train_step.variables(state)
    q = objective.encode(params, data.x)
    mean, log_var = np.asarray(q.mean), np.asarray(q.log_var)
    assert code_metrics.linear_r2(mean[:, :1], light, mean[:, :1], light) > 0.95
    table = code_metrics.kl_by_class(mean[:, :3], log_var[:, :3], label, 2)
    assert table[0, 1] > 0.5  # class 0's own dim, in class 0
    assert table[1, 1] < 0.05  # and in class 1
    assert table[:, 2].max() < 0.05  # class 1 has no factor of its own
    moved = [
        objective.decode(
            params,
            jnp.tile(jnp.concatenate([jnp.zeros(3), jnp.eye(2)[y]]), (2, 1))
            .at[:, 1]
            .set(jnp.array([-2.0, 2.0])),
        )
        for y in (0, 1)
    ]
    changes = [float(jnp.abs(pair[0] - pair[1]).max()) for pair in moved]
    assert changes[0] > 1.0
    assert changes[1] == 0.0


@pytest.mark.parametrize(
    ("key", "value"),
    [("latent_dim", 0), ("class_dim", -1), ("kl_blocks", "al"), ("scale", 0.0)],
)
def test_bad_options(make_config, key, value):
    config = make_config("n_vae", **{key: value})
    with pytest.raises(ConfigError, match=f"config.model.{key}"):
        objectives.check(config)


def test_data_without_labels_are_refused(make_config, spec):
    with pytest.raises(DataError, match="no labels"):
        objectives.make(make_config("n_vae"), spec._replace(num_labels=0))
