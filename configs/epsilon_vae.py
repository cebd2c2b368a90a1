"""epsilon-VAE, the beta < 1 of the VIMAE paper (arXiv 1905.10549): 0.1.

python -m infovae_jax.main --config=configs/epsilon_vae.py
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base, an isotropic prior, and a rate that costs a tenth."""
    config = base.get_config(preset)
    config.objective = "epsilon_vae"
    config.model = ConfigDict({"latent_dim": 20, "scale": 1.0})
    config.weights = base.weights(reconstruction=1.0, kl_z=0.1)  # kl_z: epsilon
    return config
