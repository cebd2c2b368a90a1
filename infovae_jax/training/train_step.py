"""One step of training as a pure function, and many of them in one program."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from infovae_jax.config import schedules
from infovae_jax.data import batches
from infovae_jax.errors import ConfigError
from infovae_jax.types import (
    MODEL_STATE,
    STATISTICS,
    Array,
    Metrics,
    Objective,
    Params,
    TrainState,
)

TrainStep = Callable[..., tuple[TrainState, Metrics]]
GRAD_NORM = "optimizer/grad_norm"


def init_train_state(
    objective: Objective, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """The state before the first step; a pure function of the seed."""
    return init_from_key(objective, optimizer, jax.random.key(seed))


def init_from_key(
    objective: Objective, optimizer: optax.GradientTransformation, key: Array
) -> TrainState:
    """The state before the first step; `key` is that of the seed."""
    key_params, key_run = jax.random.split(key)
    params, statistics = split_statistics(objective.init(key_params))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=statistics,
        opt_state=optimizer.init(params),
        hparams={k: jnp.float32(v) for k, v in objective.hparams.items()},
        key=key_run,
    )


def split_statistics(params: Params) -> tuple[Params, Params]:
    """`(trained, statistics)`: two trees that `merge_statistics` joins again.

    Args:
      params: nested dicts of arrays.
    """
    trained, statistics = {}, {}
    for name, value in params.items():
        if name == STATISTICS:
            statistics[name] = value
        elif isinstance(value, dict):
            inner_trained, inner_statistics = split_statistics(value)
            # An empty dict is a network without parameters; it stays.
            if inner_trained or not inner_statistics:
                trained[name] = inner_trained
            if inner_statistics:
                statistics[name] = inner_statistics
        else:
            trained[name] = value
    return trained, statistics


def merge_statistics(trained: Params, statistics: Params) -> Params:
    """The tree of both; where both hold a leaf, the one of `statistics`."""
    merged = dict(trained)
    for name, value in statistics.items():
        inner = merged.get(name)
        if isinstance(value, dict) and isinstance(inner, dict) and name != STATISTICS:
            merged[name] = merge_statistics(inner, value)
        else:
            merged[name] = value
    return merged


def make_schedules(
    weights: ConfigDict, steps_per_epoch: int, num_epochs: int
) -> dict[str, schedules.Schedule]:
    """The weights of `config.weights` that are schedules, as functions of the step."""
    return {
        name: schedules.make_schedule(
            value, steps_per_epoch, f"config.weights.{name}", num_epochs
        )
        for name, value in weights.items()
        if not (schedules.is_constant(value) or schedules.is_target(value))
    }


def make_targets(weights: ConfigDict) -> dict[str, schedules.Target]:
    """The weights of `config.weights` that are multipliers, by the terms they hold."""
    return {
        name: schedules.make_target(value, f"config.weights.{name}")
        for name, value in weights.items()
        if schedules.is_target(value)
    }


def variables(state: TrainState) -> Params:
    """What the objective's functions take: trained parameters and statistics."""
    return merge_statistics(state.params, state.model_state)


def with_variables(state: TrainState, params: Params) -> TrainState:
    """The state with other parameters and statistics; the optimiser's stays.

    Raises:
      ConfigError: they are of other networks.
    """
    trained, statistics = split_statistics(jax.tree.map(jnp.asarray, params))

    def shapes(tree):
        return jax.tree.map(jnp.shape, tree)

    if shapes((trained, statistics)) != shapes((state.params, state.model_state)):
        raise ConfigError(
            "the earlier parameters are of other networks",
            "warm_start",
            "keep the sizes and the shape of the data, or start anew",
        )
    return state._replace(params=trained, model_state=statistics)


def multipliers_after(
    hparams: dict[str, Array], targets: dict[str, schedules.Target], metrics: Metrics
) -> dict[str, Array]:
    """The weights after a step of dual ascent on the targets.

    A multiplier w of a term T held at t moves by exp(speed * (T / t - 1)), the
    bracket held within -1 and 1: it rises while the term is above its target. On the
    logarithm, so that it stays positive whatever its scale.
    """
    moved = {}
    for name, (value, speed) in targets.items():
        excess = jnp.clip(metrics[f"term/{name}"] / value - 1.0, -1.0, 1.0)
        moved[name] = hparams[name] * jnp.exp(speed * excess)
    return {**hparams, **moved}


