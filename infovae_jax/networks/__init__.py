"""Networks over plain dicts of parameters; the only folder that imports flax.linen."""

from infovae_jax.networks.decoders import make_decoder
from infovae_jax.networks.encoders import make_encoder
from infovae_jax.networks.heads import (
    cluster_shifts,
    make_classifier,
    make_code_head,
    make_gaussian_head,
)

__all__ = [
    "cluster_shifts",
    "make_classifier",
    "make_code_head",
    "make_decoder",
    "make_encoder",
    "make_gaussian_head",
]
