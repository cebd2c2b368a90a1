"""CatVAE (Pineau & Lelarge 2018, arXiv 1806.08240), exact enumeration.

python -m infovae_jax.main --config=configs/catvae.py

Many clusters (see `python -m infovae_jax.benchmark.clusters` for the cost of a step):
--config.model.num_clusters=1000 --config.model.latent_dim=2000
--config.model.reconstruction=topk
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base and ten clusters; separation 4, where the prior's modes are distinct."""
    config = base.get_config(preset)
    config.objective = "catvae"
    config.model = model = ConfigDict()
    model.num_clusters = 10
    model.latent_dim = 20  # two dims a cluster
    model.separation = 4.0  # the paper: 2, where the modes overlap
    model.reconstruction = "exact"  # exact | topk (large K) | soft (authors) | gumbel
    model.top_clusters = 2  # topk only: most probable clusters, summed exactly
    model.rest_samples = 1  # topk only: draws of the others
    model.straight_through = False  # gumbel only
    model.head = "linear"  # q(z | x, c): linear (the paper) | mlp
    model.scale = 1.0  # of a Gaussian likelihood
    config.weights = base.weights(
        reconstruction=1.0,
        kl_z=1.0,
        kl_c=1.0,  # per-example reading of the entropy term
        balance=20.0,  # aggregate reading
        temperature=1.0,  # gumbel only
    )
    return config
