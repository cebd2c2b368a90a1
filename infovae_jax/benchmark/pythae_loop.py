"""pythae's own trainer (Chadebec et al. 2022, arXiv 2206.08309) on equal networks.

Its settings are its defaults but for the batch size and the learning rate: a
DataLoader without workers, eager modules. Its precision is always float32.
"""

import contextlib
import io
import logging
import shutil
import tempfile
import time
import weakref
from importlib import metadata

import numpy as np
import torch
from pythae import models, trainers
from pythae.data.datasets import BaseDataset
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn

from infovae_jax.benchmark import torch_loops, torch_models

# Objectives of which it has the model.
OBJECTIVES = ("vae", "beta_vae", "epsilon_vae", "iwae", "info_vae", "wae_mmd")


class _Encoder(BaseEncoder):
    def __init__(self, case, settings: dict):
        BaseEncoder.__init__(self)
        self.features, size = torch_models.make_encoder(case, settings)
        self.mean = nn.Linear(size, settings["latent_dim"])
        if settings.get("encoder") != "deterministic":
            self.log_var = nn.Linear(size, settings["latent_dim"])

    def forward(self, x):
        h = self.features(x)
        outputs = {"embedding": self.mean(h)}
        if hasattr(self, "log_var"):
            outputs["log_covariance"] = self.log_var(h)
        return ModelOutput(**outputs)


class _Decoder(BaseDecoder):
    def __init__(self, case, settings: dict):
        BaseDecoder.__init__(self)
        self.outputs = torch_models.make_decoder(case, settings)
        height, width, channels = case.shape
        self._shape = (channels, height, width)
        self._bernoulli = case.likelihood == "bernoulli"

    def forward(self, z):
        outputs = self.outputs(z).view(-1, *self._shape)
        if self._bernoulli:
            outputs = torch.sigmoid(outputs)
        return ModelOutput(reconstruction=outputs)


def make_model(case, settings: dict):
    """Its model of the objective, with our networks and weights."""
    height, width, channels = case.shape
    weights = settings["weights"]
    shared = {
        "input_dim": (channels, height, width),
        "latent_dim": settings["latent_dim"],
    }
    if case.objective != "wae_mmd":
        shared["reconstruction_loss"] = "bce"
    parts = {
        "vae": lambda: (models.VAE, models.VAEConfig(**shared)),
        "beta_vae": lambda: (
            models.BetaVAE,
            models.BetaVAEConfig(**shared, beta=weights["kl_z"]),
        ),
        "iwae": lambda: (
            models.IWAE,
            models.IWAEConfig(**shared, number_samples=settings["num_samples"]),
        ),
        "info_vae": lambda: (
            models.INFOVAE_MMD,
            models.INFOVAE_MMD_Config(
                **shared,
                kernel_choice="rbf",
                alpha=1.0 - weights["kl_z"],
                lbd=weights["mmd"] + weights["kl_z"],
            ),
        ),
        "wae_mmd": lambda: (
            models.WAE_MMD,
            models.WAE_MMD_Config(
                **shared,
                kernel_choice="imq",
                scales=[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0],
                reg_weight=weights["mmd"],
            ),
        ),
    }
    parts["epsilon_vae"] = parts["beta_vae"]
    model, config = parts[case.objective]()
    networks = {
        "encoder": _Encoder(case, settings),
        "decoder": _Decoder(case, settings),
    }
    return torch_models.start_like_ours(model(config, **networks))


class PythaeVariant:
    """`BaseTrainer`, one `train_step(epoch)` over as many examples as the turn has.

    Args: as of `TorchVariant`, without the name.
    """

    def __init__(self, case, settings: dict, images, threads: int, seed: int = 0):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision("high")
        logging.getLogger("pythae").setLevel(logging.ERROR)
        self._case, self._images, self._epoch = case, images, 0
        self.model = make_model(case, settings)
        self.num_params = sum(p.numel() for p in self.model.parameters())
        self._folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._trainers = {}

    def _trainer(self, count: int):
        """A trainer whose epoch has `count` steps; the optimiser is shared by all."""
        if count in self._trainers:
            return self._trainers[count]
        rows = np.arange(count * self._case.batch_size) % len(self._images)
        data = torch.from_numpy(self._images[rows]).float().div_(255)
        data = data.permute(0, 3, 1, 2).contiguous()
        config = trainers.BaseTrainerConfig(
            output_dir=self._folder,
            per_device_train_batch_size=self._case.batch_size,
            learning_rate=1e-3,
        )
        dataset = BaseDataset(data, torch.zeros(len(data)))
        trainer = trainers.BaseTrainer(self.model, dataset, training_config=config)
        trainer.prepare_training()
        if self._trainers:
            trainer.optimizer = next(iter(self._trainers.values())).optimizer
        self._trainers[count] = trainer
        return trainer

    def prepare(self, count: int = 1) -> None:
        """Takes the first step."""
        self._trainer(1)
        self.steps(1)
        self.first_step_at = time.time()

    def steps(self, count: int) -> float:
        """Takes `count` steps; returns the epoch's mean loss."""
        trainer = self._trainer(count)
        self._epoch += 1
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            return float(trainer.train_step(self._epoch))

    def facts(self) -> dict:
        """Peak memory."""
        return torch_loops.memory("cuda" if torch.cuda.is_available() else "cpu")

    @torch.no_grad()
    def posteriors(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `elbo.test_elbo`; K = 1."""
        self.model.eval()
        images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
        output = self.model.encoder(images.to(self.model.device))
        found = output.embedding.cpu().numpy(), output.log_covariance.cpu().numpy()
        return np.zeros((len(x), 1)), *(part[:, None] for part in found)

    @torch.no_grad()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Means of p(x | z), `[n, H, W, C]`."""
        self.model.eval()
        images = self.model.decoder(torch.from_numpy(z).to(self.model.device))
        return images["reconstruction"].permute(0, 2, 3, 1).cpu().numpy()


def versions() -> dict[str, str]:
    """Of pythae."""
    return {"pythae": metadata.version("pythae")}
