"""MI-VAE (Ducau & Trenous 2017): 10 free and 10 informative dims, lambda = 1.

python -m infovae_jax.main --config=configs/mi_vae.py
python -m infovae_jax.main --config=configs/mi_vae.py:mnist
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base with the authors' softplus networks; on MNIST all that they state."""
    config = base.get_config(preset)
    config.objective = "mi_vae"
    config.network.activation = "softplus"
    config.model = model = ConfigDict()
    model.latent_dim = 20
    model.scale = 1.0  # of a Gaussian likelihood
    model.informative_dims = 10  # the last ones; half of the code, or all of it
    model.generated = "mean"  # x' of the bound: mean (the authors) | sample | relaxed
    model.temperature = 0.5  # relaxed only
    config.weights = base.weights(
        reconstruction=1.0,
        kl_z=1.0,
        information=1.0,  # lambda
    )
    if preset == "mnist":
        config.network.initializer = "glorot"
        config.data.num_train = 55_000
        config.train.batch_size = 100
        config.train.num_epochs = 25
    return config
