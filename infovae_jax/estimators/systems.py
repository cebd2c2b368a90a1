"""The systems as estimators: what each is for, and the parameters of its own.

Parameters that all share, and the methods, stand in `estimator.BaseVAE`.
"""

import dataclasses
from typing import ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, ClusterMixin

from infovae_jax.errors import ConfigError
from infovae_jax.estimators import inputs
from infovae_jax.estimators.estimator import BaseVAE, unless_it_fails, value_errors
from infovae_jax.evaluation import rows

_DIMS_PER_CLUSTER = 2


class VAE(BaseVAE):
    """The variational autoencoder: the baseline (Kingma & Welling 2014)."""

    objective: ClassVar[str] = "vae"


class BetaVAE(BaseVAE):
    """A rate that costs more than a nat a nat (Higgins et al. 2017): `weights=
    {'kl_z': 4.0}` by default."""

    objective: ClassVar[str] = "beta_vae"


class EpsilonVAE(BaseVAE):
    """A rate that costs less: codes that keep much of x; `kl_z` 0.1 by default."""

    objective: ClassVar[str] = "epsilon_vae"


class IWAE(BaseVAE):
    """Trained by the importance-weighted bound of 5 samples (Burda et al. 2016)."""

    objective: ClassVar[str] = "iwae"


class InfoVAE(BaseVAE):
    """The aggregate posterior held to the prior by MMD (Zhao et al. 2019)."""

    objective: ClassVar[str] = "info_vae"


class WAEMMD(BaseVAE):
    """Wasserstein autoencoder with MMD: codes without noise.

    (Tolstikhin et al. 2018)
    """

    objective: ClassVar[str] = "wae_mmd"


class VIMAE(BaseVAE):
    """Information-maximising autoencoder with MMD (Crescimanna & Graham 2019)."""

    objective: ClassVar[str] = "vimae"


class InfomaxVAE(BaseVAE):
    """A regularised code z and one free number (Bachmann 2018)."""

    objective: ClassVar[str] = "infomax_vae"


class MIVAE(BaseVAE):
    """Half of the code informative of what is generated (Ducau & Trenous 2017)."""

    objective: ClassVar[str] = "mi_vae"

    def own_keys(self):
        """Half of the code is informative."""
        half = None if self.latent_dim is None else max(1, self.latent_dim // 2)
        return super().own_keys() | {"model.informative_dims": half}


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class _Clusters(ClusterMixin, BaseVAE):
    """With clusters: those of the training rows are `labels_`."""

    n_clusters: int = 10

    def own_keys(self):
        """Two dims a cluster, where nothing else is asked for."""
        k = self.n_clusters
        if not isinstance(k, int | np.integer) or k < 1:
            what = f"{k!r} is no number of clusters"
            raise ConfigError(what, "n_clusters", "give an integer of at least 2")
        dims = self.latent_dim or _DIMS_PER_CLUSTER * k
        return {"model.num_clusters": self.n_clusters, "model.latent_dim": dims}

    def fit(self, X, y=None):
        """Trains on X; `labels_` `[n]` are then the most probable clusters of its rows.

        See `BaseVAE.fit`.
        """
        with unless_it_fails(self):
            super().fit(X)
            self.labels_ = self.predict(X)
        return self

    def predict(self, X):
        """The most probable cluster of each row, int64 `[n]`."""
        return self._encoded(X).logits.argmax(-1).astype(np.int64)

    def predict_proba(self, X):
        """q(c | x) of each row, `[n, n_clusters]`."""
        return rows.probabilities(self._encoded(X).logits)


class CatVAE(_Clusters):
    """A prior of K modes and soft assignments to them (Pineau & Lelarge 2018).

    `n_clusters`: K; `latent_dim` is a multiple of it, by default twice.
    """

    objective: ClassVar[str] = "catvae"


class InfoCatVAE(_Clusters):
    """CatVAE whose clusters are recognised in what they generate; clusters best.

    (Pineau & Lelarge 2018.) `n_clusters`: K; `latent_dim` is a multiple of it, by
    default twice.
    """

    objective: ClassVar[str] = "infocatvae"


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class NVAE(ClassifierMixin, BaseVAE):
    """Factors that all classes share and factors of one (Antoran & Miguel 2019).

    Semi-supervised: y is -1 where the class is not known. `latent_dim`: dims of z_s;
    `class_dim`: dims of each class. A code is [z_s, z_c of all classes, y].
    """

    class_dim: int | None = None

    objective: ClassVar[str] = "n_vae"

    def own_keys(self):
        """Dims of both kinds."""
        return super().own_keys() | {"model.class_dim": self.class_dim}

    def fit(self, X, y):
        """Trains on X and classes y `[n]`, numbers or texts; -1: not known.

        See `BaseVAE.fit`.
        """
        with value_errors(), unless_it_fails(self):
            X = inputs.read(self, X)
            table = inputs.is_table(self, X)
            checked = X if table else inputs.as_images(self, X, reset=True)
            classes, labels = inputs.as_classes(y, len(checked))
            if self.goes_on() and not np.array_equal(classes, self.classes_):
                raise ValueError("warm_start with other classes: start anew")
            self.classes_ = classes
            self._fit(X, labels, len(self.classes_))
        return self

    def predict(self, X):
        """The most probable class of each row, `[n]`."""
        logits = self._encoded(X).logits
        return self.classes_[logits.argmax(-1)]

    def predict_proba(self, X):
        """q(y | x) of each row, `[n, classes]`, in the order of `classes_`."""
        return rows.probabilities(self._encoded(X).logits)

    def score(self, X, y=None):
        """Accuracy where y is given, as of a classifier; else the mean bound, nats."""
        if y is None:
            return BaseVAE.score(self, X)
        return ClassifierMixin.score(self, X, y)

    def _cluster_number(self, cluster, run):
        if cluster is None:
            return None
        found = np.flatnonzero(self.classes_ == cluster)
        if not len(found):
            raise ValueError(f"cluster={cluster!r} is none of {list(self.classes_)}")
        return int(found[0])
