"""The same computations in PyTorch, for `benchmark --peers` only.

The loops are what the papers' code does: eager modules, a DataLoader that collates
example by example, `.item()` in every step. The resident variant is the tuned one:
data in one tensor, fused Adam, no synchronisation.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from infovae_jax.benchmark import BATCH_SIZE, random_images

LATENT_DIM = 20
NUM_CLUSTERS = 10
SEPARATION = 4.0
BALANCE = 20.0


def _mlp(sizes: tuple[int, ...], last: bool) -> nn.Sequential:
    layers = []
    for number, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers.append(nn.Linear(inputs, outputs))
        if last or number < len(sizes) - 2:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class VAE(nn.Module):
    """VAE with dense or convolutional networks, d = 20."""

    def __init__(self, kind: str):
        super().__init__()
        if kind == "mlp":
            self.encoder = nn.Sequential(nn.Flatten(), _mlp((784, 500, 500), True))
            self.decoder = _mlp((LATENT_DIM, 500, 500, 784), False)
            features = 500
        else:
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 32, 4, 2, 1),
                nn.ReLU(),
                nn.Conv2d(32, 64, 4, 2, 1),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(3136, 256),
                nn.ReLU(),
            )
            self.decoder = nn.Sequential(
                nn.Linear(LATENT_DIM, 256),
                nn.ReLU(),
                nn.Linear(256, 3136),
                nn.ReLU(),
                nn.Unflatten(1, (64, 7, 7)),
                nn.ConvTranspose2d(64, 32, 4, 2, 1),
                nn.ReLU(),
                nn.ConvTranspose2d(32, 1, 4, 2, 1),
            )
            features = 256
        self.head = nn.Linear(features, 2 * LATENT_DIM)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The loss of a batch `[B, 1, 28, 28]`."""
        mean, log_var = self.head(self.encoder(x)).chunk(2, -1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = self.decoder(z).flatten(1)
        cost = functional.binary_cross_entropy_with_logits(
            logits, x.flatten(1), reduction="sum"
        )
        kl = 0.5 * (mean**2 + log_var.exp() - 1.0 - log_var).sum()
        return (cost + kl) / len(x)


class CatVAE(nn.Module):
    """CatVAE with exact enumeration: the decoder sees B * K codes."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), _mlp((784, 500, 500), True))
        self.classifier = nn.Linear(500, NUM_CLUSTERS)
        self.head = nn.Linear(500, 2 * LATENT_DIM)
        self.table = nn.Linear(NUM_CLUSTERS, 2 * LATENT_DIM, bias=False)
        self.decoder = _mlp((LATENT_DIM, 500, 500, 784), False)
        means = SEPARATION * torch.eye(NUM_CLUSTERS)
        self.register_buffer(
            "prior_means", means.repeat_interleave(LATENT_DIM // NUM_CLUSTERS, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The loss of a batch `[B, 1, 28, 28]`."""
        h = self.encoder(x)
        log_q = functional.log_softmax(self.classifier(h), -1)
        q = log_q.exp()
        heads = self.head(h)[:, None] + self.table.weight.T[None]
        mean, log_var = heads.chunk(2, -1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = self.decoder(z)
        target = x.flatten(1)[:, None].expand_as(logits)
        cost = functional.binary_cross_entropy_with_logits(
            logits, target, reduction="none"
        ).sum(-1)
        square = (mean - self.prior_means) ** 2
        kl_z = 0.5 * (square + log_var.exp() - 1.0 - log_var).sum(-1)
        kl_c = math.log(NUM_CLUSTERS) + (q * log_q).sum(-1)
        average = q.mean(0)
        balance = math.log(NUM_CLUSTERS) + (average * average.log()).sum()
        return (q * (cost + kl_z)).sum(-1).mean() + kl_c.mean() + BALANCE * balance


class TorchVariant:
    """One training loop; see the module's docstring."""

    def __init__(self, case: str, resident: bool):
        torch.manual_seed(0)
        objective, _, kind = case.partition("_")
        self._model = CatVAE() if objective == "catvae" else VAE(kind)
        self.num_params = sum(p.numel() for p in self._model.parameters())
        self._resident = resident
        parameters = self._model.parameters()
        self._optimizer = torch.optim.Adam(parameters, 1e-3, fused=resident or None)
        images = torch.from_numpy(random_images()).float().div_(255)
        images = images.permute(0, 3, 1, 2).contiguous()
        self._batches = self._endless(images)

    def _endless(self, images: torch.Tensor):
        if self._resident:
            while True:
                for rows in torch.randperm(len(images)).split(BATCH_SIZE):
                    if len(rows) == BATCH_SIZE:
                        yield images[rows]
        dataset = torch.utils.data.TensorDataset(images)
        loader = torch.utils.data.DataLoader(
            dataset, BATCH_SIZE, shuffle=True, drop_last=True
        )
        while True:
            for (batch,) in loader:
                yield batch

    def steps(self, count: int) -> float:
        """Takes `count` steps and returns the last loss."""
        loss = torch.zeros(())
        for _ in range(count):
            self._optimizer.zero_grad()
            loss = self._model(next(self._batches))
            loss.backward()
            self._optimizer.step()
            if not self._resident:
                loss.item()
        return loss.item()
