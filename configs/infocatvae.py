"""InfoCatVAE (Pineau & Lelarge 2018, arXiv 1806.08240) with our clustering recipe.

python -m infovae_jax.main --config=configs/infocatvae.py
python -m infovae_jax.main --config=configs/infocatvae.py:mnist
"""

import base


def get_config(preset="digits"):
    """Base, ten clusters, re-classified samples and invariant assignments."""
    config = base.get_config(preset)
    config.objective = "infocatvae"
    config.network.normalization = "layer"
    # Two dims per cluster. The paper's separation is 2, where the modes overlap;
    # invariance=False is the paper's loss alone.
    config.model = model = base.model("infocatvae", num_clusters=10, latent_dim=20)
    # The first epochs decide which classes share a cluster. They therefore ask for
    # certain (kl_c below 0), balanced and locally constant assignments alone; then
    # the generative terms come in.
    certain, first, last = -1.0, 4, 5  # weight, and epochs of the change
    if preset == "digits":  # 11 steps per epoch, and 64 pixels
        config.train.num_epochs = 150
        model.invariance_radius, model.invariance_probe = 0.4, 3.0
        first, last = 60, 75
    enter = f"ramp(0, {first}, 1, {last})"
    config.weights = base.weights(
        "infocatvae",
        reconstruction=enter,
        kl_z=enter,
        kl_c=f"ramp({certain}, {first}, 1, {last})",
        reclassification=enter,
    )
    return config
