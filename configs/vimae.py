"""VIMAE (Crescimanna & Graham 2019, arXiv 1905.10549): VIMAE-n, or VIMAE-l.

python -m infovae_jax.main --config=configs/vimae.py
python -m infovae_jax.main --config=configs/vimae.py --config.model.prior=logistic
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base, no cost of the rate, and the aggregate posterior held to the prior."""
    config = base.get_config(preset)
    config.objective = "vimae"
    config.model = model = ConfigDict()
    model.latent_dim = 8  # the paper's, for 28x28
    model.scale = 1.0  # of a Gaussian likelihood; sqrt(10) is the paper's cost
    model.encoder = "gaussian"  # gaussian | deterministic
    model.input_noise = 0.0  # added to what the encoder sees; 0.01 in the WAE's code
    model.proposal_scale = 0.1  # deterministic: deviation of q in the evaluation only
    model.prior = "normal"  # normal (VIMAE-n) | logistic (VIMAE-l)
    model.logistic_scale = 0.5513288954217921  # sqrt(3) / pi: unit variance
    model.kernel = "imq_multi"  # imq_multi | imq | rbf
    config.weights = base.weights(
        reconstruction=1.0,
        # The paper's 10 beside 0.05 * squared error is 100 beside half of one, nats of
        # a Gaussian. At 64 pixels much more than 10 ends with a dead code.
        mmd=10.0 if preset == "digits" else 100.0,
        kl_z=0.0,
    )
    return config
