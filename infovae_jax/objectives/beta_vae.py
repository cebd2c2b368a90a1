"""beta-VAE: a VAE whose rate costs more than a nat a nat.

    loss = reconstruction + beta * KL(q(z | x) || N(0, I)),  beta > 1

beta is the weight `kl_z`. A larger beta moves along the rate-distortion curve to
smaller codes; the slope of the optimal curve is dD/dR = -beta.

Higgins et al., beta-VAE, 2017 (ICLR). Not the choice for informative codes: the rate,
and with it I(x; z), falls as beta grows. beta = 1 is the VAE.
"""

from ml_collections import ConfigDict

from infovae_jax.objectives import _gaussian
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "kl_z": _gaussian.KL_Z._replace(default=4.0),
}
Config = _gaussian.Config


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the beta-VAE of `config` for data of `spec`."""
    model = _gaussian.make(Config(**config.model), config, spec, own=own)
    return model.objective(config, HPARAMS)
