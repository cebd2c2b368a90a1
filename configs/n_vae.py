"""N-VAE (Antoran & Miguel 2019): shared factors, factors of one class, a classifier.

python -m infovae_jax.main --config=configs/n_vae.py
python -m infovae_jax.main --config=configs/n_vae.py:mnist
python -m infovae_jax.main --config=configs/n_vae.py:mnist \
    --config.data.labels_per_class=10 --config.model.invariance=True    (100 labels)
"""

import base


def get_config(preset="digits"):
    """Base; the label is used in training, unless data.labels_per_class hides it."""
    config = base.get_recipe("n_vae", preset)
    if preset == "yale_b":
        config.model.latent_dim = 8
        config.model.class_dim = 2
        # Beside a thousand nats of pixels a classifier of weight 1 does not learn.
        config.weights.classification = 100.0
    return config
