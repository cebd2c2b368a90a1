"""IWAE (Burda, Grosse & Salakhutdinov 2016): the bound of 5 samples.

python -m infovae_jax.main --config=configs/iwae.py
python -m infovae_jax.main --config=configs/iwae.py:mnist
"""

import base


def get_config(preset="digits"):
    """Base, and the bound of k samples instead of one."""
    config = base.get_config(preset)
    config.objective = "iwae"
    config.model = base.model("iwae", num_samples=5)  # k; 1 is the VAE
    config.weights = base.weights("iwae")
    return config