def scheduled_hparams(
    state: TrainState, weight_schedules: dict[str, schedules.Schedule]
) -> dict[str, Array]:
    """All weights at the state's step; traced, so a sweep is a vmap of the state."""
    scheduled = {
        name: jnp.asarray(schedule(state.step), jnp.float32)
        for name, schedule in weight_schedules.items()
    }
    return {**state.hparams, **scheduled}


def make_train_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    weight_schedules: dict[str, schedules.Schedule],
    binarize: str = "none",
    targets: dict[str, schedules.Target] | None = None,
) -> TrainStep:
    """`train_step(state, batch, measured=True) -> (state, metrics)`, pure, not jitted.

    The gradient's norm is 0 in a step that is not `measured`, a bool that may be
    traced: of a run of many steps only the last one's is looked at.

    Args:
      objective: gives the loss.
      optimizer: an optax transformation.
      weight_schedules: see `make_schedules`.
      binarize: what the batch `[B, H, W, C]`, as stored, becomes first; see
        `data.pipeline.prepare`.
      targets: see `make_targets`.
    """

    def train_step(
        state: TrainState, batch, measured=True
    ) -> tuple[TrainState, Metrics]:
        key_data, key_loss = jax.random.split(jax.random.fold_in(state.key, state.step))
        batch = batches.prepare_batch(batch, key_data, binarize)
        hparams = scheduled_hparams(state, weight_schedules)

        def loss(params):
            params = merge_statistics(params, state.model_state)
            return objective.loss(params, batch, key_loss, hparams)

        grads, metrics = jax.grad(loss, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        statistics = metrics.pop(MODEL_STATE, state.model_state)
        metrics[GRAD_NORM] = jax.lax.cond(
            measured, optax.tree.norm, lambda grads: jnp.zeros(()), grads
        )
        new_state = state._replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=statistics,
            opt_state=opt_state,
            hparams=multipliers_after(state.hparams, targets or {}, metrics),
        )
        return new_state, metrics

    return train_step


def make_multi_step(train_step: TrainStep) -> Callable:
    """`run(state, data, indices) -> (state, mean metrics)`: many steps, one program.

    `data` `[n, H, W, C]`, or a `Batch` of all examples, stays on the device; `indices`
    is `[S, B]` int32. Jit it with the state donated. The metrics are means over the S
    steps, except for the gradient's norm, which is the last step's, and for the loss's
    last value `loss_last`, by which a non-finite step is noticed at once.
    """

    def run(state: TrainState, data, indices: Array):
        def body(state, rows, measured):
            batch = jax.tree.map(lambda array: jnp.take(array, rows, axis=0), data)
            return train_step(state, batch, measured)

        return _scan(body, state, indices)

    return run


def make_stream_step(train_step: TrainStep) -> Callable:
    """`run(state, batches) -> (state, mean metrics)`, as `make_multi_step`.

    `batches` `[S, B, H, W, C]`, or a `Batch` of such, is what `indices` would have
    taken from the data. The numbers are the same to the bit.
    """

    def run(state: TrainState, batches):
        return _scan(train_step, state, batches)

    return run


def _scan(body: TrainStep, state: TrainState, inputs) -> tuple[TrainState, Metrics]:
    length = jax.tree.leaves(inputs)[0].shape[0]
    # The norm reads all gradients once more, which CPUs feel. On an accelerator a
    # branch costs more than the norm: the host has to learn which one to take.
    branches = jax.default_backend() == "cpu"

    def step(state, own):
        inputs, is_last = own
        return body(state, inputs, is_last if branches else True)

    is_last = jnp.arange(length) == length - 1
    state, metrics = jax.lax.scan(step, state, (inputs, is_last))
    last = {GRAD_NORM: metrics[GRAD_NORM][-1], "loss_last": metrics["loss"][-1]}
    return state, {name: value.mean(0) for name, value in metrics.items()} | last
