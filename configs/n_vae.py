"""N-VAE (Antoran & Miguel 2019): shared factors, factors of one class, a classifier.

python -m infovae_jax.main --config=configs/n_vae.py
python -m infovae_jax.main --config=configs/n_vae.py:mnist
python -m infovae_jax.main --config=configs/n_vae.py:mnist \
    --config.data.labels_per_class=10 --config.model.invariance=True    (100 labels)
"""

import base


def get_config(preset="digits"):
    """Base; the label is used in training, unless data.labels_per_class hides it."""
    config = base.get_config(preset)
    config.objective = "n_vae"
    config.model = model = base.model("n_vae", latent_dim=10, class_dim=4)
    # A kl_class (beta_c) above 1 pushes what classes share into z_s.
    config.weights = base.weights("n_vae", kl_class=1.0)
    if preset == "yale_b":
        model.latent_dim = 8
        model.class_dim = 2
        # Beside a thousand nats of pixels a classifier of weight 1 does not learn.
        config.weights.classification = 100.0
    return config
