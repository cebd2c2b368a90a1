"""Heads on the encoder's features: posterior parameters and class logits."""

import flax.linen as nn
import jax.numpy as jnp

from infovae_jax.networks.layers import dense, to_network
from infovae_jax.types import Array, Network


def make_gaussian_head(
    num_features: int,
    latent_dim: int,
    num_clusters: int = 0,
    hidden: tuple[int, ...] = (),
    initializer: str = "lecun",
) -> Network:
    """`apply(params, h, one_hot=None) -> (mean, log_var)`, each `[..., d]`.

    With clusters, the first layer is linear in [h; one_hot]. It is computed as
    Dense(h) + Dense(one_hot): a vmap over the one-hots alone then leaves the large
    product unbatched, and adds a table of biases. `one_hot` may be any point of the
    simplex.

    Args:
      num_features: size of h.
      latent_dim: d.
      num_clusters: K, or 0 for a head that sees h alone.
      hidden: sizes of ReLU layers between.
      initializer: of the weights, see `layers.INITIALIZERS`.
    """
    module = _GaussianHead(latent_dim, num_clusters, tuple(hidden), initializer)
    inputs = [jnp.zeros(num_features)]
    if num_clusters:
        inputs.append(jnp.zeros(num_clusters))
    return to_network(module, *inputs)


def make_code_head(num_features: int, latent_dim: int) -> Network:
    """`apply(params, h) -> code [..., d]`, linear: a code without noise."""
    return to_network(nn.Dense(latent_dim), jnp.zeros(num_features))


def make_classifier(
    num_features: int, num_classes: int, hidden: tuple[int, ...] = ()
) -> Network:
    """`apply(params, h) -> logits [..., K]`, with ReLU layers of sizes `hidden`."""
    return to_network(_Classifier(num_classes, tuple(hidden)), jnp.zeros(num_features))


class _GaussianHead(nn.Module):
    latent_dim: int
    num_clusters: int
    hidden: tuple[int, ...]
    initializer: str

    @nn.compact
    def __call__(self, h: Array, one_hot: Array | None = None):
        sizes = (*self.hidden, 2 * self.latent_dim)
        outputs = dense(sizes[0], self.initializer, "features")(h)
        if self.num_clusters:
            table = nn.Dense(sizes[0], use_bias=False, name="cluster")
            outputs = outputs + jnp.broadcast_to(table(one_hot), outputs.shape)
        for number, size in enumerate(sizes[1:]):
            layer = dense(size, self.initializer, f"dense_{number}")
            outputs = layer(nn.relu(outputs))
        mean, log_var = jnp.split(outputs, 2, axis=-1)
        return mean, log_var


class _Classifier(nn.Module):
    num_classes: int
    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array) -> Array:
        for number, size in enumerate(self.hidden):
            h = nn.relu(nn.Dense(size, name=f"dense_{number}")(h))
        return nn.Dense(self.num_classes, name="logits")(h)
