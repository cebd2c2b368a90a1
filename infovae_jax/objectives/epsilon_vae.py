"""epsilon-VAE: a VAE whose rate costs less than a nat a nat.

    loss = reconstruction + epsilon * KL(q(z | x) || N(0, I)),  epsilon < 1

epsilon is the weight `kl_z`. The name is that of the VIMAE paper (arXiv 1905.10549)
for the small-beta end of the rate-distortion curve of Alemi et al., Fixing a Broken
ELBO, 2018 (arXiv 1711.00464). Not the choice for sampling: the aggregate posterior
leaves the prior. epsilon = 1 is the VAE.
"""

from ml_collections import ConfigDict

from infovae_jax.objectives import _gaussian
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "kl_z": _gaussian.KL_Z._replace(default=0.1),
}
Config = _gaussian.Config


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the epsilon-VAE of `config` for data of `spec`."""
    model = _gaussian.make(Config(**config.model), config, spec, own=own)
    return model.objective(config, HPARAMS)
