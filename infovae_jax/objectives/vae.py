"""VAE: the variational autoencoder.

    loss = reconstruction + w_z * KL(q(z | x) || N(0, I))

with reconstruction = -E_q log p(x | z), one reparameterised sample. Units: nats,
summed over pixels and latent dims, averaged over the batch.

Kingma & Welling, Auto-Encoding Variational Bayes, 2014 (arXiv 1312.6114). Not the
choice where the code must carry information: the KL is free to switch dims off.
"""

from ml_collections import ConfigDict

from infovae_jax.objectives import _gaussian
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "kl_z": _gaussian.KL_Z,
}
Config = _gaussian.Config


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the VAE of `config` for data of `spec`."""
    model = _gaussian.make(Config(**config.model), config, spec, own=own)
    return model.objective(config, HPARAMS)
