"""VAE, the baseline (Kingma & Welling 2014, arXiv 1312.6114).

python -m infovae_jax.main --config=configs/vae.py
"""

import base


def get_config(preset="digits"):
    """Base, an isotropic prior and unit weights."""
    return base.get_recipe("vae", preset)
