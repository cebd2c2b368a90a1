"""N-VAE with ten labels per class: the others are summed out, and held by invariance.

python -m infovae_jax.main --config=configs/n_vae_few_labels.py
python -m infovae_jax.main --config=configs/n_vae_few_labels.py:mnist
"""

import n_vae


def get_config(preset="digits"):
    """configs/n_vae.py, with a classifier that small changes of x do not alter."""
    config = n_vae.get_config(preset)
    config.data.labels_per_class = 10
    config.network.normalization = "layer"
    config.model.invariance = True
    config.weights.invariance = 20.0
    # By the rule of the M2 model, 0.1 * examples / labels; held below, as a batch
    # holds 32 labelled examples and not their share.
    config.weights.classification = 60.0
    if preset == "digits":
        config.model.invariance_radius, config.model.invariance_probe = 0.4, 3.0
    else:
        config.train.num_epochs = 10
    return config
