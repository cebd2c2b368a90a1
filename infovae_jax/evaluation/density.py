"""How well the model explains data it has not seen, in nats."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from infovae_jax.types import Array, Objective


def make_importance_weighted_bound(
    objective: Objective, num_samples: int, chunk: int = 10
) -> Callable[..., Array]:
    """`bound(params, x, key) -> [B]`: log (1/S) sum_s p(x, z_s) / q(z_s | x), nats.

    z_s ~ q(z | x). A lower bound on log p(x) in expectation, rising with S (Burda et
    al. 2016, arXiv 1509.00519). Jitted, and computed in chunks of samples, so memory
    does not grow with S. Example i and sample s draw from their own key alone.

    Args:
      objective: gives `log_weight`.
      num_samples: S.
      chunk: samples evaluated at once.
    """
    num_chunks = -(-num_samples // chunk)

    @jax.jit
    def bound(params, x: Array, key: Array) -> Array:
        def one_sample(example, example_key, number):
            sample_key = jax.random.fold_in(example_key, number)
            return objective.log_weight(params, example, sample_key)

        over_samples = jax.vmap(one_sample, (None, None, 0))
        over_examples = jax.vmap(over_samples, (0, 0, None))
        example_keys = jax.random.split(key, x.shape[0])

        def body(log_sum, first):
            numbers = first * chunk + jnp.arange(chunk)
            log_weights = over_examples(x, example_keys, numbers)
            # Samples past S only fill the last chunk.
            log_weights = jnp.where(numbers < num_samples, log_weights, -jnp.inf)
            chunk_sum = jax.nn.logsumexp(log_weights, axis=-1)
            return jnp.logaddexp(log_sum, chunk_sum), None

        start = jnp.full(x.shape[0], -jnp.inf)
        log_sum, _ = jax.lax.scan(body, start, jnp.arange(num_chunks))
        return log_sum - math.log(num_samples)

    return bound
