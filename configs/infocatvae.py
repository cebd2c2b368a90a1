"""InfoCatVAE (Pineau & Lelarge 2018, arXiv 1806.08240) with our clustering recipe.

python -m infovae_jax.main --config=configs/infocatvae.py
python -m infovae_jax.main --config=configs/infocatvae.py:mnist
"""

import base
from ml_collections import ConfigDict


def get_config(preset="digits"):
    """Base, ten clusters, re-classified samples and invariant assignments."""
    config = base.get_config(preset)
    config.objective = "infocatvae"
    config.network.normalization = "layer"
    config.model = model = ConfigDict()
    model.num_clusters = 10
    model.latent_dim = 20  # two dims a cluster
    model.separation = 4.0  # the paper: 2, where the modes overlap
    model.reconstruction = "exact"  # exact | topk (large K) | soft (authors) | gumbel
    model.top_clusters = 2  # topk only: most probable clusters, summed exactly
    model.rest_samples = 1  # topk only: draws of the others
    model.straight_through = False  # gumbel only
    model.head = "linear"  # q(z | x, c): linear (the paper) | mlp
    model.scale = 1.0  # of a Gaussian likelihood
    model.draws_per_cluster = 10  # conditional samples a step, as the authors
    model.clusters_per_step = 100  # of them, where there are more, chosen each step
    model.double_softmax = False  # True: the authors' code
    model.stop_gradient = "none"  # none | encoder | decoder
    model.invariance = True  # False: the paper's loss alone
    model.invariance_radius = 0.25  # share of the nearest neighbour's distance
    model.invariance_probe = 20.0
    # The first epochs decide which classes share a cluster. They therefore ask for
    # certain (kl_c below 0), balanced and locally constant assignments alone; then
    # the generative terms come in.
    certain, first, last = -1.0, 4, 5  # weight, and epochs of the change
    if preset == "digits":  # 11 steps an epoch, and 64 pixels
        config.train.num_epochs = 150
        model.invariance_radius, model.invariance_probe = 0.4, 3.0
        first, last = 60, 75
    enter = f"ramp(0, {first}, 1, {last})"
    config.weights = base.weights(
        reconstruction=enter,
        kl_z=enter,
        kl_c=f"ramp({certain}, {first}, 1, {last})",
        balance=20.0,
        reclassification=enter,
        invariance=10.0,
        temperature=1.0,  # gumbel only
    )
    return config
