"""beta-VAE (Higgins et al. 2017): beta = 4.

python -m infovae_jax.main --config=configs/beta_vae.py
"""

import base


def get_config(preset="digits"):
    """Base, an isotropic prior, and a rate that costs four times."""
    return base.get_recipe("beta_vae", preset)
