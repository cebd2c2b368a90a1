"""What all estimators share: fitting, codes, bounds, samples.

An estimator holds its parameters, and once fitted arrays and plain values; programs are
kept beside it (`training.programs`), so that it can be copied, pickled and cloned.
"""

import contextlib
import copy
import dataclasses
import functools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, dataclass_transform

import jax
import numpy as np
from ml_collections import ConfigDict
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_array, check_is_fitted

from infovae_jax import config as config_lib
from infovae_jax.config import groups, knobs
from infovae_jax.config.knobs import knob
from infovae_jax.data import arrays, digest, new_rows
from infovae_jax.data import scaling as scaling_lib
from infovae_jax.data.columns import Scheme
from infovae_jax.errors import ConfigError, DataError, NonFiniteError, nearest
from infovae_jax.estimators import bounds, inputs, saving, settings
from infovae_jax.estimators.walks import Walks
from infovae_jax.evaluation import rows, tabular
from infovae_jax.evaluation.encoding import Encoded, decode_codes, encode_split
from infovae_jax.training import in_memory, loop
from infovae_jax.training.programs import seldom
from infovae_jax.training.run import Run, open_run
from infovae_jax.types import Dataset

# Samples decoded at once.
_DRAWN_AT_ONCE = 256
# Parameters that the first look at the data heeds.
_OF_THE_LOOK = ("columns", "missing", "scaling")


@contextlib.contextmanager
def value_errors() -> Iterator[None]:
    """Turns what is wrong with parameters or data into scikit-learn's ValueError.

    A divergence stays what it is, in the words of the parameters.
    """
    try:
        yield
    except (ConfigError, DataError) as error:
        text = f"{error.what}; {error.where}; {error.fix}"
        text = " ".join(settings.in_python(text).split())
        raise ValueError(text) from error
    except NonFiniteError as error:
        fix = settings.in_python(error.fix)
        raise NonFiniteError(error.what, error.where, fix) from error


@contextlib.contextmanager
def fitting(model: Any) -> Iterator[None]:
    """A fit: one that fails, or is interrupted, leaves the model as it was before."""
    before = dict(vars(model))
    try:
        with value_errors():
            _require_usable(model)
            yield
    except BaseException:
        vars(model).clear()
        vars(model).update(before)
        raise


def _require_usable(model: Any) -> None:
    """Raises ConfigError where a parameter is wrong that no key of a run stands for."""
    name = type(model).__name__
    own = {key: settings.plain(getattr(model, key)) for key in knobs.declared(BaseVAE)}
    knobs.check(own, BaseVAE, name)
    for key in ("weights", "config"):
        value = getattr(model, key)
        if not isinstance(value, Mapping | None):
            what = f"{str(value)[:40]!r} is no dict"
            raise ConfigError(what, f"{name}.{key}", "give a dict of names and values")


@dataclass_transform(kw_only_default=True, field_specifiers=(knob,))
def parameters(cls: type) -> type:
    """A dataclass whose fields are parameters by name; a wrong name gets its hint.

    The signature, which scikit-learn reads, stays that of the dataclass.
    """
    cls = dataclasses.dataclass(eq=False, repr=False, kw_only=True)(cls)
    init, known = cls.__init__, [field.name for field in dataclasses.fields(cls)]

    @functools.wraps(init)
    def checked(self, *unnamed, **named):
        own = type(self).__name__
        if unnamed:
            raise TypeError(f"{own} takes parameters by name, as {own}(latent_dim=2)")
        for name in named.keys() - set(known):
            having = ", ".join(_having(name))
            hint = f": {having} have it" if having else nearest(name, known)
            raise TypeError(f"{own} has no parameter '{name}'{hint}")
        init(self, **named)

    cls.__init__ = checked
    return cls


def _having(name: str) -> list[str]:
    """Names of the systems that have a parameter, a method or, fitted, an attribute."""
    name = {"labels_": "n_clusters", "classes_": "class_dim"}.get(name, name)
    found, left = [], [BaseVAE]
    while left:
        cls = left.pop()
        left += cls.__subclasses__()
        if cls.__module__.startswith(__package__) and hasattr(cls, "objective"):
            found += [cls.__name__] * hasattr(cls, name)
    return sorted(found)


def _warn_where(strange: np.ndarray, what: str) -> None:
    """Tells of rows `[n]` whose bound or code is no number."""
    if strange.any():
        warnings.warn(
            f"{int(strange.sum())} of {len(strange)} rows, the first of them row "
            f"{int(strange.argmax())}, are so far from the training data that their "
            f"{what} is no number",
            stacklevel=3,
        )


