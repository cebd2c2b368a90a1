"""The PyTorch modules of the full recipes compute what our objectives compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infovae_jax import distributions, objectives
from infovae_jax.benchmark import cases, ours, workers
from infovae_jax.config import schedules
from infovae_jax.objectives import _affine, _gaussian, _invariance, infocatvae
from infovae_jax.objectives._terms import example_keys, split_keys
from infovae_jax.training import train_step
from infovae_jax.types import MODEL_STATE, STATISTICS, Batch

torch = pytest.importorskip("torch")
recipes = pytest.importorskip("infovae_jax.benchmark.torch_recipes")

BATCH_SIZE = 24
KEY = jax.random.key(3)
NAMES = (*cases.RECIPES, "infocatvae_recipe_conv")
# Positions of which a batch normalisation takes the moments, layer by layer.
POSITIONS = {"mlp": (1, 1), "conv": (14 * 14, 7 * 7, 1)}


def images():
    """Blobs of light, `[B, 28, 28, 1]` from 0 to 1: maps and neighbours matter."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:28, :28]
    centres = rng.uniform(6, 22, (BATCH_SIZE, 3, 2))
    squares = (rows - centres[..., :1, None]) ** 2 + (
        columns - centres[..., 1:, None]
    ) ** 2
    # Nowhere exactly dark, where a layer normalisation has nothing to normalise.
    light = 0.8 * np.exp(-squares / 12.0).max(1) + 0.2 * rng.random((28, 28))
    return light[..., None].astype(np.float32)


def linear(layer, weights):
    """Pairs of a dense layer or a convolution: parameter, our array in its layout."""
    kernel, bias = np.asarray(weights["kernel"]), np.asarray(weights["bias"])
    axes = {
        "Linear": (1, 0),
        "Conv2d": (3, 2, 0, 1),
        "ConvTranspose2d": (2, 3, 0, 1),
    }
    return [
        (layer.weight, kernel.transpose(axes[type(layer).__name__])),
        (layer.bias, bias),
    ]


def channels_first(array, axis, num_channels):
    """An axis that holds `[H, W, C]` as one that holds `[C, H, W]`."""
    side = int((array.shape[axis] / num_channels) ** 0.5)
    shape = array.shape[:axis] + (side, side, num_channels) + array.shape[axis + 1 :]
    moved = np.moveaxis(np.asarray(array).reshape(shape), axis + 2, axis)
    return moved.reshape(array.shape)


def network(module, weights, num_channels):
    """Pairs of a whole encoder or decoder, layer by layer."""
    names = [n for n in weights if n != STATISTICS]
    convolutions = sorted(n for n in names if n.startswith("conv_"))
    decodes = "dense_1" in names and bool(convolutions)
    weights = dict(weights)
    if decodes:
        order = ["dense_0", "dense_1", *reversed(convolutions)]
        weights["dense_1"] = {
            "kernel": channels_first(weights["dense_1"]["kernel"], 1, num_channels),
            "bias": channels_first(weights["dense_1"]["bias"], 0, num_channels),
        }
    elif convolutions:
        order = [*convolutions, "dense"]
        kernel = channels_first(weights["dense"]["kernel"], 0, num_channels)
        weights["dense"] = weights["dense"] | {"kernel": kernel}
    else:
        order = sorted(n for n in names if n.startswith("dense_"))
        order += ["outputs"] * ("outputs" in names)
    layers = [m for m in module.modules() if hasattr(m, "weight")]
    norms = [m for m in layers if isinstance(m, recipes.BatchNorm)]
    layers = [m for m in layers if m not in norms]
    found = []
    for name, layer in zip(order, layers, strict=True):
        found += linear(layer, weights[name])
    scales = [
        "norm_" + name.removeprefix("conv_").removeprefix("dense_") for name in order
    ]
    scales = [s for s in scales if s in names]
    for name, norm in zip(scales, norms, strict=True):
        found += [(norm.weight, weights[name]["scale"])]
        found += [(norm.bias, weights[name]["bias"])]
    return found


def pairs(model, tree, num_channels):
    """Every parameter of the module, with ours of the same place in its layout."""
    found = network(model.encoder, tree["encoder"], num_channels)
    found += network(model.decoder, tree["decoder"], num_channels)
    found += linear(model.head, tree["posterior"]["features"])
    if "cluster" in tree["posterior"]:
        found += [(model.table, tree["posterior"]["cluster"]["kernel"])]
    if "trunk" in tree:
        found += network(model.classifier.trunk, tree["trunk"], num_channels)
        found += linear(model.classifier.last, tree["classifier"]["logits"])
    elif "classifier" in tree:
        found += linear(model.classifier, tree["classifier"]["logits"])
    if "code" in tree:
        found += linear(model.code, tree["code"])
    return found


