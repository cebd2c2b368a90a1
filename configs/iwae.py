"""IWAE (Burda, Grosse & Salakhutdinov 2016): the bound of 5 samples.

python -m infovae_jax.main --config=configs/iwae.py
python -m infovae_jax.main --config=configs/iwae.py:mnist
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base, and the bound of k samples instead of one."""
    config = base.get_config(preset)
    config.objective = "iwae"
    config.model = model = ConfigDict()
    model.latent_dim = 20
    model.scale = 1.0  # of a Gaussian likelihood; the start of a learned one
    model.num_samples = 5  # k; 1 is the VAE
    config.weights = base.weights(reconstruction=1.0, kl_z=1.0, tightening=1.0)
    return config
