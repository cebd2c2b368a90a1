"""Refusals that several parts share, each written once."""

from ml_collections import ConfigDict

from infovae_jax.errors import ConfigError


def refuse_batch_normalization(network: ConfigDict, objective: str) -> None:
    """Raises ConfigError where an objective that has no place for it asks for it.

    It needs one pass of the whole batch, of which the moments are meant.
    """
    if network.normalization == "batch":
        raise ConfigError(
            f"'{objective}' passes more than one kind of batch through its networks",
            "config.network.normalization",
            "use 'none' or 'layer'",
        )
