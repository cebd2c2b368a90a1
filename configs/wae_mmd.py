"""WAE-MMD (Tolstikhin et al. 2018): a deterministic encoder and the MMD of its codes.

python -m infovae_jax.main --config=configs/wae_mmd.py
python -m infovae_jax.main --config=configs/wae_mmd.py:mnist
"""

import base


def get_config(preset="digits"):
    """Base with a code of 8 dims, as the authors' for MNIST."""
    return base.get_recipe("wae_mmd", preset)
