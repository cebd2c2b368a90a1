"""InfoVAE (Zhao, Song & Ermon 2019, arXiv 1706.02262): alpha 0, lambda 1000.

python -m infovae_jax.main --config=configs/info_vae.py
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base, and an aggregate posterior held to the prior beside each posterior."""
    config = base.get_config(preset)
    config.objective = "info_vae"
    config.model = model = ConfigDict()
    model.latent_dim = 20
    model.scale = 1.0  # of a Gaussian likelihood
    model.kernel = "rbf"  # imq_multi | imq | rbf
    # At 64 pixels a lambda of 1000 outweighs the reconstruction, and the code dies.
    alpha, lambda_ = 0.0, 30.0 if preset == "digits" else 1000.0
    config.weights = base.weights(
        reconstruction=1.0,
        kl_z=1.0 - alpha,
        mmd=alpha + lambda_ - 1.0,
    )
    return config