@parameters
class BaseVAE(Walks, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Shared parameters and methods; each class says what its system is for.

    Parameters
    ----------
    latent_dim : int or None
        Dims of the code; None: the objective's own.
    network : 'mlp' or 'conv'
        Kind of encoder and decoder.
    hidden : tuple of int or None
        Dense layers of the encoder, mirrored in the decoder; None: by the size of x
        and the number of rows.
    encoder, decoder : None, a Flax linen or nnx module, or a pair (init, apply)
        In place of those of `network`: rows `[B, d]` or images `[B, H, W, C]` to
        features `[B, F]`, and codes `[B, latent]` to rows; see `networks.own`.
    likelihood : str
        p(x | z), see `distributions.likelihoods`; 'auto': Bernoulli for values in
        [0, 1], a Gaussian of learned scale for standardised columns.
    columns : dict or None
        Of a table, name -> 'numeric', 'binary', 'categorical', 'count', 'poisson' or
        'ignore', for columns whose values do not tell; see docs/tables.md.
    missing : 'refuse' or 'impute'
        Missing values of a table; imputed: the mean, or the most frequent value.
    scaling : 'auto', 'none', 'grey', 'unit' or 'standardize'
        How x is brought into the range of the likelihood, see `data.scaling.choose`.
    epochs : int or None
        Passes over the data; None: about 2,000 steps, of x of more than 1,024 numbers
        in proportion fewer; 20 to 500 passes.
    batch_size : int or None
        Rows of a step; None: the recipe's, mostly 128, of fewer rows the power of two
        below their number.
    learning_rate : float, str or None
        Of Adam; a text is a schedule; None: the recipe's, mostly 1e-3.
    weights : dict or None
        Weights of the terms of the loss, numbers or schedules.
    early_stopping : bool
        Hold rows out, and end where their bound has not risen for `n_iter_no_change`
        epochs, with the parameters of the best epoch.
    validation_fraction : float
        Share of the rows held out then.
    n_iter_no_change : int
        See `early_stopping`.
    n_seeds : int
        Runs with the seed and those after it, of which one is chosen without labels:
        clusterings by the information that changes of x leave them, or without
        invariance in the loss by their agreement with one another, others by the bound;
        `members_` says how.
    warm_start : bool
        `fit` goes on from the parameters, and with the scaling, of the fit before.
    config : dict or None
        Any other key of docs/reference.md, dotted: {'network.activation': 'gelu'}.
    random_state : int, RandomState or None
        An integer is the seed of the command line's run.
    verbose : int
        0: nothing is printed; 1: decisions and progress.
    """

    latent_dim: int | None = None
    network: str = "mlp"
    hidden: tuple[int, ...] | None = None
    encoder: Any = None
    decoder: Any = None
    likelihood: str = "auto"
    columns: dict | None = None
    missing: str = "refuse"
    scaling: str = "auto"
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | str | None = None
    weights: dict | None = None
    early_stopping: bool = knob(False, "see the docstring")
    validation_fraction: float = knob(0.1, "see the docstring", above=0, below=1)
    n_iter_no_change: int = knob(10, "see the docstring", at_least=1)
    n_seeds: int = knob(1, "see the docstring", at_least=1)
    warm_start: bool = knob(False, "see the docstring")
    config: dict | None = None
    random_state: Any = None
    verbose: int = 1

    objective: ClassVar[str]

    def __getattr__(self, name: str) -> Any:
        """Says of what is not there which systems have it, or that a fit makes it."""
        having, made = _having(name), name.endswith("_") and not name.startswith("_")
        hint = f": {', '.join(having)} have it" if having else ""
        ours = not having or type(self).__name__ in having
        if made and ours and "params_" not in vars(self):
            hint = ": call fit first"
        what = f"'{type(self).__name__}' object has no attribute '{name}'"
        raise AttributeError(what + hint, name=name, obj=self)

    def own_keys(self) -> dict[str, Any]:
        """Config keys of the parameters that only some systems have; None: default."""
        return {"model.latent_dim": self.latent_dim}

    def fit(self, X, y=None):
        """Trains on X `[n, d]`, `[n, H, W]` or `[n, H, W, C]`; y is not looked at.

        X may be a DataFrame of mixed columns; a path of a folder of images, a table or
        a NumPy file; or 'tfds:<name>', of which it is the training split.

        Raises
        ------
        ValueError, TypeError : X or a parameter cannot be used; says what to do.
        """
        with fitting(self):
            self._fit(self._read(X), None, 0)
        return self

    def _read(self, X: Any) -> Any:
        """X for a fit, read where it is a path or a name; see `inputs.read`."""
        return inputs.read(X, lambda: (self.config or {}).get("data.image_size"))

    def _image_size(self) -> Any:
        return config_lib.from_json(self._config).data.image_size

    def _fit(self, X: Any, labels: np.ndarray | None, num_labels: int) -> None:
        loop.enable_compilation_cache()
        say = print if self.verbose else lambda text: None
        networks = self.encoder, self.decoder, self.network
        config, dataset, scale = self._prepared(X, labels, num_labels)
        last = config.seed + self.n_seeds - 1
        if last > groups.MAX_SEED:
            raise ConfigError(
                f"seeds {config.seed} to {last}",
                "random_state and n_seeds",
                f"give a random_state of at most {groups.MAX_SEED - self.n_seeds + 1}",
            )
        self.decision_ = f"{dataset.decision}\n  epochs: {config.train.num_epochs}"
        say(self.decision_)
        start = self.params_ if self.goes_on() else None
        fits = []
        for number in range(self.n_seeds):
            own = config.copy_and_resolve_references()
            own.seed = config.seed + number
            fits.append(self._trained(own, dataset, start))
            say(fits[-1][1].reason)
        chosen = 0
        vars(self).pop("members_", None)
        if self.n_seeds > 1:
            chosen, self.members_ = bounds.choose(fits)
            seed = self.members_["seed"][chosen]
            say(f"seed {seed} of {self.n_seeds}: {self.members_['how']}")
        run, fitted = fits[chosen]
        self.adopt(run, fitted.params, scale, run.dataset.intake.scheme, networks)
        self.data_digest_ = digest.combined(digest.of_dataset(dataset))
        self.seed_, self.history_ = run.config.seed, fitted.history
        self.n_iter_, self.stop_reason_ = fitted.epochs, fitted.reason

    def _prepared(
        self, X: Any, labels: np.ndarray | None, num_labels: int
    ) -> tuple[ConfigDict, Dataset, scaling_lib.Scaling]:
        """The resolved config and the scaled data of the run that is asked for."""
        seed, scheme = settings.seed_of(self.random_state), None
        if self.goes_on():
            self._require_as_learned()
        if inputs.is_table(self, X):
            scheme = self._scheme if self.goes_on() else None
            frame = inputs.as_frame(self, X, scheme, least=2)
            away = self._held_out(len(frame), seed)
            if scheme is None:
                kept = np.setdiff1d(np.arange(len(frame)), away)
                scheme = inputs.learn(X, frame, kept, self.columns, self.missing)
            x = train = scheme.encode(frame, "X")
        else:
            x = inputs.as_images(self, X, reset=True)
            away = self._held_out(len(x), seed)
            train = np.delete(x, away, axis=0) if len(away) else x
        if self.goes_on() and (
            x.shape[1:] != self._spec.shape or scheme is not self._scheme
        ):
            raise ValueError(
                f"warm_start with X of another shape, {x.shape[1:]} in place of "
                f"{self._spec.shape}, or of other columns: keep the shape of the data, "
                "or start anew"
            )
        count, mixed = len(x) - len(away), scheme is not None
        given = self, x.shape[1:], count, seed, mixed
        config = settings.resolve(*given, columns=mixed)
        if scheme is not None:
            kind = config.data.scaling
            if kind not in ("auto", "standardize"):
                raise ValueError(
                    f"scaling={kind!r} is of arrays: the numeric columns of a table "
                    "are standardised; leave it 'auto'"
                )
            config_lib.check(config)
            options = config.data, num_labels, "table X", scheme
            dataset = arrays.from_arrays(x, labels, away, *options)
            config.data.likelihood = dataset.spec.likelihood
            return config, dataset, scaling_lib.UNCHANGED
        scale = self._chosen_scaling(config, train)
        if self.image_shape_ is None and scale.kind == "standardize":
            config = settings.resolve(*given, columns=True)
        config_lib.check(config)
        dataset = arrays.from_arrays(
            scale.stored(x),
            labels,
            away,
            config.data,
            num_labels,
            f"X, {scale.decision}",
            scale=scale,
        )
        config.data.scaling = scale.kind
        if scale.kind == "standardize":
            config.data.likelihood = dataset.spec.likelihood
        if self.goes_on() and dataset.spec.likelihood != self._spec.likelihood:
            raise ValueError(
                f"warm_start with X of another range, that of the likelihood "
                f"'{dataset.spec.likelihood}' in place of '{self._spec.likelihood}': "
                "keep the range of the data, or start anew"
            )
        return config, dataset, scale

    def _require_as_learned(self) -> None:
        """Raises ValueError where a fit that goes on could not heed a parameter."""
        for name, before in self._learned_by.items():
            if (now := getattr(self, name)) != before:
                raise ValueError(
                    f"warm_start with {name}={now!r} in place of {before!r}, by which "
                    "the data were looked at: give it as before, or start anew"
                )

    def _held_out(self, count: int, seed: int) -> np.ndarray:
        """Indices of the rows that are held out.

        Raises:
          ValueError: they leave a single one, of which nothing can be learned.
        """
        fraction = self.validation_fraction if self.early_stopping else 0.0
        away = arrays.held_out(count, fraction, seed)
        if count - len(away) < 2:
            raise ValueError(
                f"early_stopping with validation_fraction={fraction} leaves one of "
                f"{count} rows to train on: give more rows, or a smaller fraction"
            )
        return away

    def _chosen_scaling(
        self, config: ConfigDict, train: np.ndarray
    ) -> scaling_lib.Scaling:
        """That of the fit before, where this one goes on, else by the rows."""
        if self.goes_on():
            return self._scaling
        kind, likelihood = config.data.scaling, config.data.likelihood
        return scaling_lib.choose(train, kind, likelihood, self.image_shape_ is None)

    def goes_on(self) -> bool:
        """Whether a fit starts from what the one before it has learned."""
        return bool(self.warm_start) and hasattr(self, "params_")

    def _trained(
        self, config: ConfigDict, dataset: Dataset, start: Any
    ) -> tuple[Run, in_memory.Fitted]:
        """One run, shown as it goes on."""
        run = open_run(config, lambda text: None, dataset)
        patience = self.n_iter_no_change if self.early_stopping else None
        with contextlib.ExitStack() as shown:
            show = None
            if self.verbose:
                progress = in_memory.make_progress(run)
                shown.callback(progress.close)
                show = progress.show
            return run, in_memory.fit(run, patience, show, start)

    def adopt(
        self,
        run: Run,
        params: Any,
        scale: scaling_lib.Scaling,
        scheme: Scheme | None = None,
        networks: tuple[Any, Any, str] = (None, None, ""),
    ) -> None:
        """Takes over what a run has learned: parameters, and how x is brought to it.

        `networks`: encoder and decoder of one's own, or None, and the kind of the rest.
        """
        self._networks = networks
        self._config, self._spec = config_lib.to_json(run.config), run.dataset.spec
        self._scaling, self._scheme, self._trained_on = scale, scheme, None
        learned_by = {name: getattr(self, name) for name in _OF_THE_LOOK}
        self._learned_by = copy.deepcopy(learned_by)
        self.params_ = jax.tree.map(np.asarray, params)
        self._n_features_out = run.objective.latent_dim

    def trained_on(self, dataset: Dataset) -> None:
        """Of a run: X has to fit what it was trained on, as its new data have."""
        self._trained_on = dataset

    def transform(self, X):
        """Posterior means `[n, latent]`, of the most probable cluster where there are.

        Deterministic; float32.
        """
        return self._encoded(X).mean

    def inverse_transform(self, X):
        """What codes `[n, latent]` are decoded to: means of p(x | z), in x's range.

        Of a table a DataFrame in its own units; of a category the most probable one.
        """
        return self._original(self.decoded(X))

    def decoded(self, X) -> np.ndarray:
        """What codes `[n, latent]` are decoded to, as stored `[n, H, W, C]`."""
        check_is_fitted(self, "params_")
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} dims, but the codes of "
                f"{type(self).__name__} have {self._n_features_out}"
            )
        return decode_codes(self._run(), self._device_params(), codes)

    def score_samples(self, X):
        """Evidence lower bound of each row, nats `[n]`, of x as scaled.

        The single-sample bound of the objective, log p(x) >= E log p(x, z) / q(z | x)
        (clusters and classes are summed out), as the mean of 10 draws. The draws follow
        from `random_state` and the row's values: the same row has the same bound in any
        call. Sums over pixels or columns; a Bernoulli of grey values gives soft
        cross-entropy, a Gaussian the log-density of the scaled values.

        Warns
        -----
        UserWarning : rows so far from the training data that their bound is no number.
        """
        x = self._stored(X)
        found = rows.bounds(self._run(), self._device_params(), x, self.seed_)
        _warn_where(~np.isfinite(found), "bound")
        return found

    def score(self, X, y=None):
        """Mean of `score_samples`, nats a row; higher is better. y is not looked at."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples=1, cluster=None, random_state=None):
        """Decoder means of draws from the prior, in the range and shape of X.

        Of a table a DataFrame of draws of p(x | z), new rows as the training rows were.

        Parameters
        ----------
        n_samples : int
        cluster : int or None
            Of which cluster (NVAE: class); None: of any.
        random_state : int, RandomState or None
            None: that of the estimator, so that equal calls give equal samples.
        """
        rows = self.drawn(n_samples, cluster, random_state)
        if self._scheme is not None:
            return self._scheme.decode(rows, drawn=True)
        return self._original(rows)

    def drawn(self, n_samples: int, cluster=None, random_state=None) -> np.ndarray:
        """The same as stored `[n, H, W, C]`."""
        check_is_fitted(self, "params_")
        n_samples = settings.whole(n_samples, "n_samples", 1)
        run = self._run()
        number = self._cluster_number(cluster, run)
        with value_errors():
            drawn_by = self.seed_ if random_state is None else random_state
            seed = settings.seed_of(drawn_by)

        def make():
            objective, count = run.objective, _DRAWN_AT_ONCE

            def draw(params, key, cluster):
                if not run.dataset.spec.blocks:
                    return objective.sample(key, params, count, cluster)
                return tabular.draw(key, objective, params, count, cluster)

            return seldom(draw)

        draw = run.kept("sample", make)
        key, params = jax.random.key(seed), self._device_params()
        parts = [
            np.asarray(draw(params, jax.random.fold_in(key, part), number))
            for part in range(-(-n_samples // _DRAWN_AT_ONCE))
        ]
        return np.concatenate(parts)[:n_samples]

    def save(self, folder, formats=()) -> None:
        """Writes the model to a folder, without pickle; `infovae_jax.load` reads it.

        Parameters
        ----------
        folder : path
        formats : sequence of 'stablehlo' and 'onnx'
            Programs beside it; see docs/export.md.
        """
        check_is_fitted(self, "params_")
        saving.save(self, folder, formats)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # codes are float32
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "params_")

    def _run(self) -> Run:
        """The run as far as codes and samples need it; its data are gone."""
        return settings.make_run(self._config, self._spec, self._networks)

    def _device_params(self) -> Any:
        return jax.device_put(self.params_)

    def _stored(self, X) -> np.ndarray:
        """X as the model takes it; what is so already, of a table, is left alone."""
        check_is_fitted(self, "params_")
        with value_errors():
            X = inputs.read(X, self._image_size, self._scheme)
        if self._scheme is None:
            with value_errors():
                x = inputs.as_images(self, X, reset=False)
                if self._trained_on is None:
                    images = self.image_shape_ is not None
                    return self._scaling.known(x, self._spec.likelihood, images)
                return new_rows.as_stored(x, self._trained_on, "X")
        if isinstance(X, np.ndarray) and X.shape[1:] == self._spec.shape:
            return X
        with value_errors():
            frame = inputs.as_frame(self, X, self._scheme)
            return self._scheme.encode(frame, "X")

    def _encoded(self, X) -> Encoded:
        return self._encoded_as_stored(self._stored(X))

    def _encoded_as_stored(self, x: np.ndarray) -> Encoded:
        found = encode_split(self._run(), self._device_params(), x)
        _warn_where(~np.isfinite(found.mean).all(-1), "code")
        return found

    def _original(self, images: np.ndarray) -> Any:
        if self._scheme is not None:
            return self._scheme.decode(images)
        return inputs.as_given(self, self._scaling.original(images))

    def _cluster_number(self, cluster, run: Run) -> int | None:
        if cluster is None:
            return None
        if run.objective.classify is None:
            raise ValueError(
                f"cluster={cluster!r}: {type(self).__name__} has no clusters, as "
                f"{', '.join(_having('predict'))} have; leave it out"
            )
        last = len(run.objective.prior.mean) - 1
        return settings.whole(cluster, "cluster", 0, last)
