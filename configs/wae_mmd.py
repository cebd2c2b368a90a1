"""WAE-MMD (Tolstikhin et al. 2018): a deterministic encoder and the MMD of its codes.

python -m infovae_jax.main --config=configs/wae_mmd.py
python -m infovae_jax.main --config=configs/wae_mmd.py:mnist
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base with a code of 8 dims, as the authors' for MNIST."""
    config = base.get_config(preset)
    config.objective = "wae_mmd"
    config.model = model = ConfigDict()
    model.latent_dim = 8
    model.scale = 1.0  # of a Gaussian likelihood; sqrt(10) is the paper's cost
    model.encoder = "deterministic"  # deterministic | gaussian
    model.input_noise = 0.01  # added to what the encoder sees, in training
    model.proposal_scale = 0.1  # deterministic: deviation of q in the evaluation only
    model.kernel = "imq_multi"  # imq_multi | imq | rbf
    config.weights = base.weights(
        reconstruction=1.0,
        # The paper's 10 beside 0.05 * squared error is 100 beside half of one, nats of
        # a Gaussian.
        mmd=10.0 if preset == "digits" else 100.0,
        kl_z=0.0,
    )
    return config
