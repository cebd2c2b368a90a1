"""beta-VAE (Higgins et al. 2017): beta = 4.

python -m infovae_jax.main --config=configs/beta_vae.py
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base, an isotropic prior, and a rate that costs four times."""
    config = base.get_config(preset)
    config.objective = "beta_vae"
    config.model = ConfigDict({"latent_dim": 20, "scale": 1.0})
    config.weights = base.weights(reconstruction=1.0, kl_z=4.0)  # kl_z: beta
    return config
