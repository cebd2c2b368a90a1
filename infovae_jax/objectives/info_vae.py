"""InfoVAE: a VAE whose aggregate posterior is matched as well as its posteriors.

    loss = reconstruction + (1 - alpha) * KL(q(z | x) || N(0, I))
         + (alpha + lambda - 1) * MMD^2(q(z), N(0, I))

The two factors are the weights `kl_z` and `mmd`; the config computes them from alpha
and lambda. alpha = 0, lambda = 1 is the VAE, alpha = 1 - b, lambda = b the beta-VAE,
alpha = 1 a WAE with random encoder.

Zhao, Song & Ermon, InfoVAE, 2019 (arXiv 1706.02262). The authors' demonstration has a
deterministic encoder, the biased statistic and a narrower kernel; here the encoder is
Gaussian and the statistic unbiased.
"""

import dataclasses

from ml_collections import ConfigDict

from infovae_jax import information
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.objectives import _gaussian
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "kl_z": _gaussian.KL_Z._replace(meaning="1 - alpha: of the rate"),
    "mmd": Weight(999.0, "alpha + lambda - 1: MMD^2 of the codes to the prior"),
}


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.Config):
    """Static switches; see configs/info_vae.py."""

    kernel: str = knob("rbf", "of the MMD", options=information.KERNELS)


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the InfoVAE of `config` for data of `spec`."""
    options = Config(**config.model)
    model = _gaussian.make(options, config, spec, own=own)
    return model.objective(config, HPARAMS, model.make_matching_loss(options.kernel))
