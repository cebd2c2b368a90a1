"""N-VAE (Antoran & Miguel 2019): shared factors, factors of one class, a classifier.

python -m infovae_jax.main --config=configs/n_vae.py
python -m infovae_jax.main --config=configs/n_vae.py:mnist
python -m infovae_jax.main --config=configs/n_vae.py:mnist \
    --config.data.labels_per_class=10 --config.model.invariance=True    (100 labels)
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base; the label is used in training, unless data.labels_per_class hides it."""
    config = base.get_config(preset)
    config.objective = "n_vae"
    config.model = model = ConfigDict()
    model.latent_dim = 10  # of z_s, which all classes share
    model.class_dim = 4  # of z_c, a class
    model.scale = 1.0  # of a Gaussian likelihood; the start of a learned one
    model.kl_blocks = "all"  # all | active: blocks of z_c whose KL counts
    model.invariance = False  # classifications that small changes do not alter
    model.invariance_radius = 0.25  # of those changes, share of the neighbour distance
    model.invariance_probe = 20.0
    config.weights = base.weights(
        reconstruction=1.0,
        kl_z=1.0,
        kl_class=1.0,  # beta_c: above 1 pushes what classes share into z_s
        kl_y=1.0,  # where the label is unknown
        classification=1.0,  # alpha
        invariance=1.0,  # where computed
    )
    if preset == "yale_b":
        model.latent_dim = 8
        model.class_dim = 2
        # Beside a thousand nats of pixels a classifier of weight 1 does not learn.
        config.weights.classification = 100.0
    return config
