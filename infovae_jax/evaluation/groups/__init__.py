"""Which figures a run shows: the core, and groups that take longer, by `--metrics`.

A group is a module with `rows(run, params, splits) -> list[Row]`, empty where the data
lack what it needs, and has its line in GROUPS; the metrics themselves are functions of
arrays in the modules above.
"""

from infovae_jax.evaluation.groups import (
    disentanglement,
    generation,
    likelihood,
    representation,
)

# In the order of the table.
GROUPS = {
    "likelihood": likelihood.rows,
    "representation": representation.rows,
    "disentanglement": disentanglement.rows,
    "generation": generation.rows,
}
