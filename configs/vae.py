"""VAE, the baseline (Kingma & Welling 2014, arXiv 1312.6114).

python -m infovae_jax.main --config=configs/vae.py
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base, an isotropic prior and unit weights."""
    config = base.get_config(preset)
    config.objective = "vae"
    config.model = ConfigDict({"latent_dim": 20, "scale": 1.0})
    config.weights = base.weights(reconstruction=1.0, kl_z=1.0)
    return config
