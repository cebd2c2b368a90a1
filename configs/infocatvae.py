"""InfoCatVAE (Pineau & Lelarge 2018, arXiv 1806.08240) with our clustering recipe.

python -m infovae_jax.main --config=configs/infocatvae.py
python -m infovae_jax.main --config=configs/infocatvae.py:mnist

The recipe, with what each part is for: `infocatvae` in
infovae_jax/objectives/_recipes.py. The paper's loss: configs/infocatvae_paper.py.
"""

import base


def get_config(preset="digits"):
    """Base, ten clusters, invariant assignments and re-classified samples."""
    config = base.get_recipe("infocatvae", preset)
    if preset in ("mnist", "fashion_mnist", "kmnist"):
        config.train.num_epochs = 25
        config.optimizer.learning_rate = "ramp(0.002, 60%, 0.0002, 100%)"
    if preset == "fashion_mnist":
        config.model.neighbours = True
        # Maps that lean or stretch clothes join what differs.
        config.model.affine = False
    if preset == "kmnist":
        config.model.neighbours = True
        config.model.affine_rotation, config.model.affine_shear = 5.0, 0.1
    return config
