"""The pictures of a report as functions of plain arrays: each returns a Figure.

Nothing here needs a run. What a picture was drawn from lies beside it in
`figures/<name>.npz`, which holds the arguments of its function::

    pictures.confusion_matrix(**numpy.load("figures/confusion_matrix.npz"))

`report.redraw(path)` finds the function by the name of the file. Those pictures that
have no function of their name are grids of images: `image_grid`.
"""

from infovae_jax.report.grids import image_grid
from infovae_jax.report.pictures.clusters import (
    confusion_matrix,
    factor_kl,
    latent_map,
    layout,
    occupancy,
)
from infovae_jax.report.pictures.images import cluster_members, reconstructions
from infovae_jax.report.pictures.planes import (
    information_plane,
    members,
    of_runs,
    rate_distortion,
)
from infovae_jax.report.pictures.scores import (
    artificial,
    calibration,
    density,
    disentanglement,
    generation,
    probe_accuracy,
    robustness,
)
from infovae_jax.report.pictures.tables import cluster_profiles, column_counts, columns
from infovae_jax.report.pictures.training import information_curves, loss_curves

__all__ = (
    ["artificial", "calibration", "cluster_members", "cluster_profiles", "columns"]
    + ["column_counts", "confusion_matrix", "density", "disentanglement", "factor_kl"]
    + ["generation", "image_grid", "information_curves", "information_plane"]
    + ["latent_map", "layout", "loss_curves", "members", "occupancy", "of_runs"]
    + ["probe_accuracy", "rate_distortion", "reconstructions", "robustness"]
)
