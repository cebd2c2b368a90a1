"""Annealed importance sampling: log p(x) from below, and by reversal from above.

The path from prior to posterior is p(z) p(x | z)^beta, beta from 0 to 1; between two
temperatures the codes move by Hamiltonian Monte Carlo. Forward from prior draws the
weights' mean is p(x), backward from a posterior draw its inverse, so both estimates
are bounds in expectation (Neal 2001; bidirectional Monte Carlo, Grosse et al. 2015,
arXiv 1511.02543; for decoders Wu et al. 2017, arXiv 1611.04273). Step sizes are tuned
in a pass of their own, so that the pass that counts is an exact one.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.types import Array, Objective

TARGET_ACCEPTANCE = 0.65
ADAPTATION = 1.1
FIRST_STEP = 0.1


class Annealed(NamedTuple):
    """Estimates of log p(x) of each example, in nats.

    Attributes:
      log_prob: `[B]`; below log p(x) in expectation where forward, above where
        backward.
      acceptance: mean share of accepted moves. Below 0.2 the chains hardly move.
    """

    log_prob: Array
    acceptance: float


def temperatures(num: int) -> np.ndarray:
    """beta_0 = 0 to beta_num = 1 along a sigmoid between -4 and 4, `[num + 1]`."""
    values = 1.0 / (1.0 + np.exp(-np.linspace(-4.0, 4.0, num + 1)))
    return ((values - values[0]) / (values[-1] - values[0])).astype(np.float32)


def leapfrog(gradient, z: Array, momentum: Array, step: Array, num_steps: int):
    """`num_steps` steps of Hamiltonian dynamics; volume-preserving and reversible.

    The half kicks at the end of a step and the start of the next are one, so that
    the gradient, which is all of the cost, is taken num_steps + 1 times.
    """

    def body(carry, _):
        z, momentum = carry
        z = z + step * momentum
        return (z, momentum + step * gradient(z)), None

    momentum = momentum + 0.5 * step * gradient(z)
    (z, momentum), _ = jax.lax.scan(body, (z, momentum), None, length=num_steps - 1)
    z = z + step * momentum
    return z, momentum + 0.5 * step * gradient(z)


def hmc_move(log_density, key: Array, z: Array, step: Array, num_steps: int):
    """One Metropolis-corrected move of a code `[d]`: `(z, acceptance probability)`."""
    key_momentum, key_accept = jax.random.split(key)
    momentum = jax.random.normal(key_momentum, z.shape)
    gradient = jax.grad(log_density)
    new_z, new_momentum = leapfrog(gradient, z, momentum, step, num_steps)
    before = log_density(z) - 0.5 * (momentum**2).sum()
    after = log_density(new_z) - 0.5 * (new_momentum**2).sum()
    ratio = jnp.where(jnp.isfinite(after), after - before, -jnp.inf)
    accept = jnp.log(jax.random.uniform(key_accept)) < ratio
    return jnp.where(accept, new_z, z), jnp.exp(jnp.minimum(ratio, 0.0))


def make_annealing(
    objective: Objective,
    num_temperatures: int = 1000,
    num_chains: int = 16,
    num_leapfrog: int = 10,
):
    """`(forward, backward)` of an objective; both jitted.

    `forward(params, x, key) -> Annealed` of images `[B, H, W, C]`.
    `backward(params, x, z, key) -> Annealed` of images drawn from the model with the
    codes `[B, d]` that made them: exact posterior draws.

    Args:
      objective: gives `log_densities` and `sample_code`.
      num_temperatures: steps between prior and posterior.
      num_chains: chains per example, whose weights are averaged.
      num_leapfrog: steps of one move.
    """

    run = functools.partial(_run_chains, objective, num_leapfrog)
    betas = jnp.asarray(temperatures(num_temperatures))

    def mean_weight(log_weights):
        return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(num_chains)

    @jax.jit
    def forward(params, x, key):
        key_start, key_run = jax.random.split(key)
        count = num_chains * x.shape[0]
        z = objective.sample_code(key_start, params, count)
        z = z.reshape(num_chains, x.shape[0], -1)
        log_weights, acceptance = run(params, x, z, betas, key_run)
        return Annealed(mean_weight(log_weights), acceptance)

    @jax.jit
    def backward(params, x, z, key):
        codes = jnp.broadcast_to(z, (num_chains, *z.shape))
        log_weights, acceptance = run(params, x, codes, betas[::-1], key)
        return Annealed(-mean_weight(log_weights), acceptance)

    return forward, backward


def _run_chains(objective: Objective, num_leapfrog: int, params, x, z, betas, key):
    """Log weights `[C, B]` of chains from z `[C, B, d]`, and the acceptance."""

    def log_density(code, image, beta):
        log_prior, log_likelihood = objective.log_densities(params, image, code)
        return log_prior + beta * log_likelihood

    def one_chain(chain_key, code, image, before, beta, step):
        _, log_likelihood = objective.log_densities(params, image, code)
        moved, accepted = hmc_move(
            lambda c: log_density(c, image, beta),
            chain_key,
            code,
            step,
            num_leapfrog,
        )
        return (beta - before) * log_likelihood, moved, accepted

    over_examples = jax.vmap(one_chain, (0, 0, 0, None, None, None))
    over_chains = jax.vmap(over_examples, (0, 0, None, None, None, None))

    def level(tuning):
        def body(carry, inputs):
            codes, step = carry
            number, before, beta, tuned = inputs
            keys = jax.random.split(
                jax.random.fold_in(key_of(tuning), number), z.shape[:2]
            )
            used = step if tuning else tuned
            added, codes, accepted = over_chains(keys, codes, x, before, beta, used)
            share = accepted.mean()
            change = jnp.where(share > TARGET_ACCEPTANCE, ADAPTATION, 1 / ADAPTATION)
            return (codes, used * change), (added, used, share)

        return body

    def key_of(tuning):
        return jax.random.fold_in(key, int(tuning))

    numbers = jnp.arange(len(betas) - 1)
    start = (z, jnp.float32(FIRST_STEP))
    blank = jnp.zeros(len(betas) - 1)
    inputs = (numbers, betas[:-1], betas[1:])
    _, (_, steps, _) = jax.lax.scan(level(True), start, (*inputs, blank))
    _, (added, _, share) = jax.lax.scan(level(False), start, (*inputs, steps))
    return added.sum(0), share.mean()


def bidirectional_gap(
    objective: Objective, params, forward, backward, num: int, key: Array
) -> dict[str, float]:
    """Upper minus lower bound on log p(x) of images drawn from the model, nats.

    Both are the model's own: the gap bounds the error of the forward estimate on such
    images, and says nothing of real ones that the model does not resemble.
    """
    key_z, key_x, key_forward, key_backward = jax.random.split(key, 4)
    z = objective.sample_code(key_z, params, num)
    x = objective.draw(key_x, params, z)
    below = forward(params, x, key_forward).log_prob
    above = backward(params, x, z, key_backward).log_prob
    return {
        "lower": float(below.mean()),
        "upper": float(above.mean()),
        "gap": float((above - below).mean()),
    }
