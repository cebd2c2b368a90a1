"""VIMAE (Crescimanna & Graham 2019, arXiv 1905.10549): VIMAE-n, or VIMAE-l.

python -m infovae_jax.main --config=configs/vimae.py
python -m infovae_jax.main --config=configs/vimae.py --config.model.prior=logistic
"""

import base


def get_config(preset="digits"):
    """Base, no cost of the rate, and the aggregate posterior held to the prior."""
    config = base.get_config(preset)
    config.objective = "vimae"
    # The paper's size for 28x28. A scale of sqrt(10) would be the paper's cost.
    config.model = base.model("vimae", latent_dim=8)
    # The paper's 10 beside 0.05 * squared error is 100 beside half of one, nats of a
    # Gaussian. At 64 pixels much more than 10 ends with a dead code.
    config.weights = base.weights("vimae", mmd=10.0 if preset == "digits" else 100.0)
    return config
