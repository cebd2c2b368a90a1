"""The full recipes as eager PyTorch modules; only for `--peers`.

A module reads like the loss of its paper: `draw` is all that is random in a step,
`terms` what follows from it, by the names of our terms, in nats, means over the batch.
Their networks, draws, terms and weights are those of our objectives.
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call, grad
from torch.nn import functional

from infovae_jax.benchmark.cases import BATCH_NORM, NUM_LABELS, RECIPE
from infovae_jax.benchmark.torch_models import (
    BatchNorm,
    cross_entropy,
    kl_per_dim,
    make_decoder,
    make_encoder,
    mmd,
    start_like_ours,
)

_LOG_2PI = math.log(2.0 * math.pi)
# Below it a gradient has no direction.
_NO_LENGTH = 1e-19


class Recipe(nn.Module):
    """Encoder, a Gaussian head and a decoder; the loss is a weighted sum of terms.

    Args:
      case: what is computed.
      settings: from `cases.peer_settings`.
      posterior_dim: numbers of the code that have a posterior.
      code_dim: numbers that the decoder takes.
    """

    def __init__(self, case, settings: dict, posterior_dim: int, code_dim: int):
        super().__init__()
        self.settings = settings
        self.encoder, self.num_features = make_encoder(case, settings)
        self.head = nn.Linear(self.num_features, 2 * posterior_dim)
        self.decoder = make_decoder(case, settings | {"latent_dim": code_dim})
        self.posterior_dim = posterior_dim

    def draw(self, x: torch.Tensor):
        """The noise of a step: of the posterior, `[B, d]`."""
        return torch.randn(len(x), self.posterior_dim, device=x.device)

    def terms(self, x: torch.Tensor, label, draws) -> dict[str, torch.Tensor]:
        """Unweighted terms of a batch `[B, C, H, W]`."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor, label=None) -> torch.Tensor:
        """The loss of a batch."""
        terms = self.terms(x, label, self.draw(x))
        weights = self.settings["weights"]
        return sum(weights[name] * term for name, term in terms.items())

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of q(z | x)."""
        return self.head(self.encoder(x)).chunk(2, -1)

    def distortion(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """-log p(x | z)."""
        return cross_entropy(self.decoder(z).flatten(1), x.flatten(1)).mean()


def sample(mean, log_var, noise) -> torch.Tensor:
    """Reparameterised."""
    return mean + torch.exp(0.5 * log_var) * noise


class PriorRecipe(Recipe):
    """Of a code that has a posterior throughout; draws as many codes of its prior."""

    def __init__(self, case, settings: dict):
        d = settings["latent_dim"]
        super().__init__(case, settings, d, d)

    def draw(self, x):
        return super().draw(x), super().draw(x)


class MIVAE(PriorRecipe):
    """A VAE, and a bound on what x' = decoder(z) tells of the last dims of z."""

    def terms(self, x, label, draws):
        noise, prior = draws
        mean, log_var = self.encode(x)
        generated = torch.sigmoid(self.decoder(prior)).view_as(x)
        informative = self.settings["informative_dims"]
        z, m, v = (part[:, -informative:] for part in (prior, *self.encode(generated)))
        log_q = -0.5 * (_LOG_2PI + v + (z - m) ** 2 * torch.exp(-v))
        bound = 0.5 * (_LOG_2PI + 1.0) * informative + log_q.sum(-1).mean()
        return {
            "reconstruction": self.distortion(x, sample(mean, log_var, noise)),
            "kl_z": kl_per_dim(mean, log_var).sum(-1).mean(),
            "information": -bound,
        }


class VIMAE(PriorRecipe):
    """Reconstruction, and the distance of the codes to as many of the prior."""

    def terms(self, x, label, draws):
        noise, prior = draws
        mean, log_var = self.encode(x)
        z = sample(mean, log_var, noise)
        return {
            "reconstruction": self.distortion(x, z),
            "kl_z": kl_per_dim(mean, log_var).sum(-1).mean(),
            "mmd": mmd(z.float(), prior, self.settings["kernel"]),
        }


