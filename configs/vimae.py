"""VIMAE (Crescimanna & Graham 2019, arXiv 1905.10549): VIMAE-n, or VIMAE-l.

python -m infovae_jax.main --config=configs/vimae.py
python -m infovae_jax.main --config=configs/vimae.py --config.model.prior=logistic
"""

import base


def get_config(preset="digits"):
    """Base, no cost of the rate, and the aggregate posterior held to the prior."""
    return base.get_recipe("vimae", preset)
