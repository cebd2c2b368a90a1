"""Heads on the encoder's features: posterior parameters and class logits."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from infovae_jax.networks.layers import dense, to_network
from infovae_jax.types import Array, Network, Params


def make_gaussian_head(
    num_features: int,
    latent_dim: int,
    num_clusters: int = 0,
    hidden: tuple[int, ...] = (),
    initializer: str = "lecun",
) -> Network:
    """`apply(params, h, c=None) -> (mean, log_var)`, each `[..., d]`.

    With clusters, the first layer is linear in [h; one-hot of c]. It is computed as
    Dense(h) plus rows of a table: a vmap over c alone then leaves the large product
    unbatched. `c` is cluster numbers, or points of the simplex `[..., K]`, or None for
    what h alone gives; with no hidden layer the rest are the `cluster_shifts`.

    Args:
      num_features: size of h.
      latent_dim: d.
      num_clusters: K, or 0 for a head that sees h alone.
      hidden: sizes of ReLU layers between.
      initializer: of the weights, see `layers.INITIALIZERS`.
    """
    module = _GaussianHead(latent_dim, num_clusters, tuple(hidden), initializer)
    inputs = [np.zeros(num_features, np.float32)]
    if num_clusters:
        inputs.append(np.zeros(num_clusters, np.float32))
    return to_network(module, *inputs)


def cluster_shifts(params: Params) -> tuple[Array, Array]:
    """What each cluster adds to mean and log-variance, `[K, d]` each.

    Of a Gaussian head without hidden layers.
    """
    mean, log_var = jnp.split(params["cluster"]["kernel"], 2, axis=-1)
    return mean, log_var


def make_code_head(num_features: int, latent_dim: int) -> Network:
    """`apply(params, h) -> code [..., d]`, linear: a code without noise."""
    return to_network(nn.Dense(latent_dim), np.zeros(num_features, np.float32))


def make_classifier(
    num_features: int,
    num_classes: int,
    hidden: tuple[int, ...] = (),
    scale: float = 1.0,
) -> Network:
    """`apply(params, h) -> logits [..., K]`, with ReLU layers of sizes `hidden`.

    The deviation of the last layer's initial weights is `scale` times the usual one.
    """
    module = _Classifier(num_classes, tuple(hidden), scale)
    return to_network(module, np.zeros(num_features, np.float32))


class _GaussianHead(nn.Module):
    latent_dim: int
    num_clusters: int
    hidden: tuple[int, ...]
    initializer: str

    @nn.compact
    def __call__(self, h: Array, c: Array | None = None):
        sizes = (*self.hidden, 2 * self.latent_dim)
        outputs = dense(sizes[0], self.initializer, "features")(h)
        if c is not None:
            rows = _Table(self.num_clusters, sizes[0], name="cluster")(c)
            outputs = outputs + jnp.broadcast_to(rows, outputs.shape)
        for number, size in enumerate(sizes[1:]):
            layer = dense(size, self.initializer, f"dense_{number}")
            outputs = layer(nn.relu(outputs))
        mean, log_var = jnp.split(outputs, 2, axis=-1)
        return mean, log_var


class _Table(nn.Module):
    """A row for each cluster; at a point of the simplex their weighted mean."""

    num_clusters: int
    size: int

    @nn.compact
    def __call__(self, c: Array) -> Array:
        shape = (self.num_clusters, self.size)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        # A product with one-hots would cost K times as much as the rows it picks.
        return kernel[c] if jnp.issubdtype(c.dtype, jnp.integer) else c @ kernel


class _Classifier(nn.Module):
    num_classes: int
    hidden: tuple[int, ...]
    scale: float

    @nn.compact
    def __call__(self, h: Array) -> Array:
        for number, size in enumerate(self.hidden):
            h = nn.relu(nn.Dense(size, name=f"dense_{number}")(h))
        init = nn.initializers.variance_scaling(
            self.scale**2, "fan_in", "truncated_normal"
        )
        return nn.Dense(self.num_classes, kernel_init=init, name="logits")(h)
