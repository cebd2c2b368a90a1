"""The importance-weighted NLL in PyTorch, for `benchmark.nll --peers` only.

The loops are those of published evaluation code: one image after another, encoded
once, `.item()` for each; its samples as one batch, or one after another as well.
"""

import math

import torch
from torch import nn
from torch.distributions import Normal
from torch.nn import functional

from infovae_jax.benchmark.nll import LATENT_DIM, SIZES, images, weights


def _dense(part: str, *, last: bool) -> nn.Sequential:
    """The layers of a part, with ReLU between them (and after the last one)."""
    matrices = weights()
    names = [name for name in SIZES if name.startswith(part)]
    layers = []
    for number, name in enumerate(names):
        layer = nn.Linear(*SIZES[name])
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(matrices[name].T.copy()))
            layer.bias.zero_()
        layers.append(layer)
        if last or number < len(names) - 1:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class TorchVariant:
    """One evaluation loop; see the module's docstring."""

    def __init__(self, num_samples: int, together: bool):
        torch.manual_seed(0)
        self._encoder = _dense("encoder", last=True)
        self._head = _dense("posterior", last=False)
        self._decoder = _dense("decoder", last=False)
        self._num_samples = num_samples
        self._at_once = num_samples if together else 1

    def _log_weights(self, x: torch.Tensor, q: Normal, num: int) -> torch.Tensor:
        z = q.sample((num,))
        log_ratio = (Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)).sum(-1)
        logits = self._decoder(z)
        cost = functional.binary_cross_entropy_with_logits(
            logits, x.expand_as(logits), reduction="none"
        )
        return log_ratio - cost.sum(-1)

    @torch.inference_mode()
    def nll(self, num: int) -> float:
        """Mean NLL of so many images in nats."""
        total = 0.0
        for x in torch.from_numpy(images(num)):
            mean, log_var = self._head(self._encoder(x)).split(LATENT_DIM, -1)
            q = Normal(mean, torch.exp(0.5 * log_var))
            parts = [
                self._log_weights(x, q, self._at_once)
                for _ in range(self._num_samples // self._at_once)
            ]
            log_mean = torch.logsumexp(torch.cat(parts), 0)
            total -= log_mean.item() - math.log(self._num_samples)
        return total / num
