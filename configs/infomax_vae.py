"""InfomaxVAE (Bachmann 2018): a regularised code z and one free number c.

python -m infovae_jax.main --config=configs/infomax_vae.py
python -m infovae_jax.main --config=configs/infomax_vae.py:mnist
python -m infovae_jax.main --config=configs/infomax_vae.py:yale_b \
    --config.data.source=FILE.npz    (made by launch/prepare_yale_b.py)
"""

import base


def get_config(preset="digits"):
    """Base; on photographs the author's convolutions, squared error and optimiser."""
    config = base.get_recipe("infomax_vae", preset)
    if preset == "yale_b":
        config.model.latent_dim = 99
        config.model.scale = 0.7071067811865476  # sqrt(1/2): the squared error
        config.data.likelihood = "gaussian"
        config.network.normalization = "batch"
        config.network.conv_hidden = 0
        config.train.num_epochs = 60
        config.optimizer.name = "rmsprop"
        config.optimizer.learning_rate = 5e-4
    return config
