"""IWAE (Burda, Grosse & Salakhutdinov 2016): the bound of 5 samples.

python -m infovae_jax.main --config=configs/iwae.py
python -m infovae_jax.main --config=configs/iwae.py:mnist
"""

import base


def get_config(preset="digits"):
    """Base, and the bound of five samples instead of one."""
    return base.get_recipe("iwae", preset)
