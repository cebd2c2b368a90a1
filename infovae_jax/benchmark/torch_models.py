"""The same losses as eager PyTorch modules; only for `--peers` and `--quality`.

Written as the papers' code does: modules, one loss a batch, means over the batch.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from infovae_jax.benchmark.cases import TOPK

# Objectives that are written here.
OBJECTIVES = (
    "vae",
    "beta_vae",
    "epsilon_vae",
    "iwae",
    "info_vae",
    "wae_mmd",
    "catvae",
    TOPK,
    "infocatvae",
)
# Of a standard normal variable that is kept within -2 and 2.
_CUT_DEVIATION = 0.87962566103423978
_WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


ACTIVATIONS = {"relu": nn.ReLU, "softplus": nn.Softplus}


class BatchNorm(nn.Module):
    """Batch normalisation over all axes but the second.

    Running moments are kept of the batches that are `tracked`, as in evaluation none
    but clean ones are seen.
    """

    def __init__(self, features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, h: torch.Tensor, tracked: bool = True) -> torch.Tensor:
        """`h` `[B, F, ...]`, normalised by its own moments, or the kept ones."""
        kept = tracked or not self.training
        moments = (self.running_mean, self.running_var) if kept else (None, None)
        return functional.batch_norm(
            h, *moments, self.weight, self.bias, training=self.training, momentum=0.1
        )


class LayerNorm(nn.Module):
    """Layer normalisation of the second axis, without scale and shift."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """`h` `[B, F, ...]`, the F numbers of each position normalised."""
        rows = h.movedim(1, -1)
        return functional.layer_norm(rows, rows.shape[-1:]).movedim(-1, 1)


def normalized(features: int, settings: dict) -> list[nn.Module]:
    """Normalisation and activation of so many features."""
    kinds = {
        "none": lambda: [],
        "layer": lambda: [LayerNorm()],
        "batch": lambda: [BatchNorm(features)],
    }
    activation = ACTIVATIONS[settings["activation"]]()
    return [*kinds[settings["normalization"]](), activation]


def mlp(sizes: list[int], settings: dict, last: bool) -> nn.Sequential:
    """Dense layers, normalised and activated; the last one if so asked."""
    layers = []
    for number, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers.append(nn.Linear(inputs, outputs))
        if last or number < len(sizes) - 2:
            layers += normalized(outputs, settings)
    return nn.Sequential(*layers)


def make_encoder(case, settings: dict) -> tuple[nn.Sequential, int]:
    """Images `[B, C, H, W]` to features `[B, F]`, and F."""
    height, width, channels = case.shape
    if case.kind == "mlp":
        sizes = [height * width * channels, *settings["hidden"]]
        return nn.Sequential(nn.Flatten(), *mlp(sizes, settings, True)), sizes[-1]
    layers, inputs = [], channels
    for outputs in settings["channels"]:
        layers.append(nn.Conv2d(inputs, outputs, 4, 2, 1))
        layers += normalized(outputs, settings)
        inputs = outputs
    side = case.size // 2 ** len(settings["channels"])
    hidden = settings["conv_hidden"]
    layers += [nn.Flatten(), *mlp([inputs * side**2, hidden], settings, True)]
    return nn.Sequential(*layers), hidden


def make_decoder(case, settings: dict) -> nn.Sequential:
    """Codes `[B, d]` to outputs `[B, C, H, W]` or `[B, D]`, linear."""
    height, width, channels = case.shape
    latent = settings["latent_dim"]
    if settings["normalization"] == "layer":  # of encoders only
        settings = settings | {"normalization": "none"}
    if case.kind == "mlp":
        pixels = height * width * channels
        return mlp([latent, *reversed(settings["hidden"]), pixels], settings, False)
    widths, hidden = settings["channels"], settings["conv_hidden"]
    side = case.size // 2 ** len(widths)
    dense = settings | {"normalization": "none"}
    layers = [
        *mlp([latent, hidden, widths[-1] * side**2], dense, True),
        nn.Unflatten(1, (widths[-1], side, side)),
    ]
    outputs = [channels, *widths[:-1]]
    for number in reversed(range(len(widths))):
        layers.append(nn.ConvTranspose2d(widths[number], outputs[number], 4, 2, 1))
        if number:
            layers += normalized(outputs[number], settings)
    return nn.Sequential(*layers)


def make_model(case, settings: dict) -> nn.Module:
    """The module whose call gives the loss of a batch `[B, C, H, W]`."""
    if case.model in ("catvae", "infocatvae"):
        return start_like_ours(CatVAE(case, settings))
    return start_like_ours(GaussianVAE(case, settings))


@torch.no_grad()
def start_like_ours(model: nn.Module) -> nn.Module:
    """LeCun's normal weights, cut off at two deviations, and biases of zero.

    PyTorch starts at a third of that variance, which costs more than a nat after ten
    epochs of MNIST: equal training begins with weights of equal law.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            # Of a transposed convolution, [I, O, k, k], fan-in is the first axis.
            inputs = 0 if isinstance(layer, nn.ConvTranspose2d) else 1
            taps = layer.weight[0, 0].numel()
            scale = (layer.weight.shape[inputs] * taps) ** -0.5 / _CUT_DEVIATION
            nn.init.trunc_normal_(layer.weight, 0.0, scale, -2 * scale, 2 * scale)
            nn.init.zeros_(layer.bias)
    return model


