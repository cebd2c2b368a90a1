"""epsilon-VAE, the beta < 1 of the VIMAE paper (arXiv 1905.10549): 0.1.

python -m infovae_jax.main --config=configs/epsilon_vae.py
"""

import base


def get_config(preset="digits"):
    """Base, an isotropic prior, and a rate that costs a tenth."""
    return base.get_recipe("epsilon_vae", preset)
