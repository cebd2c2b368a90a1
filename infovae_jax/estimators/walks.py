"""What a fitted estimator's code holds, seen by what it decodes to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from infovae_jax.estimators import settings
from infovae_jax.evaluation import code_paths
from infovae_jax.evaluation.code_paths import Traversed


class Walks:
    """Reconstructions, and walks through the code, of every estimator."""

    def reconstruct(self, X) -> Any:
        """What the codes of X decode to, in the range and shape of X.

        `inverse_transform` of posterior means; of a table a DataFrame.
        """
        return self.inverse_transform(self._encoded(X).mean)

    def interpolate(self, X, n_steps=10) -> np.ndarray:
        """From each example to the next in equal steps of the code.

        Parameters
        ----------
        X : at least two examples, no table
        n_steps : int
            Both ends included.

        Returns
        -------
        `[n - 1, n_steps, ...]` in the range and shape of X.

        Raises
        ------
        ValueError : a single example, or a table.
        """
        codes = self._walked(X)
        n_steps = settings.whole(n_steps, "n_steps", 2)
        return code_paths.interpolate(self.inverse_transform, codes, n_steps)[0]

    def traverse(self, X, dims: Sequence[int] | None = None, n_steps=11) -> Traversed:
        """One dim of the code after the other moved about the code of each example.

        By up to 2.5 prior standard deviations to either side; a dim that has no prior
        through the range of what was fitted to its training codes.

        Parameters
        ----------
        X : examples, no table
        dims : which, in this order; None: those that change the first example, as the
            model sees it, the one that changes most first.
        n_steps : int

        Returns
        -------
        `images` `[n, m, n_steps, ...]` in the range and shape of X, their `codes`, the
        `dims` and their `names`.

        Raises
        ------
        ValueError : a dim that there is not, or a table.
        """
        codes = self._walked(X)
        n_steps = settings.whole(n_steps, "n_steps", 2)
        run, params = self._run(), self._device_params()
        if dims is not None:
            last = codes.shape[1] - 1
            dims = [settings.whole(d, "dims", 0, last) for d in np.ravel(dims).tolist()]
        # By what changes for the model: no column counts more for its unit.
        walk = run.objective, params, self.decoded, codes, n_steps, dims
        found = code_paths.traverse(*walk)
        images = found.images.reshape(-1, *found.images.shape[3:])
        made = self._original(images)
        images = made.reshape(*found.images.shape[:3], *made.shape[1:])
        return found._replace(images=images)

    def _walked(self, X) -> np.ndarray:
        """The codes of X."""
        check_is_fitted(self, "params_")
        if self._scheme is not None:
            raise ValueError(
                "walks are of images or arrays of numbers, and this model is of a "
                "table: decode codes by inverse_transform"
            )
        return self._encoded(X).mean
