"""Contract functions, compiled and not, against references in NumPy and SciPy."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized
from scipy import integrate, special, stats

from infovae_jax import distributions, information, priors
from infovae_jax.distributions import (
    Bernoulli,
    Categorical,
    Gaussian,
    Logistic,
    cluster_gaussians,
    running_gaussian,
)
from infovae_jax.distributions.cluster_gaussians import ShiftedGaussians
from infovae_jax.objectives import _rao_blackwell, catvae, infocatvae, iwae, n_vae

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def gaussian(*shape):
    return Gaussian(normal(*shape), 0.5 * normal(*shape))


def scipy_log_prob(q, z):
    scale = np.exp(0.5 * np.asarray(q.log_var, np.float64))
    return stats.norm.logpdf(np.asarray(z), np.asarray(q.mean), scale).sum(-1)


class Distributions(chex.TestCase):
    """Densities, divergences and draws."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_gaussian_log_prob(self):
        q, z = gaussian(3, 5), normal(3, 5)
        found = self.variant(distributions.gaussian_log_prob)(q, z)
        chex.assert_shape(found, (3,))
        np.testing.assert_allclose(found, scipy_log_prob(q, z), rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_gaussian_kl(self):
        q, p = gaussian(3, 5), gaussian(3, 5)
        z = self.variant(distributions.gaussian_kl)(q, p)
        mean, var = np.asarray(q.mean) - np.asarray(p.mean), np.exp(q.log_var)
        ratio = np.asarray(q.log_var - p.log_var, np.float64)
        expected = 0.5 * (mean**2 / np.exp(p.log_var) + np.exp(ratio) - 1 - ratio)
        np.testing.assert_allclose(z, expected.sum(-1), rtol=1e-5)
        assert (var > 0).all()

    @chex.variants(with_jit=True, without_jit=True)
    def test_gaussian_kl_to_itself_is_zero(self):
        q = gaussian(4, 7)
        kl = self.variant(distributions.gaussian_kl)(q, q)
        chex.assert_trees_all_close(kl, jnp.zeros(4), atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_gaussian_sample_moves_with_its_parameters(self):
        q = gaussian(2, 3)
        sample = self.variant(distributions.gaussian_sample)
        wider = Gaussian(q.mean, q.log_var + 2 * math.log(2.0))
        far, near = sample(KEY, wider) - q.mean, sample(KEY, q) - q.mean
        chex.assert_trees_all_close(far, 2.0 * near, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_gaussian_entropy(self):
        q = gaussian(3, 4)
        scale = np.exp(0.5 * np.asarray(q.log_var, np.float64))
        expected = stats.norm.entropy(scale=scale).sum(-1)
        entropy = self.variant(distributions.gaussian_entropy)(q)
        np.testing.assert_allclose(entropy, expected, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_logistic_log_prob(self):
        p = Logistic(normal(3, 5), jnp.full((3, 5), 0.7))
        z = 4 * normal(3, 5)
        expected = stats.logistic.logpdf(np.asarray(z), np.asarray(p.loc), 0.7).sum(-1)
        found = self.variant(distributions.logistic_log_prob)(p, z)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_logistic_log_prob_far_out(self):
        p = Logistic(jnp.zeros(1), jnp.ones(1))
        value = self.variant(distributions.logistic_log_prob)(p, jnp.array([1e4]))
        chex.assert_tree_all_finite(value)
        np.testing.assert_allclose(value, -1e4, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_gaussian_logistic_kl(self):
        q = Gaussian(jnp.array([1.0]), jnp.array([math.log(0.25)]))
        p = Logistic(jnp.zeros(1), jnp.full(1, priors.UNIT_LOGISTIC))
        found = self.variant(distributions.gaussian_logistic_kl)(q, p)
        np.testing.assert_allclose(found, 0.8974332, atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_bernoulli_log_prob_of_any_logit(self):
        logits = jnp.array([-1e4, -3.0, 0.0, 5.0, 1e4])
        x = jnp.array([0.0, 1.0, 0.3, 1.0, 1.0])
        found = self.variant(distributions.bernoulli_log_prob)(Bernoulli(logits), x)
        exact = np.array([0.0, special.log_expit(-3.0), -math.log(2), 0, 0])
        exact[3] = special.log_expit(5.0)
        np.testing.assert_allclose(found, exact.sum(), rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_softplus_and_its_gradient(self):
        logits = jnp.array([-50.0, -1.0, 0.0, 2.0, 50.0])
        both = jax.vmap(jax.value_and_grad(distributions.softplus))
        value, slope = self.variant(both)(logits)
        np.testing.assert_allclose(value, np.logaddexp(0, logits), rtol=1e-5)
        np.testing.assert_allclose(slope, special.expit(logits), rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_categorical_kl_uniform_ends(self):
        logits = jnp.array([[0.0, 0.0, 0.0, 0.0], [1e4, 0.0, 0.0, 0.0]])
        kl = self.variant(distributions.categorical_kl_uniform)(Categorical(logits))
        np.testing.assert_allclose(kl, [0.0, math.log(4)], atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_categorical_entropy(self):
        logits = normal(3, 6)
        expected = stats.entropy(special.softmax(logits, -1), axis=-1)
        entropy = self.variant(distributions.categorical_entropy)(Categorical(logits))
        np.testing.assert_allclose(entropy, expected, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_relaxed_one_hot_is_on_the_simplex(self):
        draw = self.variant(distributions.relaxed_one_hot, static_argnums=3)
        for straight_through in (False, True):
            point = draw(KEY, jnp.asarray(normal(5, 4)), 0.5, straight_through)
            chex.assert_shape(point, (5, 4))
            chex.assert_trees_all_close(point.sum(-1), jnp.ones(5), rtol=1e-5)


class Clusters(chex.TestCase):
    """K posteriors of one example at once."""

    def shifted(self, clusters=40, dims=6):
        return ShiftedGaussians(
            gaussian(3, dims), jax.tree.map(lambda a: 0.3 * a, gaussian(clusters, dims))
        )

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters((4, 2, 3.0), (3, 5, 0.5))
    def test_cluster_means_are_orthogonal(self, clusters, sub_dim, separation):
        means = self.variant(priors.cluster_means, static_argnums=(0, 1, 2))(
            clusters, sub_dim, separation
        )
        gram = separation**2 * sub_dim * jnp.eye(clusters)
        chex.assert_trees_all_close(means @ means.T, gram, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_kl_per_cluster_is_cluster_by_cluster(self):
        q, prior = gaussian(5, 8), gaussian(5, 8)
        found = self.variant(catvae.kl_per_cluster)(q, prior)
        each = [
            distributions.gaussian_kl(
                *(Gaussian(p.mean[c], p.log_var[c]) for p in (q, prior))
            )
            for c in range(5)
        ]
        chex.assert_trees_all_close(found, jnp.stack(each), rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_many_shifted_posteriors_as_products(self):
        q = self.shifted()
        prior = Gaussian(jnp.asarray(normal(40, 6)), jnp.zeros((40, 6)))
        found = self.variant(lambda q: catvae.kl_per_cluster(q, prior))(q)
        plain = catvae.kl_per_cluster(cluster_gaussians.components(q), prior)
        chex.assert_trees_all_close(found, plain, rtol=1e-4, atol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_log_prob_per_cluster(self):
        q, z = self.shifted(), normal(3, 6)
        found = self.variant(cluster_gaussians.log_prob_per_cluster)(q, z)
        every = cluster_gaussians.components(q)
        expected = scipy_log_prob(every, z[:, None])
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(3, 40)
    def test_mixture_log_prob(self, clusters):
        prior = priors.clusters(clusters, 2, 3.0)
        z = normal(2 * clusters)
        found = self.variant(cluster_gaussians.mixture_log_prob(prior))(z)
        each = scipy_log_prob(prior, z)
        expected = special.logsumexp(each) - math.log(clusters)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_sample_mixture_knows_its_density(self):
        q, logits = gaussian(4, 3), jnp.asarray(normal(4))
        z, log_q = self.variant(cluster_gaussians.sample_mixture)(KEY, logits, q)
        log_w = special.log_softmax(logits)
        expected = special.logsumexp(log_w + scipy_log_prob(q, np.asarray(z)))
        np.testing.assert_allclose(log_q, expected, rtol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_take_gives_the_named_components(self):
        q, c = self.shifted(), jnp.array([[0, 3], [39, 1], [7, 7]])
        found = self.variant(cluster_gaussians.take)(q, c)
        plain = self.variant(cluster_gaussians.take)(cluster_gaussians.components(q), c)
        chex.assert_trees_all_close(found, plain, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_all_clusters_on_top_are_the_whole_sum(self):
        logits, values = normal(2, 4), normal(2, 4)

        def estimate(logits, values):
            chosen = _rao_blackwell.choose(KEY, logits, 3, 1)
            picked = jnp.take_along_axis(values, chosen.clusters, -1)
            return _rao_blackwell.estimate(chosen, picked)

        found = self.variant(estimate)(logits, values)
        exact = (jax.nn.softmax(logits) * values).sum(-1)
        chex.assert_trees_all_close(found, exact, rtol=1e-4)


class Information(chex.TestCase):
    """Balance, MMD and bounds."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_balance(self):
        logits = normal(50, 5)
        mean = special.softmax(logits, -1).mean(0)
        found = self.variant(information.balance)(jnp.asarray(logits))
        np.testing.assert_allclose(
            found, math.log(5) - stats.entropy(mean), rtol=1e-4, atol=1e-6
        )

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(*information.KERNELS)
    def test_mmd_of_a_sample_with_itself(self, kernel):
        x = jnp.asarray(normal(20, 3))
        mmd = self.variant(lambda a, b: information.mmd(a, b, kernel, unbiased=False))
        np.testing.assert_allclose(mmd(x, x), 0.0, atol=1e-6)
        assert mmd(x, x + 3.0) > 0.01

    @chex.variants(with_jit=True, without_jit=True)
    def test_mmd_does_not_see_order_or_place(self):
        x, y = jnp.asarray(normal(15, 4)), jnp.asarray(normal(12, 4))
        mmd = self.variant(information.mmd)
        moved = mmd(x[::-1] + 5.0, y + 5.0)
        chex.assert_trees_all_close(mmd(x, y), moved, atol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    def test_reclassification_of_no_knowledge(self):
        logits, labels = jnp.zeros((6, 10)), jnp.arange(6)
        loss = self.variant(infocatvae.reclassification_loss, static_argnums=2)
        for double_softmax in (False, True):
            value = loss(logits, labels, double_softmax)
            np.testing.assert_allclose(value, math.log(10), rtol=1e-6)
        sure = 1e3 * jax.nn.one_hot(labels, 10)
        np.testing.assert_allclose(loss(sure, labels, True), 1.46115, atol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_tightening_is_zero_for_one_sample_and_never_above(self):
        tightening = self.variant(iwae.tightening)
        log_w = jnp.asarray(5 * normal(7, 4))
        assert float(tightening(log_w).max()) <= 0
        chex.assert_trees_all_close(tightening(log_w[:, :1]), jnp.zeros(7), atol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_gate_leaves_one_block(self):
        z_c = jnp.asarray(normal(3, 2))
        gated = self.variant(n_vae.gate)(z_c, jnp.asarray(1))
        expected = np.zeros(9)
        expected[3:6] = [1.0, *np.asarray(z_c)[1]]
        np.testing.assert_allclose(gated, expected)
        chex.assert_trees_all_close(gated, n_vae.gate(z_c, jnp.eye(3)[1]), rtol=1e-6)


class Priors(chex.TestCase):
    """The factorised priors, and the Gaussian fitted to a code without one."""

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(*priors.PRIORS)
    def test_density_integrates_to_one(self, name):
        prior = priors.make_prior(name, 1)
        grid = np.linspace(-30, 30, 6001, dtype=np.float32)
        log_p = self.variant(jax.vmap(prior.log_prob))(grid[:, None])
        mass = integrate.trapezoid(np.exp(np.asarray(log_p, np.float64)), grid)
        np.testing.assert_allclose(mass, 1.0, rtol=1e-4)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters(*priors.PRIORS)
    def test_draws_have_the_moments(self, name):
        prior = priors.make_prior(name, 2)
        draws = self.variant(prior.sample, static_argnums=1)(KEY, (20_000, 2))
        np.testing.assert_allclose(draws.mean(0), 0.0, atol=0.03)
        np.testing.assert_allclose(draws.var(0), prior.variance, rtol=0.05)

    @chex.variants(with_jit=True, without_jit=True)
    def test_running_gaussian_after_one_batch_is_that_of_the_batch(self):
        codes = jnp.asarray(normal(500, 2) @ np.array([[1.0, 0.4], [0.0, 0.5]]))
        moments = self.variant(running_gaussian.update)(running_gaussian.init(2), codes)
        mean, factor = running_gaussian.mean_and_factor(moments)
        np.testing.assert_allclose(mean, codes.mean(0), atol=1e-5)
        covariance = np.cov(np.asarray(codes).T, bias=True)
        np.testing.assert_allclose(factor @ factor.T, covariance, rtol=1e-3)

    @chex.variants(with_jit=True, without_jit=True)
    def test_running_gaussian_log_prob(self):
        codes = jnp.asarray(normal(500, 2))
        moments = running_gaussian.update(running_gaussian.init(2), codes)
        mean, factor = running_gaussian.mean_and_factor(moments)
        z = normal(4, 2)
        found = self.variant(running_gaussian.log_prob)(moments, z)
        exact = stats.multivariate_normal(mean, np.asarray(factor @ factor.T))
        np.testing.assert_allclose(found, exact.logpdf(z), rtol=1e-4)
