"""What follows K, the number of clusters: one rule for keys and for parameters."""

from collections.abc import Collection, Mapping
from typing import Any

from ml_collections import ConfigDict

# Above there are no such clusters; the check of the config says so.
_MOST = 10**5


def sizes(model: Mapping[str, Any]) -> tuple[int, int] | None:
    """K and the dims of the code for each, as `config.model` has them, or None."""
    k, dims = model.get("num_clusters"), model.get("latent_dim")
    return (k, dims // k) if type(k) is int and type(dims) is int and k else None


def fit(
    model: ConfigDict, before: tuple[int, int] | None, named: Collection[str]
) -> str | None:
    """Another K takes with it what is not named: as many dims a cluster as before.

    And no more clusters that `topk` sums exactly than there are.

    Args:
      model: `config.model`, changed in place.
      before: its `sizes` before K was named.
      named: dotted keys that were.

    Returns:
      A line that tells of the dims, where they are others.
    """
    k = model.get("num_clusters")
    if before is None or type(k) is not int or not 0 < k < _MOST or k == before[0]:
        return None
    if "model.top_clusters" not in named and model.get("top_clusters", 0) > k:
        model.top_clusters = k
    if "model.latent_dim" in named:
        return None
    model.latent_dim = k * before[1]
    return f"latent size {k * before[1]}: {before[1]} dims for each of the {k} clusters"
