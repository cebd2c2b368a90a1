"""WAE-MMD (Tolstikhin et al. 2018): a deterministic encoder and the MMD of its codes.

python -m infovae_jax.main --config=configs/wae_mmd.py
python -m infovae_jax.main --config=configs/wae_mmd.py:mnist
"""

import base


def get_config(preset="digits"):
    """Base with a code of 8 dims, as the authors' for MNIST."""
    config = base.get_config(preset)
    config.objective = "wae_mmd"
    # A scale of sqrt(10) would be the paper's cost.
    config.model = base.model("wae_mmd", latent_dim=8)
    # The paper's 10 beside 0.05 * squared error is 100 beside half of one, nats of a
    # Gaussian.
    config.weights = base.weights("wae_mmd", mmd=10.0 if preset == "digits" else 100.0)
    return config
