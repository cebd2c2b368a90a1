"""The systems with scikit-learn's face, over the same functions as the command line.

`from infovae_jax import InfoCatVAE, load`. One class a system (`systems`), one file of
what they share (`estimator`); a saved model comes back by `load`.
"""

from infovae_jax.estimators.loading import load
from infovae_jax.estimators.systems import (
    IWAE,
    MIVAE,
    NVAE,
    VAE,
    VIMAE,
    WAEMMD,
    BetaVAE,
    CatVAE,
    EpsilonVAE,
    InfoCatVAE,
    InfomaxVAE,
    InfoVAE,
)

__all__ = [
    "IWAE",
    "MIVAE",
    "NVAE",
    "VAE",
    "VIMAE",
    "WAEMMD",
    "BetaVAE",
    "CatVAE",
    "EpsilonVAE",
    "InfoCatVAE",
    "InfoVAE",
    "InfomaxVAE",
    "load",
]
