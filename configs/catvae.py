"""CatVAE (Pineau & Lelarge 2018, arXiv 1806.08240), exact enumeration.

python -m infovae_jax.main --config=configs/catvae.py

Many clusters (see `python -m infovae_jax.benchmark.clusters` for the cost of a step):
--config.model.num_clusters=1000 --config.model.latent_dim=2000
--config.model.reconstruction=topk
"""

import base


def get_config(preset="digits"):
    """Base and ten clusters; separation 4, where the prior's modes are distinct."""
    config = base.get_config(preset)
    config.objective = "catvae"
    # Two dims per cluster. The paper's separation is 2, where the modes overlap.
    config.model = base.model("catvae", num_clusters=10, latent_dim=20)
    # kl_c is the per-example reading of the paper's entropy term, balance the
    # aggregate one.
    config.weights = base.weights("catvae", kl_c=1.0, balance=20.0)
    return config
