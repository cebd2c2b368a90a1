"""The systems as estimators: what each is for, and the parameters of its own.

Parameters that all share, and the methods, stand in `estimator.BaseVAE`.
"""

import warnings
from typing import ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length

from infovae_jax.estimators import inputs, settings
from infovae_jax.estimators.estimator import BaseVAE, fitting, parameters
from infovae_jax.evaluation import rows, verdicts


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
        whole = isinstance(self.latent_dim, int | np.integer)
        half = max(1, self.latent_dim // 2) if whole else None
        return super().own_keys() | {"model.informative_dims": half}


@parameters
class _Clusters(ClusterMixin, BaseVAE):
    """With clusters: those of the training rows are `labels_`."""

    n_clusters: int = 10

    def own_keys(self):
        """K; dims of the code follow it, where nothing else is asked for."""
        return super().own_keys() | {"model.num_clusters": self.n_clusters}

    def fit(self, X, y=None):
        """Trains on X; `labels_` `[n]` are then the most probable clusters of its rows.

        See `BaseVAE.fit`.

        Warns
        -----
        ConvergenceWarning : the clusters say little, by the checks of the command
            line's verdict: nearly all rows are in one, some have none, or assignments
            are undecided; of rows: k-means finds other and clearer ones, or they
            are one column again.
        """
        with fitting(self):
            X = self._read(X)
            self._fit(X, None, 0)
            x = self._stored(X)
            logits = self._encoded_as_stored(x).logits
            self.labels_ = logits.argmax(-1).astype(np.int64)
        rows = x if self.image_shape_ is None else None
        for verdict in verdicts.of_clusters(logits, "examples", rows, self._scheme):
            text = f"verdict: {settings.in_python(verdict.text)}"
            warnings.warn(text, ConvergenceWarning, stacklevel=2)
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


@parameters
class NVAE(ClassifierMixin, BaseVAE):
    """Factors that all classes share and factors of one (Antoran & Miguel 2019).

    Semi-supervised: y is -1, None or NaN where the class is not known (-1 beside a
    single other class is a class, with a warning). `latent_dim`: dims of z_s;
    `class_dim`: dims of each class. A code is [z_s, z_c of all classes, y].
    """

    class_dim: int | None = None

    objective: ClassVar[str] = "n_vae"

    def own_keys(self):
        """Dims of both kinds."""
        return super().own_keys() | {"model.class_dim": self.class_dim}

    def fit(self, X, y):
        """Trains on X and classes y `[n]`, numbers or texts; -1, None, NaN: not known.

        See `BaseVAE.fit`.

        Warns
        -----
        UserWarning : y holds -1 and a single other class, which are then both classes;
            or texts and '-1', which is then not known.
        """
        with fitting(self):
            X = self._read(X)
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
        """Accuracy on the rows whose class y gives; without y the mean bound, nats."""
        if y is None:
            return BaseVAE.score(self, X)
        predicted = self.predict(X)
        values, known = inputs.known_classes(y, self.classes_)
        check_consistent_length(predicted, known)
        if not known.any():
            raise ValueError("y has no known class to compare with; leave y out")
        return float(accuracy_score(values, predicted[known]))

    def _cluster_number(self, cluster, run):
        if cluster is None:
            return None
        classes = self.classes_.tolist()
        if cluster not in classes:
            raise ValueError(f"cluster={cluster!r} is none of the classes {classes}")
        return classes.index(cluster)
