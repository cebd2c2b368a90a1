"""InfoVAE (Zhao, Song & Ermon 2019, arXiv 1706.02262): alpha 0, lambda 1000.

python -m infovae_jax.main --config=configs/info_vae.py
"""

import base


def get_config(preset="digits"):
    """Base, and an aggregate posterior held to the prior beside each posterior."""
    return base.get_recipe("info_vae", preset)
