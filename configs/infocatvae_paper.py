"""InfoCatVAE as its authors wrote it (Pineau & Lelarge 2018, arXiv 1806.08240).

python -m infovae_jax.main --config=configs/infocatvae_paper.py
python -m infovae_jax.main --config=configs/infocatvae_paper.py:mnist
"""

import base


def get_config(preset="digits"):
    """Averaged parameters, softmax twice, modes that overlap; no invariance."""
    config = base.get_config(preset)
    config.objective = "infocatvae"
    config.model = base.model(
        "infocatvae",
        num_clusters=10,
        latent_dim=20,
        separation=2.0,
        reconstruction="soft",
        double_softmax=True,
        invariance=False,
    )
    # 100 beside sums over the batch.
    config.weights = base.weights(
        "infocatvae", balance=0.0, reclassification=100.0 / config.train.batch_size
    )
    return config
