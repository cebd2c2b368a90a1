"""CatVAE (Pineau & Lelarge 2018, arXiv 1806.08240), exact enumeration.

python -m infovae_jax.main --config=configs/catvae.py

Many clusters (see `python -m infovae_jax.benchmark.clusters` for the cost of a step):
--config.model.num_clusters=1000 --config.model.latent_dim=2000
--config.model.reconstruction=topk
"""

import base


def get_config(preset="digits"):
    """Base and ten clusters; separation 4, where the prior's modes are distinct."""
    return base.get_recipe("catvae", preset)