def cross_entropy(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """-log p(x | z) of a Bernoulli, summed over pixels; any equal leading axes."""
    return functional.binary_cross_entropy_with_logits(
        logits, x.expand_as(logits), reduction="none"
    ).sum(-1)


def kl_per_dim(mean: torch.Tensor, log_var: torch.Tensor, centre=0.0) -> torch.Tensor:
    """KL of a Gaussian to N(centre, 1) of each dim."""
    square = (mean - centre) ** 2
    return 0.5 * (square + log_var.exp() - 1.0 - log_var)


def _kl(mean: torch.Tensor, log_var: torch.Tensor, centre=0.0) -> torch.Tensor:
    return kl_per_dim(mean, log_var, centre).sum(-1)


def _kernel(a: torch.Tensor, b: torch.Tensor, name: str) -> torch.Tensor:
    squares = torch.cdist(a, b) ** 2
    base = 2.0 * a.shape[-1]
    if name == "rbf":
        return torch.exp(-squares / base)
    return sum(t * base / (t * base + squares) for t in _WIDTHS)


def mmd(x: torch.Tensor, y: torch.Tensor, name: str) -> torch.Tensor:
    """Squared MMD of two samples `[n, d]`, unbiased, by the kernel called `name`."""
    n = len(x)

    def within(a):
        values = _kernel(a, a, name)
        return (values.sum() - values.diagonal().sum()) / (n * (n - 1))

    return within(x) + within(y) - 2.0 * _kernel(x, y, name).mean()


class GaussianVAE(nn.Module):
    """VAE, beta-VAE, IWAE, InfoVAE and WAE-MMD."""

    def __init__(self, case, settings: dict):
        super().__init__()
        self._case, self._settings = case, settings
        self.encoder, features = make_encoder(case, settings)
        self._deterministic = settings.get("encoder") == "deterministic"
        outputs = settings["latent_dim"] * (1 if self._deterministic else 2)
        self.head = nn.Linear(features, outputs)
        self.decoder = make_decoder(case, settings)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance of q(z | x), `[B, d]`."""
        return self.head(self.encoder(x)).chunk(2, -1)

    def posteriors(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As of `CatVAE`, with K = 1."""
        mean, log_var = self.encode(x)
        return torch.zeros_like(mean[:, :1]), mean[:, None], log_var[:, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The loss of a batch `[B, C, H, W]`."""
        weights, flat = self._settings["weights"], x.flatten(1)
        if self._deterministic:
            z = self.head(self.encoder(x))
            cost = ((self.decoder(z).flatten(1) - flat) ** 2).sum(-1).mean()
            cost = cost + 0.5 * flat.shape[-1] * math.log(math.pi)
            return cost + weights["mmd"] * self._divergence(z)
        mean, log_var = self.encode(x)
        if self._case.objective == "iwae":
            return self._iwae(flat, mean, log_var)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        cost = cross_entropy(self.decoder(z).flatten(1), flat).mean()
        loss = cost + weights["kl_z"] * _kl(mean, log_var).mean()
        if "mmd" in weights:
            loss = loss + weights["mmd"] * self._divergence(z)
        return loss

    def _divergence(self, z: torch.Tensor) -> torch.Tensor:
        z = z.float()
        return mmd(z, torch.randn_like(z), self._settings["kernel"])

    def _iwae(self, flat, mean, log_var) -> torch.Tensor:
        samples = self._settings["num_samples"]
        noise = torch.randn(samples, *mean.shape, device=mean.device)
        z = mean + torch.exp(0.5 * log_var) * noise
        logits = self.decoder(z.flatten(0, 1)).flatten(1)
        log_x = -cross_entropy(logits.unflatten(0, (samples, -1)), flat)
        log_prior = -0.5 * (z**2).sum(-1)
        log_q = -0.5 * (log_var + noise**2).sum(-1)
        log_weights = log_x + log_prior - log_q
        return (math.log(samples) - torch.logsumexp(log_weights, 0)).mean()


class CatVAE(nn.Module):
    """CatVAE by exact enumeration, and InfoCatVAE as its authors' code computes it.

    InfoCatVAE decodes one code of averaged parameters an image, encodes what ten
    codes of each cluster decode to, and takes the cross-entropy of probabilities.
    """

    def __init__(self, case, settings: dict):
        super().__init__()
        self._settings = settings
        self._informed = case.objective == "infocatvae"
        clusters, latent = settings["num_clusters"], settings["latent_dim"]
        self.encoder, features = make_encoder(case, settings)
        self.classifier = nn.Linear(features, clusters)
        self.head = nn.Linear(features + clusters, 2 * latent)
        self.decoder = make_decoder(case, settings)
        means = settings["separation"] * torch.eye(clusters)
        means = means.repeat_interleave(latent // clusters, 1)
        self.register_buffer("prior_means", means)
        draws = torch.arange(clusters).repeat_interleave(
            settings.get("draws_per_cluster", 1)
        )
        self.register_buffer("draws", draws)

    def posteriors(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """log q(c | x) `[B, K]`, mean and log-variance of q(z | x, c) `[B, K, d]`."""
        return self._posteriors(self.encoder(x))

    def _posteriors(self, h: torch.Tensor) -> tuple[torch.Tensor, ...]:
        log_q = functional.log_softmax(self.classifier(h), -1)
        # The head is linear in [h; c]: all K posteriors are one product and a table.
        split = self.head.in_features - len(self.prior_means)
        table = self.head.weight[:, split:].T
        shared = functional.linear(h, self.head.weight[:, :split], self.head.bias)
        return log_q, *(shared[:, None] + table).chunk(2, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The loss of a batch `[B, C, H, W]`."""
        clusters, flat = len(self.prior_means), x.flatten(1)
        weights = self._settings["weights"]
        h = self.encoder(x)
        log_q, mean, log_var = self._posteriors(h)
        q = log_q.exp()
        kl_z = (q * _kl(mean, log_var, self.prior_means)).sum(-1).mean()
        kl_c = math.log(clusters) + (q * log_q).sum(-1).mean()
        loss = weights["kl_z"] * kl_z + weights["kl_c"] * kl_c
        if self._informed:
            return loss + self._informed_terms(flat, h, q, x.shape)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = self.decoder(z.flatten(0, 1)).flatten(1).unflatten(0, (-1, clusters))
        cost = (q * cross_entropy(logits, flat[:, None])).sum(-1).mean()
        average = q.mean(0)
        balance = math.log(clusters) + (average * average.log()).sum()
        return loss + cost + weights["balance"] * balance

    def _informed_terms(self, flat, h, q, shape) -> torch.Tensor:
        mean, log_var = self.head(torch.cat([h, q], -1)).chunk(2, -1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        cost = cross_entropy(self.decoder(z).flatten(1), flat).mean()
        centres = self.prior_means[self.draws]
        generated = torch.sigmoid(self.decoder(centres + torch.randn_like(centres)))
        logits = self.classifier(self.encoder(generated.view(-1, *shape[1:])))
        probabilities = functional.softmax(logits, -1)
        entropy = functional.cross_entropy(probabilities, self.draws)
        return cost + self._settings["weights"]["reclassification"] * entropy
