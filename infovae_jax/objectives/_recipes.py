"""What each system changes of the defaults: one function a system, written once.

Both `configs/<objective>.py` and the estimators start from these. A recipe is a dict of
dotted keys and values. Data of few pixels (up to FEW_PIXELS a row, as the digits of
8x8) want other weights than pictures: a sum over pixels is smaller beside the rest.
"""

from typing import Any

Recipe = dict[str, Any]
FEW_PIXELS = 256


def beta_vae(few_pixels: bool) -> Recipe:
    """beta."""
    return {"weights.kl_z": 4.0}


def epsilon_vae(few_pixels: bool) -> Recipe:
    """epsilon."""
    return {"weights.kl_z": 0.1}


def iwae(few_pixels: bool) -> Recipe:
    """k; 1 is the VAE."""
    return {"model.num_samples": 5}


def info_vae(few_pixels: bool) -> Recipe:
    """alpha 0 and lambda 1000; at 64 pixels that outweighs x, and the code dies."""
    alpha, lambda_ = 0.0, 30.0 if few_pixels else 1000.0
    return {"weights.kl_z": 1.0 - alpha, "weights.mmd": alpha + lambda_ - 1.0}


def wae_mmd(few_pixels: bool) -> Recipe:
    """The authors' 8 dims for MNIST, and their weight.

    Their 10 beside 0.05 * squared error is 100 beside half of one, nats of a Gaussian.
    A scale of sqrt(10) would be their cost. At 64 pixels much more than 10 ends with a
    dead code.
    """
    return {"model.latent_dim": 8, "weights.mmd": 10.0 if few_pixels else 100.0}


# VIMAE's paper has the same size and cost for 28x28.
vimae = wae_mmd


def catvae(few_pixels: bool) -> Recipe:
    """Two dims per cluster; separation 4, as at the paper's 2 the modes overlap.

    kl_c is the per-example reading of the paper's entropy term, balance the aggregate
    one.
    """
    return {
        "model.num_clusters": 10,
        "model.latent_dim": 20,
        "weights.kl_c": 1.0,
        "weights.balance": 20.0,
    }


def infocatvae(few_pixels: bool, images: bool = True, columns: bool = False) -> Recipe:
    """Clusters by a classifier with a trunk of its own; a decoder that obeys them.

    q(c | x) is moved by its own terms alone, from the first step to the last: certain
    (kl_c below 0) and balanced assignments that a worst small change of x and, of
    images, a small affine map do not alter; of rows, that neighbours share, and of
    `columns` with scales of their own that noise as large as their spread leaves alone,
    in place of the worst change. Its last layer starts near 0: the directions in which
    assignments grow first are then those that the changes leave alone. Distortion, rate
    and the information term train the rest beside it, decoding three clusters of ten
    (`topk`, without bias).
    """
    changes = {
        "network.normalization": "layer",
        "model.num_clusters": 10,
        "model.latent_dim": 20,
        "model.reconstruction": "topk",
        "model.trunk": "own",
        "model.trunk_normalization": "batch",
        "model.trunk_initializer": "small",
        "model.logits_scale": 0.01,
        "model.detached": True,
        "model.stop_gradient": "encoder",
        "model.affine": images,
        "model.invariance": not columns,
        "model.neighbours": not images,
        "model.noise": columns,
        "model.noise_scale": 1.0 if columns else 0.1,
        "model.invariance_radius": 0.4 if few_pixels else 0.206,
        "model.invariance_probe": 3.0 if few_pixels else 5.0,
        "weights.kl_c": -1.0,
        "weights.balance": 20.0,
        # By 3, 97.6 % of generated MNIST digits were read as those of their cluster.
        "weights.reclassification": 3.0 if few_pixels else 8.0,
    }
    if few_pixels:
        changes |= {
            "model.affine_rotation": 10.0,
            "model.affine_shear": 0.2,
            "model.affine_shift": 0.5,
        }
    else:
        changes |= {"optimizer.learning_rate": 2e-3, "train.batch_size": 250}
    return changes


def infomax_vae(few_pixels: bool) -> Recipe:
    """A code of 20, of which one is free."""
    return {"model.latent_dim": 19, "model.code_dim": 1}


def mi_vae(few_pixels: bool) -> Recipe:
    """The authors' softplus; the last ten of twenty dims are informative, lambda 1."""
    return {
        "network.activation": "softplus",
        "model.latent_dim": 20,
        "model.informative_dims": 10,
        "weights.information": 1.0,
    }


def n_vae(few_pixels: bool) -> Recipe:
    """Ten shared dims and four a class.

    A kl_class (beta_c) above 1 pushes what classes share into z_s.
    """
    return {"model.latent_dim": 10, "model.class_dim": 4, "weights.kl_class": 1.0}


BY_NAME = {
    "beta_vae": beta_vae,
    "catvae": catvae,
    "epsilon_vae": epsilon_vae,
    "info_vae": info_vae,
    "infocatvae": infocatvae,
    "infomax_vae": infomax_vae,
    "iwae": iwae,
    "mi_vae": mi_vae,
    "n_vae": n_vae,
    "vimae": vimae,
    "wae_mmd": wae_mmd,
}
