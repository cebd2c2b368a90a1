"""InfoCatVAE (Pineau & Lelarge 2018, arXiv 1806.08240) with our clustering recipe.

python -m infovae_jax.main --config=configs/infocatvae.py
python -m infovae_jax.main --config=configs/infocatvae.py:mnist
"""

import base


def get_config(preset="digits"):
    """Base, ten clusters, re-classified samples and invariant assignments.

    model.invariance=False is the paper's loss alone.
    """
    if preset != "digits":
        return base.get_recipe("infocatvae", preset)
    # 11 steps per epoch: the generative terms come in later.
    config = base.get_recipe("infocatvae", preset, enter=(60, 75))
    config.train.num_epochs = 150
    return config
