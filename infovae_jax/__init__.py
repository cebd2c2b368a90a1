"""Information-maximising variational autoencoders in JAX and Flax.

    from infovae_jax import InfoCatVAE
    clusters = InfoCatVAE(n_clusters=10, random_state=0).fit_predict(X)

The estimators and `load` are imported when first asked for: importing the package is
light, and touches no device and neither TensorFlow nor torch.
"""

__version__ = "0.1.0"

_LAZY = (
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
)


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module("infovae_jax.estimators"), name)
    globals()[name] = value  # the next look is as quick as any
    return value


def __dir__():
    return sorted({*globals(), *_LAZY})
