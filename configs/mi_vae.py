"""MI-VAE (Ducau & Trenous 2017): 10 free and 10 informative dims, lambda = 1.

python -m infovae_jax.main --config=configs/mi_vae.py
python -m infovae_jax.main --config=configs/mi_vae.py:mnist
"""

import base


def get_config(preset="digits"):
    """Base with the authors' softplus networks; on MNIST all that they state."""
    config = base.get_recipe("mi_vae", preset)
    if preset == "mnist":
        config.network.initializer = "glorot"
        config.data.num_train = 55_000
        config.train.batch_size = 100
        config.train.num_epochs = 25
    return config
