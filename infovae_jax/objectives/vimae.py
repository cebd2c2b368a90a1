"""VIMAE: variational InfoMax, reconstruction under a matched aggregate posterior.

    loss = reconstruction + lambda * MMD^2(q(z), p(z))        (+ w_z * rate, w_z = 0)

q(z) is the aggregate posterior, sampled by one code per example; p(z) is N(0, I)
(VIMAE-n) or a product of logistic distributions (VIMAE-l). lambda is the weight
`mmd`; the statistic is the unbiased one. The rate KL(q(z | x) || p(z)) is logged and
free: with Div = KL the objective is the ELBO plus I_q(x; z). The encoder is Gaussian,
or deterministic (z is its output; the rate is then that of the evaluation's q).

Crescimanna & Graham, The Variational InfoMax AutoEncoder, 2019 (arXiv 1905.10549).
The paper's cost 0.05 * squared error is, up to a constant, a Gaussian likelihood of
scale sqrt(10). It leaves open the scale of the logistic: unit variance here, where its
entropy is the smaller one, as the paper says. Not the choice for density estimation.
"""

import dataclasses

from ml_collections import ConfigDict

from infovae_jax import information, priors
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
    """Static switches; see configs/vimae.py."""

    prior: str = knob("normal", "VIMAE-n or VIMAE-l", options=priors.PRIORS)
    logistic_scale: float = knob(
        priors.UNIT_LOGISTIC, "s of the logistic prior; default: variance 1", above=0
    )
    kernel: str = knob("imq_multi", "of the MMD", options=information.KERNELS)


def make(config: ConfigDict, spec: DataSpec, own: Own = BY_CONFIG) -> Objective:
    """Builds the VIMAE of `config` for data of `spec`."""
    options = Config(**config.model)
    prior = priors.make_prior(options.prior, options.latent_dim, options.logistic_scale)
    model = _gaussian.make(options, config, spec, prior, own=own)
    return model.objective(config, HPARAMS, model.make_matching_loss(options.kernel))
