"""Parameters that are measured instead of trained: running statistics.

They stand beside the weights of their network, under the key STATISTICS, so that
`encode(params, x)` needs no other argument; the optimiser sees the rest only.
"""

from infovae_jax.types import STATISTICS, Params


def split(params: Params) -> tuple[Params, Params]:
    """`(trained, statistics)`: two trees that `merge` joins again.

    Args:
      params: nested dicts of arrays.
    """
    trained, statistics = {}, {}
    for name, value in params.items():
        if name == STATISTICS:
            statistics[name] = value
        elif isinstance(value, dict):
            inner_trained, inner_statistics = split(value)
            # An empty dict is a network without parameters; it stays.
            if inner_trained or not inner_statistics:
                trained[name] = inner_trained
            if inner_statistics:
                statistics[name] = inner_statistics
        else:
            trained[name] = value
    return trained, statistics


def merge(trained: Params, statistics: Params) -> Params:
    """The tree of both; where both hold a leaf, the one of `statistics`."""
    merged = dict(trained)
    for name, value in statistics.items():
        inner = merged.get(name)
        if isinstance(value, dict) and isinstance(inner, dict) and name != STATISTICS:
            merged[name] = merge(inner, value)
        else:
            merged[name] = value
    return merged