def draws(case, settings, x):
    """Those that our loss makes of KEY, as the module takes them."""
    size, normal = len(x), jax.random.normal
    if case.objective == cases.RECIPE:
        return clustering_draws(settings, x)
    dims = settings["latent_dim"]
    if case.objective == "n_vae":
        dims += cases.NUM_LABELS * settings["class_dim"]
    noise = distributions.draw(normal, example_keys(KEY, x), (size, dims))
    if case.model not in ("mi_vae", "vimae"):
        return tensor(noise)
    key = jax.random.fold_in(KEY, _gaussian.PRIOR_STREAM)
    if case.model == "mi_vae":
        key, _ = jax.random.split(key)
    return tensor(noise), tensor(normal(key, (size, dims)))


def clustering_draws(settings, x):
    """As `draws`, of InfoCatVAE."""
    size, dims, normal = len(x), settings["latent_dim"], jax.random.normal
    key_c, key_z = split_keys(example_keys(KEY, x))
    shape = size, 1, settings["num_clusters"]
    gumbel = distributions.draw(jax.random.gumbel, key_c, shape)[:, 0]
    prior = jax.random.fold_in(KEY, infocatvae._PRIOR_STREAM)
    num = settings["num_clusters"] * settings["draws_per_cluster"]
    changes = jax.random.fold_in(KEY, _invariance._CHANGE_STREAM)
    directions = distributions.draw(normal, example_keys(changes, x), x.shape)
    return recipes.Draws(
        race=tensor(jnp.exp(-gumbel)),
        noise=tensor(distributions.draw(normal, key_z, (size, 3, dims))),
        conditional=tensor(normal(jax.random.split(prior)[1], (num, dims))),
        directions=tensor(directions).permute(0, 3, 1, 2),
        maps=our_maps(settings, jax.random.fold_in(KEY, _invariance._AFFINE_STREAM), x),
    )


def our_maps(settings, key, x):
    """Random maps of our law, as PyTorch takes them."""
    options = _affine.Config(
        **{name: v for name, v in settings.items() if name.startswith("affine")}
    )
    keys = example_keys(key, x)
    matrix, shift = jax.vmap(lambda k: _affine.random_map(k, options))(keys)
    return recipes.as_theta(tensor(matrix), tensor(shift), 28)


def tensor(array):
    return torch.from_numpy(np.array(array))


def ours_and_theirs(name):
    """Our loss, metrics and gradients of a batch; the module that has our weights."""
    case = cases.parse(name, BATCH_SIZE)
    config, settings = cases.make_config(case), cases.peer_settings(case)
    objective = objectives.make(config, case.spec(BATCH_SIZE))
    params = objective.init(jax.random.key(1))
    if case.objective == cases.RECIPE:  # assignments that differ, as after training
        logits = params["classifier"]["logits"]
        params["classifier"]["logits"] = logits | {"kernel": 200 * logits["kernel"]}
    trained, statistics = train_step.split_statistics(params)
    x = images()
    batch = x
    if case.uses_labels:
        batch = Batch(jnp.asarray(x), jnp.asarray(cases.even_labels(len(x))))

    @jax.jit
    def gradients(trained):
        def loss(trained):
            params = train_step.merge_statistics(trained, statistics)
            return objective.loss(params, batch, KEY, objective.hparams)

        return jax.grad(loss, has_aux=True)(trained)

    grads, metrics = gradients(trained)
    torch.manual_seed(0)
    model = recipes.make_model(case, settings)
    layout = settings["channels"][-1]
    copied = pairs(model, trained, layout)
    assert {id(p) for p, _ in copied} == {id(p) for p in model.parameters()}
    for parameter, value in copied:
        assert parameter.shape == np.shape(value)
        parameter.data = tensor(value).contiguous()
    return case, settings, x, model, metrics, pairs(model, grads, layout)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_terms_and_gradients_are_ours(name):
    """Of equal weights and equal draws."""
    case, settings, x, model, metrics, gradients = ours_and_theirs(name)
    label = torch.from_numpy(cases.even_labels(len(x))).long()
    made = draws(case, settings, x)
    own = model.draw(tensor(x).permute(0, 3, 1, 2))
    assert jax.tree.map(np.shape, own) == jax.tree.map(np.shape, made)
    terms = model.terms(tensor(x).permute(0, 3, 1, 2), label, made)
    ours = {n.partition("/")[2]: v for n, v in metrics.items() if n.startswith("term/")}
    # Zero where all labels are known, and left out there.
    assert ours.pop("kl_y", 0.0) == 0.0
    assert set(terms) == set(ours)
    for term, value in terms.items():
        assert abs(float(ours[term])) > 1e-3, term
        assert value.item() == pytest.approx(float(ours[term]), rel=1e-4), term
    loss = sum(settings["weights"][term] * value for term, value in terms.items())
    np.testing.assert_allclose(loss.item(), metrics["loss"], rtol=1e-4)
    loss.backward()
    if name in cases.RECIPES:
        check_gradients(gradients)
    statistics = metrics.get(MODEL_STATE, {})
    if case.objective == cases.RECIPE:
        check_moments(case, model.classifier.trunk, statistics["trunk"])
    if case.objective == cases.BATCH_NORM:
        check_moments(case, model.encoder, statistics["encoder"])
        check_moments(case, model.decoder, statistics["decoder"])
    if case.objective == "infomax_vae":
        for kind, expected in statistics["code"][STATISTICS].items():
            np.testing.assert_allclose(getattr(model, kind), expected, rtol=1e-4)


