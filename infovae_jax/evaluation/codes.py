"""What the parts of a code are worth: information, rate, and what they follow.

Every function takes codes or an objective with parameters and gives plain numbers, in
nats where they are information. Empty or unlike arrays are a DataError, NaN and
infinity a MetricError; both name metric and argument.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from infovae_jax.data import batches
from infovae_jax.distributions import (
    LOG_2PI,
    Gaussian,
    gaussian_kl_per_dim,
    gaussian_log_prob,
    gaussian_sample,
)
from infovae_jax.evaluation import checks
from infovae_jax.training.programs import seldom
from infovae_jax.types import CodePart, Objective

RIDGE = 1e-3
# Codes decoded at once, and of how many the densities are held at once: figures and
# pictures take equal numbers, so that each is one program.
DECODED, COMPARED = 256, 64
# Nats below log n within which the information of n examples is out of sight: there
# the upper bound is off by 1.5 nats and more, see bias_table.
SATURATED = 1.0
# One program each where all operations would be one.
_kl_per_dim, _drawn = jax.jit(gaussian_kl_per_dim), jax.jit(gaussian_sample)


def _check_posteriors(metric: str, mean, log_var) -> None:
    checks.matrix(mean, metric, "mean")
    checks.matrix(log_var, metric, "log_var")
    checks.same_length(metric, mean=mean, log_var=log_var)
    checks.same_width(metric, mean=mean, log_var=log_var)


def part_slices(objective: Objective) -> dict[str, tuple[slice, CodePart]]:
    """Name -> (dims, part) of the code's parts; one part 'z' where it has none.

    A part of no dims (an N-VAE without class factors) is left out.
    """
    parts = objective.code_parts or (CodePart("z", objective.latent_dim),)
    ends = np.cumsum([part.size for part in parts])
    return {
        part.name: (slice(int(end) - part.size, int(end)), part)
        for part, end in zip(parts, ends, strict=True)
        if part.size
    }


def rate_per_dim(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """Mean KL(q(z_j | x) || N(0, 1)) per dimension over the examples, `[d]` nats.

    Args:
      mean: posterior means `[n, d]`.
      log_var: log-variances `[n, d]`.
    """
    _check_posteriors("rate per dim", mean, log_var)
    return _rates(mean, log_var).mean(0)


def _rates(mean: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """KL of each posterior and dim to N(0, 1), `[n, d]` nats."""
    standard = Gaussian(np.zeros(1), np.zeros(1))
    return np.asarray(_kl_per_dim(Gaussian(mean, log_var), standard))


def active_units(means: np.ndarray, threshold: float = 0.01) -> int:
    """Number of dims j with Var_x(E_q(z | x)[z_j]) > threshold (arXiv 1509.00519).

    Args:
      means: posterior means `[n, d]`.
      threshold: variance above which a dim counts.

    Raises:
      DataError: no examples; MetricError: a value that is not finite.
    """
    means = checks.matrix(means, "active units", "means")
    return int((np.var(means, axis=0) > threshold).sum())


class InformationBounds(NamedTuple):
    """Information of x in a code over n examples, nats.

    Attributes:
      lower: with each example's own posterior in the mixture; never above log n.
      upper: without it; None where the lower bound is within SATURATED of log n: the
        examples cannot tell how much more there is.
      aggregate_kl: KL(q(z) || N(0, I)) = rate - I, from the lower bound, hence from
        above; None in the same case.
      log_n: log n.
    """

    lower: float
    upper: float | None
    aggregate_kl: float | None
    log_n: float


def information_bounds(
    mean: np.ndarray, log_var: np.ndarray, key, chunk: int = COMPARED
) -> InformationBounds:
    """I_q(x; z) of the given examples from both sides, one code each.

    mean_i [log q(z_i | x_i) - log (1/n) sum_j q(z_i | x_j)] is below the information
    that the law of the data has, and its leave-one-out form above (Poole et al. 2019,
    arXiv 1905.06922, equations 12 and 13), with the posteriors themselves as critic.

    Args:
      mean: posterior means `[n, d]`.
      log_var: log-variances `[n, d]`.
      key: PRNG key of the codes.
      chunk: examples whose n densities are held at once.
    """
    _check_posteriors("information bounds", mean, log_var)
    count = len(mean)
    rate = float(rate_per_dim(mean, log_var).sum())
    q = Gaussian(jnp.asarray(mean), jnp.asarray(log_var))
    z = np.asarray(_drawn(key, q))
    sides = batches.map_batches(
        lambda rows: _against_all(q, z[rows], rows), np.arange(count), chunk
    )
    lower, upper = (float(side.mean()) for side in sides)
    log_n = float(np.log(count))
    if lower > log_n - SATURATED:
        return InformationBounds(lower, None, None, log_n)
    return InformationBounds(lower, upper, rate - lower, log_n)


@jax.jit
def _against_all(q: Gaussian, codes, numbers):
    """Codes of the examples `numbers` against every posterior of q: both bounds."""
    count = len(q.mean)
    log_q = jax.vmap(lambda code: gaussian_log_prob(q, code[None]))(codes)
    paired = jnp.take_along_axis(log_q, numbers[:, None], axis=-1)[:, 0]
    others = jnp.where(jnp.arange(count)[None] == numbers[:, None], -jnp.inf, log_q)
    mixture = jax.nn.logsumexp(log_q, axis=-1) - jnp.log(count)
    without = jax.nn.logsumexp(others, axis=-1) - jnp.log(max(count - 1, 1))
    return paired - mixture, paired - without


def total_correlation(
    mean: np.ndarray, log_var: np.ndarray, key, chunk: int = 32
) -> float:
    """KL(q(z) || prod_j q(z_j)) of the aggregate posterior of n examples, nats.

    Both densities are exact mixtures of the n posteriors; one code per example. Zero
    for independent dimensions (Chen et al. 2018, arXiv 1802.04942).
    """
    _check_posteriors("total correlation", mean, log_var)
    mean, log_var = jnp.asarray(mean), jnp.asarray(log_var)
    z = np.asarray(_drawn(key, Gaussian(mean, log_var)))

    @seldom
    def rows(codes):
        square = (codes[:, None] - mean[None]) ** 2 * jnp.exp(-log_var)[None]
        log_q = -0.5 * (square + log_var[None] + LOG_2PI)
        joint = jax.nn.logsumexp(log_q.sum(-1), axis=1)
        single = jax.nn.logsumexp(log_q, axis=1)
        log_n = jnp.log(len(mean))
        return joint - log_n - (single - log_n).sum(-1)

    return float(batches.map_batches(rows, z, chunk).mean())


def gaussian_channel_information(codes: np.ndarray, found: np.ndarray) -> np.ndarray:
    """A lower bound on I(z_j; found_j) of each dim from pairs, `[d]` nats.

    1/2 log (Var z_j / Var residual), the residual of the linear regression of z_j on
    what was found: the Barber-Agakov bound with a Gaussian auxiliary of the best mean
    and variance, for Gaussian z_j.

    Args:
      codes: `[n, d]`.
      found: `[n, d]`, what an encoder made of them. A constant dim of either has 0.
    """
    metric = "channel information"
    codes = checks.matrix(codes, metric, "codes")
    found = checks.matrix(found, metric, "found")
    checks.same_length(metric, codes=codes, found=found)
    checks.same_width(metric, codes=codes, found=found)
    centred = codes - codes.mean(0)
    regressor = found - found.mean(0)
    covariance = (centred * regressor).mean(0)
    spread = (regressor**2).mean(0)
    slope = covariance / np.maximum(spread, np.finfo(np.float32).tiny)
    variance = (centred**2).mean(0)
    residual = ((centred - slope * regressor) ** 2).mean(0)
    tiny = np.finfo(np.float32).tiny
    return 0.5 * np.log(np.maximum(variance, tiny) / np.maximum(residual, tiny))


def generated_information(
    objective: Objective, params, key, num: int = 4096, chunk: int = 256
) -> np.ndarray:
    """Lower bound on I(z_j; x') of each dim in nats, `[d]`, over what is generated.

    Codes from the prior (a code without prior: from its fitted density), x' drawn
    from p(x | z), and the posterior mean of x' against the code that made it, by
    `gaussian_channel_information`. The same yardstick for codes with noise and
    without; it does not depend on the scale of a dim.
    """

    @seldom
    def pairs(params, key):
        key_z, key_x = jax.random.split(key)
        z = objective.sample_code(key_z, params, chunk)
        return z, objective.encode(params, objective.draw(key_x, params, z)).mean

    parts = [pairs(params, jax.random.fold_in(key, i)) for i in range(-(-num // chunk))]
    codes, means = map(np.concatenate, zip(*parts, strict=True))
    return gaussian_channel_information(codes, means)


def decoded(objective: Objective, params, codes, chunk: int = DECODED) -> np.ndarray:
    """Decoder means of codes `[n, d]`; one program however many there are."""
    decode = functools.partial(seldom(objective.decode), params)
    return batches.map_batches(decode, np.asarray(codes), chunk, pad=True)


def _squared_error(objective: Objective, params, x, codes, chunk: int) -> float:
    """Of the decoder means of codes beside images x, a mean over them of a sum."""
    total = 0.0
    for i in range(0, len(x), chunk):
        images = decoded(objective, params, codes[i : i + chunk], chunk)
        total += float(((images - x[i : i + chunk]) ** 2).sum(dtype=np.float64))
    return total / len(x)


class Reconstruction(NamedTuple):
    """How near decoder means at posterior means come to the images.

    Attributes:
      squared_error: sum |x - decode(mean)|^2 over an image, mean over images.
      explained: 1 less its share of the squared error of the images' mean: below 0
        where that mean would do better. None where the images do not differ.
    """

    squared_error: float
    explained: float | None


def reconstruction(
    objective: Objective, params, x: np.ndarray, mean: np.ndarray, chunk: int = DECODED
) -> Reconstruction:
    """How near images `x` are to what the decoder makes of their codes.

    Args:
      objective: gives `decode`.
      params: its parameters.
      x: images as the model sees them, `[n, H, W, C]`.
      mean: their posterior means `[n, d]`.
      chunk: images decoded at once.
    """
    error = _squared_error(objective, params, x, mean, chunk)
    spread = float(((x - x.mean(0)) ** 2).sum(dtype=np.float64)) / len(x)
    # Rounding leaves a little of images that are alike.
    if spread <= 1e-12 * float((x.astype(np.float64) ** 2).mean() + 1.0):
        return Reconstruction(error, None)
    return Reconstruction(error, 1.0 - error / spread)


def masked_errors(
    objective: Objective, params, x: np.ndarray, mean: np.ndarray, chunk: int = DECODED
) -> dict[str, float]:
    """Squared error of reconstructions from some parts of the code, sum over pixels.

    Args:
      objective: with at least two parts.
      params: its parameters.
      x: images as the model sees them, `[n, H, W, C]`.
      mean: their posterior means `[n, d]`.
      chunk: images decoded at once.

    Returns:
      'all', and for each part '<name>_only': the other parts at their mean over the
      examples.
    """
    average = mean.mean(0)

    def error(codes):
        return _squared_error(objective, params, x, codes, chunk)

    errors = {"all": error(mean)}
    for name, (dims, _) in part_slices(objective).items():
        codes = np.tile(average, (len(mean), 1)).astype(mean.dtype)
        codes[:, dims] = mean[:, dims]
        errors[f"{name}_only"] = error(codes)
    return errors


def linear_r2(
    train_codes: np.ndarray,
    train_factor: np.ndarray,
    test_codes: np.ndarray,
    test_factor: np.ndarray,
) -> float:
    """R^2 on the test split of a ridge regression of a factor on codes `[n, d]`.

    0 for a factor that is constant on the test split: there is nothing to explain.
    """
    metric = "linear R^2"
    train_codes = checks.matrix(train_codes, metric, "train_codes")
    test_codes = checks.matrix(test_codes, metric, "test_codes")
    train_factor = checks.vector(train_factor, metric, "train_factor")
    test_factor = checks.vector(test_factor, metric, "test_factor")
    checks.same_length(metric, train_codes=train_codes, train_factor=train_factor)
    checks.same_length(metric, test_codes=test_codes, test_factor=test_factor)
    checks.same_width(metric, train_codes=train_codes, test_codes=test_codes)
    centre, spread = train_codes.mean(0), train_codes.std(0) + 1e-8
    a = (train_codes - centre) / spread
    b = (test_codes - centre) / spread
    target = train_factor - train_factor.mean()
    weights = np.linalg.solve(
        a.T @ a + RIDGE * len(a) * np.eye(a.shape[1]), a.T @ target
    )
    left = test_factor - train_factor.mean() - b @ weights
    total = ((test_factor - test_factor.mean()) ** 2).sum()
    return float(1.0 - (left**2).sum() / total) if total > 0 else 0.0


def correlations(codes: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """|Pearson correlation| per dimension with a factor, `[d]`; 0 if constant."""
    codes = checks.matrix(codes, "correlations", "codes")
    factor = checks.vector(factor, "correlations", "factor")
    checks.same_length("correlations", codes=codes, factor=factor)
    centred = codes - codes.mean(0)
    values = factor - factor.mean()
    norm = np.sqrt((centred**2).sum(0) * (values**2).sum())
    return np.abs(centred.T @ values) / np.maximum(norm, np.finfo(np.float32).tiny)


def kl_by_class(
    mean: np.ndarray, log_var: np.ndarray, labels: np.ndarray, num_classes: int
) -> np.ndarray:
    """`rate_per_dim` over the examples of each class, `[L, d]`; nan for an absent one.

    A dim whose KL is above some threshold only in one class holds a factor of that
    class (Antoran & Miguel 2019).
    """
    _check_posteriors("KL by class", mean, log_var)
    labels = checks.integers(labels, "KL by class", "labels")
    checks.same_length("KL by class", mean=mean, labels=labels)
    rates = _rates(mean, log_var)
    rows = [
        rates[labels == label].mean(0)
        if (labels == label).any()
        else np.full(mean.shape[1], np.nan)
        for label in range(num_classes)
    ]
    return np.stack(rows)
