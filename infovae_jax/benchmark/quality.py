"""Whether equal training gives equal bounds: VAE and CatVAE of every library.

The test ELBO of all of them is computed here, by the same formula and with the same
noise, from the posteriors' parameters and the decoder's means.
"""

from infovae_jax.benchmark import elbo, workers
from infovae_jax.benchmark.cases import TOPK, Case
from infovae_jax.errors import ConfigError

# What is compared where no cases are named.
DEFAULT = ("vae_mlp", "catvae_mlp", "catvae_topk_mlp")
# Objectives whose bound is written here.
MODELS = ("vae", "catvae")
# Variants that are trained; the resident loop and the compiled one compute the same.
NAMES = (workers.OURS, "torch_loader", "pythae")


def check(chosen: list[Case]) -> None:
    """Raises ConfigError for a case whose bound is not written here."""
    for case in chosen:
        if case.model not in MODELS or case.size != 28:
            raise ConfigError(
                f"no test ELBO for case '{case.name}'",
                "--cases",
                f"with --quality, use {' or '.join(MODELS)} of 28x28 images",
            )


def compare(
    source: str, epochs: int, options: workers.Options, chosen: list[Case], say=print
) -> dict[str, dict]:
    """Trains each case with every library for as many epochs.

    Returns:
      case -> library -> `test_elbo` in nats, or `failed`.
    """
    found = {}
    for case in chosen:
        rows = found[case.name] = {}
        for name in NAMES:
            if case.objective == TOPK and name != workers.OURS:
                continue  # the peers' model is that of the case without it
            try:
                rows[name] = {"test_elbo": _train(name, case, options, source, epochs)}
            except workers.Failed as error:
                rows[name] = {"failed": str(error)}
            say(f"{case.name:<18}{name:<15}{_outcome(rows[name])}")
    for model in sorted({case.model for case in chosen}):
        bounds = [
            row["test_elbo"]
            for case in chosen
            for row in found[case.name].values()
            if case.model == model and "test_elbo" in row
        ]
        if len(bounds) > 1:
            say(f"{model}: largest difference {max(bounds) - min(bounds):.2f} nats")
    return found


def _train(
    name: str, case: Case, options: workers.Options, source: str, epochs: int
) -> float:
    """Test ELBO of the variant called `name` after so many epochs, nats."""
    steps = len(elbo.read(source)[0]) // case.batch_size
    worker = workers.Worker(name, case, options, data=source)
    try:
        for _ in range(epochs):
            worker.call("steps", count=steps)
        return worker.call("scores")["value"]["elbo"]
    finally:
        worker.close()


def _outcome(row: dict) -> str:
    if "failed" in row:
        return f"failed: {row['failed']}"
    return f"test ELBO {row['test_elbo']:.2f} nats"