class InfomaxVAE(Recipe):
    """A VAE with a free code c beside z, of which running moments are kept."""

    def __init__(self, case, settings: dict):
        d, free = settings["latent_dim"], settings["code_dim"]
        super().__init__(case, settings, d, d + free)
        self.code = nn.Linear(self.num_features, free)
        self.register_buffer("mean", torch.zeros(free))
        self.register_buffer("square", torch.zeros(free, free))
        self.register_buffer("weight", torch.zeros(()))

    def terms(self, x, label, noise):
        h = self.encoder(x)
        mean, log_var = self.head(h).chunk(2, -1)
        c = self.code(h)
        self._remember(c.detach().float())
        code = torch.cat([sample(mean, log_var, noise), c], -1)
        return {
            "reconstruction": self.distortion(x, code),
            "kl_z": kl_per_dim(mean, log_var).sum(-1).mean(),
        }

    def _remember(self, c: torch.Tensor) -> None:
        self.mean.lerp_(c.mean(0), 0.01)
        self.square.lerp_(c.T @ c / len(c), 0.01)
        self.weight.lerp_(torch.ones_like(self.weight), 0.01)


class NVAE(Recipe):
    """Factors that all classes share, factors of one, and a classifier; labels known.

    The decoder sees z_s and, class by class, [1, z_c] times the one-hot label.
    """

    def __init__(self, case, settings: dict):
        self.sizes = [settings["latent_dim"], NUM_LABELS * settings["class_dim"]]
        posterior_dim = sum(self.sizes)
        super().__init__(case, settings, posterior_dim, posterior_dim + NUM_LABELS)
        self.classifier = nn.Linear(self.num_features, NUM_LABELS)

    def terms(self, x, label, noise):
        h = self.encoder(x)
        mean, log_var = self.head(h).chunk(2, -1)
        z_s, z_c = sample(mean, log_var, noise).split(self.sizes, -1)
        blocks = z_c.unflatten(-1, (NUM_LABELS, -1))
        blocks = torch.cat([torch.ones_like(blocks[..., :1]), blocks], -1)
        active = functional.one_hot(label, NUM_LABELS)[..., None] * blocks
        code = torch.cat([z_s, active.flatten(1)], -1)
        kl_s, kl_c = kl_per_dim(mean, log_var).split(self.sizes, -1)
        return {
            "reconstruction": self.distortion(x, code),
            "kl_z": kl_s.sum(-1).mean(),
            "kl_class": kl_c.sum(-1).mean(),
            "classification": functional.cross_entropy(self.classifier(h), label),
        }


class Classifier(nn.Module):
    """q(c | x) with a trunk of its own, normalised by the batch at hand."""

    def __init__(self, case, settings: dict):
        super().__init__()
        own = {
            "normalization": settings["trunk_normalization"],
            "initializer": settings["trunk_initializer"],
        }
        self.trunk, features = make_encoder(case, settings | own)
        self.last = nn.Linear(features, settings["num_clusters"])

    def forward(self, x: torch.Tensor, tracked: bool = False) -> torch.Tensor:
        """Logits `[B, K]`; running moments are those of tracked batches."""
        h = x
        for layer in self.trunk:
            h = layer(h, tracked) if isinstance(layer, BatchNorm) else layer(h)
        return self.last(h)

    def fixed(self, x: torch.Tensor) -> torch.Tensor:
        """The logits of x, by parameters that take no gradient."""
        parameters = {name: p.detach() for name, p in self.named_parameters()}
        return functional_call(self, parameters, (x,))


class Draws(NamedTuple):
    """What is random in a step of InfoCatVAE.

    Attributes:
      race: exponential times `[B, K]`: the cluster of the least time over its
        probability is a draw.
      noise: of the codes of the decoded clusters, `[B, 3, d]`.
      conditional: of the codes whose pictures are classified again, `[M, d]`.
      directions: of the first changes of x, `[B, C, H, W]`.
      maps: from places of the new image to places of the old, `[B, 2, 3]`.
    """

    race: torch.Tensor
    noise: torch.Tensor
    conditional: torch.Tensor
    directions: torch.Tensor
    maps: torch.Tensor


