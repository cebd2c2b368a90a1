"""WAE-MMD: the Wasserstein autoencoder, an encoder without noise and one divergence.

    loss = reconstruction + lambda * MMD^2(q(z), N(0, I))

z = encoder(x), so q(z) is the law of the codes; lambda is the weight `mmd`. The limit
of InfoVAE at alpha = 1 for a deterministic encoder. The evaluation needs a q(z | x)
with a density: N(encoder(x), proposal_scale^2 I), whose rate is logged as `kl_z`.

Tolstikhin, Bousquet, Gelly & Schoelkopf, Wasserstein Auto-Encoders, 2018 (arXiv
1711.01558); kernel, statistic and input noise as in the authors' code. Their cost
0.05 * squared error is, up to a constant, a Gaussian likelihood of scale sqrt(10).
Not the choice where the code's size exceeds the data's: a map without noise cannot
fill the prior then, and samples leave its support.
"""

import dataclasses

from ml_collections import ConfigDict

from infovae_jax import information
from infovae_jax.config.knobs import Weight, knob
from infovae_jax.objectives import _gaussian
from infovae_jax.types import BY_CONFIG, DataSpec, Objective, Own

HPARAMS = {
    "reconstruction": _gaussian.RECONSTRUCTION,
    "mmd": Weight(100.0, "lambda: MMD^2 of the codes to the prior"),
    "kl_z": _gaussian.KL_Z._replace(default=0.0),
}


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.EncoderConfig):
    """Static switches; see configs/wae_mmd.py."""

    encoder: str = knob("deterministic", "of the code", options=_gaussian.ENCODERS)
    input_noise: float = knob(
        0.01, "standard deviation of what is added to the encoder's x", at_least=0
    )
    kernel: str = knob("imq_multi", "of the MMD", options=information.KERNELS)


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the WAE-MMD of `config` for data of `spec`."""
    options = Config(**config.model)
    model = _gaussian.make(options, config, spec, own=own)
    return model.objective(config, HPARAMS, model.make_matching_loss(options.kernel))
