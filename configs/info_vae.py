"""InfoVAE (Zhao, Song & Ermon 2019, arXiv 1706.02262): alpha 0, lambda 1000.

python -m infovae_jax.main --config=configs/info_vae.py
"""

import base


def get_config(preset="digits"):
    """Base, and an aggregate posterior held to the prior beside each posterior."""
    config = base.get_config(preset)
    config.objective = "info_vae"
    config.model = base.model("info_vae")
    # At 64 pixels a lambda of 1000 outweighs the reconstruction, and the code dies.
    alpha, lambda_ = 0.0, 30.0 if preset == "digits" else 1000.0
    config.weights = base.weights(
        "info_vae", kl_z=1.0 - alpha, mmd=alpha + lambda_ - 1.0
    )
    return config
