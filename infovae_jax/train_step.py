"""One step of training as a pure function, and many of them in one program."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from infovae_jax import schedules
from infovae_jax.data import pipeline
from infovae_jax.types import Array, Metrics, Objective, TrainState

TrainStep = Callable[[TrainState, Array], tuple[TrainState, Metrics]]


def init_train_state(
    objective: Objective, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """The state before the first step; a pure function of the seed."""
    key_params, key_run = jax.random.split(jax.random.key(seed))
    params = objective.init(key_params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer.init(params),
        hparams={k: jnp.float32(v) for k, v in objective.hparams.items()},
        key=key_run,
    )


def make_schedules(
    weights: ConfigDict, steps_per_epoch: int
) -> dict[str, schedules.Schedule]:
    """The weights of `config.weights` that are schedules, as functions of the step."""
    return {
        name: schedules.make_schedule(value, steps_per_epoch, f"config.weights.{name}")
        for name, value in weights.items()
        if not schedules.is_constant(value)
    }


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
) -> TrainStep:
    """`train_step(state, batch) -> (state, metrics)`, pure and not yet jitted.

    Args:
      objective: gives the loss.
      optimizer: an optax transformation.
      weight_schedules: see `make_schedules`.
      binarize: what the batch `[B, H, W, C]`, as stored, becomes first; see
        `data.pipeline.prepare`.
    """

    def train_step(state: TrainState, batch: Array) -> tuple[TrainState, Metrics]:
        key_data, key_loss = jax.random.split(jax.random.fold_in(state.key, state.step))
        x = pipeline.prepare(batch, key_data, binarize)
        hparams = scheduled_hparams(state, weight_schedules)
        grad_fn = jax.grad(objective.loss, has_aux=True)
        grads, metrics = grad_fn(state.params, x, key_loss, hparams)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        metrics["optimizer/grad_norm"] = optax.tree.norm(grads)
        new_state = state._replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
        )
        return new_state, metrics

    return train_step


def make_multi_step(train_step: TrainStep) -> Callable:
    """`run(state, data, indices) -> (state, mean metrics)`: many steps, one program.

    `data` `[n, H, W, C]` stays on the device; `indices` is `[S, B]` int32. Jit it
    with the state donated. The metrics are means over the S steps, except for the
    loss's last value `loss_last`, by which a non-finite step is noticed at once.
    """

    def run(state: TrainState, data: Array, indices: Array):
        def body(state, rows):
            return train_step(state, jnp.take(data, rows, axis=0))

        state, metrics = jax.lax.scan(body, state, indices)
        means = {name: value.mean(0) for name, value in metrics.items()}
        return state, means | {"loss_last": metrics["loss"][-1]}

    return run


def make_eval_step(objective: Objective, binarize: str = "none") -> Callable:
    """`eval_step(params, batch, valid, key) -> sums` over the valid examples.

    `batch` is `[B, H, W, C]` as stored and `valid` `[B]` is 0 for padding. Gives
    the sums of the bound's terms, `elbo` and the count, from which means follow.
    """

    def eval_step(params, batch: Array, valid: Array, key: Array) -> Metrics:
        key_data, key_loss = jax.random.split(key)
        x = pipeline.prepare(batch, key_data, binarize)
        keys = jax.random.split(key_loss, x.shape[0])
        terms = jax.vmap(objective.elbo, (None, 0, 0))(params, x, keys)
        terms["elbo"] = -sum(terms.values())
        sums = {name: (value * valid).sum() for name, value in terms.items()}
        return sums | {"count": valid.sum()}

    return eval_step