class InfoCatVAE(Recipe):
    """The recipe of configs/infocatvae.py: clusters by terms of their own.

    q(c | x) of its own trunk weighs distortion and rate and is not moved by them; of
    the ten clusters the two most probable ones are decoded and a draw of the others.
    Without a gradient through its weight that draw needs no baseline.
    """

    def __init__(self, case, settings: dict):
        clusters, d = settings["num_clusters"], settings["latent_dim"]
        super().__init__(case, settings, d, d)
        self.classifier = Classifier(case, settings)
        # The head is linear in [h; one-hot of c]: a product, and a row for each c.
        self.table = nn.Parameter(torch.empty(clusters, 2 * d))
        means = settings["separation"] * torch.eye(clusters)
        self.register_buffer("centres", means.repeat_interleave(d // clusters, 1))
        drawn = torch.arange(clusters).repeat_interleave(settings["draws_per_cluster"])
        self.register_buffer("drawn", drawn)

    def draw(self, x):
        d, device = self.posterior_dim, x.device
        race = torch.empty(len(x), len(self.centres), device=device).exponential_()
        decoded = self.settings["top_clusters"] + 1
        return Draws(
            race,
            torch.randn(len(x), decoded, d, device=device),
            torch.randn(len(self.drawn), d, device=device),
            torch.randn_like(x),
            random_maps(len(x), x.shape[-1], self.settings, device),
        )

    def terms(self, x, label, draws):
        log_q = functional.log_softmax(self.classifier(x, tracked=True), -1)
        q = log_q.exp()
        weights, average = q.detach(), q.mean(0)
        mean, log_var = self.of_clusters(x)
        kl_z = kl_per_dim(mean, log_var, self.centres).sum(-1)
        worst = self.worst_change(x, log_q.detach(), draws.directions)
        return {
            "reconstruction": self.expected_distortion(
                x, weights, mean, log_var, draws
            ),
            "kl_z": (weights * kl_z).sum(-1).mean(),
            "kl_c": math.log(q.shape[-1]) + (q * log_q).sum(-1).mean(),
            "balance": math.log(q.shape[-1]) + (average * average.log()).sum(),
            "reclassification": self.reclassification(x, draws.conditional),
            "invariance": self.divergence(log_q, x + worst),
            "affine": self.divergence(log_q, warp(x, draws.maps)),
        }

    def posteriors(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As of `torch_models.CatVAE`."""
        return functional.log_softmax(self.classifier(x), -1), *self.of_clusters(x)

    def of_clusters(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of q(z | x, c) of all clusters, `[B, K, d]`."""
        return (self.head(self.encoder(x))[:, None] + self.table).chunk(2, -1)

    def expected_distortion(self, x, q, mean, log_var, draws: Draws) -> torch.Tensor:
        """The sum over the most probable clusters; a draw stands for the others."""
        top = q.topk(self.settings["top_clusters"], -1)
        others = q.scatter(-1, top.indices, 0.0)
        one = (others / draws.race).argmax(-1, keepdim=True)
        weights = torch.cat([top.values, others.sum(-1, keepdim=True)], -1)
        chosen = torch.cat([top.indices, one], -1)[..., None]
        mean, log_var = (a.take_along_dim(chosen, 1) for a in (mean, log_var))
        z = sample(mean, log_var, draws.noise)
        logits = self.decoder(z.flatten(0, 1)).flatten(1).unflatten(0, z.shape[:2])
        costs = cross_entropy(logits, x.flatten(1)[:, None])
        return (weights * costs).sum(-1).mean()

    def reclassification(self, x, noise) -> torch.Tensor:
        """-log q(c | x') of what c generates; the gradient is the decoder's alone."""
        z = self.centres[self.drawn] + noise
        generated = torch.sigmoid(self.decoder(z)).view(-1, *x.shape[1:])
        return functional.cross_entropy(self.classifier.fixed(generated), self.drawn)

    def divergence(self, log_q, changed: torch.Tensor) -> torch.Tensor:
        """KL(q(c | x) || q(c | x')); the gradient goes through the second alone."""
        return _divergence(log_q.detach(), self.classifier(changed))

    def worst_change(self, x, log_q, directions) -> torch.Tensor:
        """The change of each x that moves q(c | x) most, by one power step.

        Its length is a share of the distance to the nearest example of the batch.
        """
        with torch.no_grad():
            distances = torch.cdist(x.flatten(1), x.flatten(1))
            itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
            nearest = distances.masked_fill(itself, math.inf).amin(-1)
        start = self.settings["invariance_probe"] * _directions(directions)

        def moved(change):
            return len(x) * _divergence(log_q, self.classifier.fixed(x + change))

        gradient = grad(moved)(start)
        radii = self.settings["invariance_radius"] * nearest
        return radii[:, None, None, None] * _directions(gradient)


def _divergence(log_q: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Mean KL of q to softmax(logits)."""
    log_p = functional.log_softmax(logits, -1)
    return functional.kl_div(log_p, log_q, log_target=True, reduction="batchmean")


def _directions(changes: torch.Tensor) -> torch.Tensor:
    """Each change of the batch at length 1."""
    return functional.normalize(changes, dim=(1, 2, 3), eps=_NO_LENGTH)


def random_maps(num: int, size: int, settings: dict, device=None) -> torch.Tensor:
    """Rotations, shears, scales and shifts, as `affine_grid` takes them.

    Args:
      num: how many.
      size: height and width of the images.
      settings: the ranges, `affine_...`.
      device: of the result.

    Returns:
      `[num, 2, 3]`.
    """
    ranges = [
        math.radians(settings["affine_rotation"]),
        settings["affine_shear"],
        settings["affine_scale"],
        settings["affine_shift"],
        settings["affine_shift"],
    ]
    uniform = 2.0 * torch.rand(5, num, device=device) - 1.0
    angle, shear, scale, down, right = (
        most * u for most, u in zip(ranges, uniform, strict=True)
    )
    sine, cosine = angle.sin(), angle.cos()
    # Rotation @ [[1, 0], [shear, 1]] * (1 + scale), of (row, column).
    matrix = torch.stack([cosine - sine * shear, -sine, sine + cosine * shear, cosine])
    matrix = (matrix * (1.0 + scale)).T.view(num, 2, 2)
    return as_theta(matrix, torch.stack([down, right], -1), size)


def as_theta(matrix: torch.Tensor, shift: torch.Tensor, size: int) -> torch.Tensor:
    """Maps of (row, column) in pixels about the centre, as `affine_grid` takes them.

    Its places are (x, y), from -1 at the first pixel to 1 at the last one.
    """
    joined = torch.cat([matrix, 2.0 / (size - 1) * shift[..., None]], -1)
    return joined.flip(1)[..., [1, 0, 2]]


@torch.no_grad()
def warp(x: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """T x of each image, bilinear, 0 outside."""
    grid = functional.affine_grid(maps, list(x.shape), align_corners=True)
    return functional.grid_sample(x, grid, align_corners=True)


# Objective -> its module.
OBJECTIVES = {
    RECIPE: InfoCatVAE,
    "n_vae": NVAE,
    "mi_vae": MIVAE,
    "vimae": VIMAE,
    BATCH_NORM: VIMAE,
    "infomax_vae": InfomaxVAE,
}


@torch.no_grad()
def make_model(case, settings: dict) -> Recipe:
    """The module of a case, with initial weights of the law of ours."""
    model = start_like_ours(OBJECTIVES[case.objective](case, settings))
    if settings["initializer"] == "glorot":
        for part in (model.encoder, model.head, model.decoder):
            for layer in part.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
    if isinstance(model, InfoCatVAE):
        nn.init.normal_(model.table, std=len(model.table) ** -0.5)
        model.classifier.last.weight.mul_(settings["logits_scale"])
        for layer in model.classifier.trunk:
            if isinstance(layer, nn.Linear):  # the law called small
                layer.weight.mul_(0.1**0.5)
    return model
