"""beta-VAE (Higgins et al. 2017): beta = 4.

python -m infovae_jax.main --config=configs/beta_vae.py
"""

import base


def get_config(preset="digits"):
    """Base, an isotropic prior, and a rate that costs four times."""
    config = base.get_config(preset)
    config.objective = "beta_vae"
    config.model = base.model("beta_vae")
    config.weights = base.weights("beta_vae", kl_z=4.0)  # beta
    return config