def check_gradients(pairs):
    """Not of the recipe with convolutions: single ReLUs of its millions turn over."""
    norm = np.linalg.norm
    whole = norm([norm(expected) for _, expected in pairs])
    for parameter, expected in pairs:
        error = norm(parameter.grad.numpy() - expected)
        # Of a bias before a batch normalisation it is zero but for rounding.
        assert error <= 1e-4 * norm(expected) + 1e-7 * whole, parameter.shape


def check_moments(case, module, statistics):
    """Of the clean batch alone; PyTorch's variances are the unbiased ones."""
    norms = [m for m in module.modules() if isinstance(m, recipes.BatchNorm)]
    ours = sorted(statistics[STATISTICS].items())
    for norm, (_, moments), positions in zip(
        norms, ours, POSITIONS[case.kind], strict=True
    ):
        np.testing.assert_allclose(
            norm.running_mean, moments["mean"], rtol=1e-3, atol=1e-5
        )
        count = BATCH_SIZE * positions
        biased = 0.9 + (norm.running_var.numpy() - 0.9) * (count - 1) / count
        np.testing.assert_allclose(biased, moments["var"], rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_parameters_are_equal(name):
    case = cases.parse(name, BATCH_SIZE)
    objective = objectives.make(cases.make_config(case), case.spec(BATCH_SIZE))
    params = jax.eval_shape(objective.init, jax.random.key(0))
    trained, _ = train_step.split_statistics(params)
    model = recipes.make_model(case, cases.peer_settings(case))
    theirs = sum(p.numel() for p in model.parameters())
    assert theirs == sum(leaf.size for leaf in jax.tree.leaves(trained))


def test_random_maps_are_of_our_law():
    """First and second moments of all entries, within four standard errors."""
    settings = cases.peer_settings(cases.parse("infocatvae_recipe_mlp"))
    num = 20_000
    torch.manual_seed(0)
    theirs = recipes.random_maps(num, 28, settings).flatten(1).double().numpy()
    ours = our_maps(settings, jax.random.key(0), np.zeros((num, 1)))
    ours = ours.flatten(1).double().numpy()
    for a, b in zip(moments(ours).T, moments(theirs).T, strict=True):
        error = np.hypot(a.std(), b.std()) / num**0.5
        assert abs(a.mean() - b.mean()) <= 4 * error + 1e-12


def moments(values):
    """Entries and products of two of them, `[num, ...]`."""
    products = values[:, :, None] * values[:, None, :]
    return np.concatenate([values, products.reshape(len(values), -1)], -1)


@pytest.mark.long
def test_posteriors_of_the_recipe_are_ours():
    """Of equal weights, in evaluation: of moments that were kept, not the batch's."""
    case = cases.parse("infocatvae_recipe_mlp", BATCH_SIZE)
    x = images()
    variant = ours.JaxVariant(case, (255 * x).astype(np.uint8))
    loop = workers.make_variant(
        "torch_resident", case, cases.peer_settings(case), (255 * x).astype(np.uint8), 1
    )
    model, trained = loop.model, variant.state.params
    for parameter, value in pairs(model, trained, 1):
        parameter.data = tensor(value).contiguous()
    of_batch = model.classifier(tensor(x).permute(0, 3, 1, 2)).detach().numpy()
    found, expected = loop.posteriors(x), variant.posteriors(x)
    for theirs, mine in zip(found, expected, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)
    assert np.abs(of_batch - model.classifier.last.bias.detach().numpy()).max() > 0
    assert not np.allclose(jax.nn.log_softmax(of_batch), found[0], rtol=1e-3)


def test_the_rate_of_a_recipe_falls_as_ours_does():
    """2e-3 to the 15th of 25 epochs, then on a line to a tenth of it."""
    case = cases.parse("infocatvae_recipe_mlp", 8)._replace(own_rate=True)
    settings = cases.peer_settings(case)
    assert len(settings["rates"]) == 26
    loop = workers.make_variant(
        "torch_resident", case, settings, (255 * images()).astype(np.uint8), 1
    )
    config = cases.make_config(case)
    schedule = schedules.make_schedule(config.optimizer.learning_rate, 3, "", 25)
    for step in range(80):  # three steps an epoch
        loop._set_rate()
        (group,) = loop._optimizer.param_groups
        np.testing.assert_allclose(group["lr"], schedule(step), rtol=1e-4)
    plain = cases.peer_settings(case._replace(own_rate=False))["rates"]
    np.testing.assert_allclose(plain, cases.LEARNING_RATE)


@pytest.mark.long
@pytest.mark.parametrize("name", cases.RECIPES)
def test_losses_are_alike_after_some_steps(name):
    """From initial weights of one law; the loader passes labels on."""
    case, settings = cases.parse(name, 32), cases.peer_settings(cases.parse(name))
    x = np.repeat((255 * images()).astype(np.uint8), 4, 0)
    found = [
        workers.make_variant(variant, case, settings, x, 1).steps(40)
        for variant in ("jax", "torch_loader", "torch_resident")
    ]
    np.testing.assert_allclose(found[1:], found[0], rtol=0.1)
