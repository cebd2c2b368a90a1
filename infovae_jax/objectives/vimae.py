"""VIMAE: variational InfoMax, reconstruction under a matched aggregate posterior.

    loss = reconstruction + lambda * MMD^2(q(z), p(z))        (+ w_z * rate, w_z = 0)

q(z) is the aggregate posterior, sampled by one code an example; p(z) is N(0, I)
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
from infovae_jax.objectives import _gaussian
from infovae_jax.priors import UNIT_LOGISTIC
from infovae_jax.types import DataSpec, Objective

HPARAMS = {"reconstruction": 1.0, "mmd": 100.0, "kl_z": 0.0}


@dataclasses.dataclass(frozen=True)
class Config(_gaussian.EncoderConfig):
    """Static switches; see configs/vimae.py."""

    prior: str = "normal"
    logistic_scale: float = UNIT_LOGISTIC
    kernel: str = "imq_multi"

    def check(self) -> None:
        """Raises ConfigError where a value is out of range."""
        super().check()
        _gaussian.require_known(self.prior, priors.PRIORS, "prior")
        _gaussian.require_known(self.kernel, information.KERNELS, "kernel")
        _gaussian.require_positive(self.logistic_scale, "logistic_scale")


def make(config: ConfigDict, spec: DataSpec) -> Objective:
    """Builds the VIMAE of `config` for data of `spec`."""
    options = Config(**config.model)
    prior = priors.make_prior(options.prior, options.latent_dim, options.logistic_scale)
    model = _gaussian.make(options, config, spec, prior)
    loss = model.make_matching_loss(options.kernel)
    return model.objective(loss, HPARAMS, config)
