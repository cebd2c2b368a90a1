"""Three PyTorch training loops, from the usual to the tuned.

`torch_loader` is what the papers' code does: eager modules, a DataLoader that collates
example by example, `.item()` in every step. `torch_resident` holds the data in one
tensor on the device, with fused Adam and no synchronisation; `torch_compile` is that
with the loss compiled.
"""

import contextlib
import math
import resource
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.distributions import Normal
from torch.nn import functional

from infovae_jax.benchmark import torch_models, torch_recipes
from infovae_jax.benchmark.cases import even_labels
from infovae_jax.benchmark.nll_case import LATENT_DIM, SIZES, images, weights

# Objectives that are written for PyTorch.
OBJECTIVES = (*torch_models.OBJECTIVES, *torch_recipes.OBJECTIVES)


def make_model(case, settings: dict) -> nn.Module:
    """The module whose call gives the loss of a batch: images, and labels if used."""
    recipe = case.objective in torch_recipes.OBJECTIVES
    return (torch_recipes if recipe else torch_models).make_model(case, settings)


class TorchVariant:
    """One training loop.

    Args:
      name: torch_loader, torch_resident or torch_compile.
      case: what is computed.
      settings: from `cases.peer_settings`.
      images: uint8 `[n, H, W, C]`.
      threads: of the process.
      seed: of the first weights and of every draw.
    """

    def __init__(
        self, name: str, case, settings: dict, images, threads: int, seed: int = 0
    ):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        # As JAX does on GPUs: float32 products may round their inputs to TF32.
        torch.set_float32_matmul_precision("high")
        self._case = case
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._resident = name != "torch_loader"
        self.model = make_model(case, settings).to(self.device)
        self.num_params = sum(p.numel() for p in self.model.parameters())
        self._loss = self.model
        if name == "torch_compile":
            self._loss = torch.compile(self.model)
        self._optimizer = torch.optim.Adam(
            self.model.parameters(),
            settings["rates"][0],
            fused=self._resident or None,
        )
        self._rates = settings["rates"]
        self._steps_per_epoch, self._step = len(images) // case.batch_size, 0
        tensor = torch.from_numpy(images).float().div_(255)
        data = [tensor.permute(0, 3, 1, 2).contiguous()]
        if case.uses_labels:
            data.append(torch.from_numpy(even_labels(len(images))).long())
        self._batches = self._endless(data)

    def _endless(self, data: list[torch.Tensor]):
        size = self._case.batch_size
        if self._resident:
            data = [part.to(self.device) for part in data]
            num = len(data[0])
            while True:
                for rows in torch.randperm(num, device=self.device).split(size):
                    if len(rows) == size:
                        yield [part[rows] for part in data]
        dataset = torch.utils.data.TensorDataset(*data)
        loader = torch.utils.data.DataLoader(
            dataset, size, shuffle=True, drop_last=True
        )
        while True:
            for batch in loader:
                yield [part.to(self.device) for part in batch]

    def prepare(self) -> None:
        """Takes the first step, which also compiles."""
        self.steps(1)
        self.first_step_at = time.time()

    def steps(self, count: int) -> float:
        """Takes `count` steps and returns the last loss."""
        loss = torch.zeros(())
        self.model.train()
        for _ in range(count):
            self._optimizer.zero_grad()
            self._set_rate()
            with autocast(self.device, self._case.precision):
                loss = self._loss(*next(self._batches))
            loss.backward()
            self._optimizer.step()
            if not self._resident:
                loss.item()
        return loss.item()  # waits for the device

    def _set_rate(self) -> None:
        epochs = range(len(self._rates))
        rate = np.interp(self._step / self._steps_per_epoch, epochs, self._rates)
        self._step += 1
        if self._rates[0] != self._rates[-1]:
            self._optimizer.param_groups[0]["lr"] = float(rate)

    def compiled(self) -> float:
        """Nothing is compiled ahead; of `torch_compile` it is in the first step."""
        return 0.0

    def facts(self) -> dict:
        """Peak memory."""
        return memory(self.device)

    @torch.no_grad()
    def posteriors(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `elbo.test_elbo`."""
        images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
        self.model.eval()
        found = self.model.posteriors(images.to(self.device))
        return tuple(part.cpu().numpy() for part in found)

    @torch.no_grad()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Means of p(x | z), `[n, H, W, C]`."""
        self.model.eval()
        logits = self.model.decoder(torch.from_numpy(z).to(self.device))
        height, width, channels = self._case.shape
        images = torch.sigmoid(logits).view(-1, channels, height, width)
        return images.permute(0, 2, 3, 1).cpu().numpy()


def autocast(device: str, precision: str):
    """Where products run in bfloat16, if that is the precision."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, torch.bfloat16)


def memory(device: str) -> dict:
    """Peak bytes of this process, and of the device."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak_rss_bytes": peak if sys.platform == "darwin" else peak * 1024}
    if device == "cuda":
        found["peak_device_bytes"] = torch.cuda.max_memory_allocated()
    return found


def versions() -> dict[str, str]:
    """Of PyTorch and what it runs on."""
    cuda = torch.cuda.is_available()
    device = f"cuda: {torch.cuda.get_device_name()}" if cuda else "cpu"
    return {"torch": torch.__version__, "torch_device": device}


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


class NllVariant:
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
