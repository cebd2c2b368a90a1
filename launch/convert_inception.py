#!/usr/bin/env python3
"""Brings the published Inception weights of the FID into a file without pickle.

    python launch/convert_inception.py SOURCE.pth inception.npz

SOURCE.pth is pt_inception-2015-12-05-6726825d.pth of the release `fid_weights` of
https://github.com/mseitzer/pytorch-fid, recognised by its SHA-256; another file is
refused. This needs PyTorch; what comes after does not:

    python -m infovae_jax.main ... --config.evaluation.inception=inception.npz
"""

import hashlib
import pathlib
import sys

import numpy as np

from infovae_jax.errors import CheckpointError, UserError
from infovae_jax.evaluation import inception as features
from infovae_jax.networks import inception


def convert(source: pathlib.Path, target: pathlib.Path) -> str:
    """Writes `target`; returns its SHA-256.

    Raises:
      CheckpointError: another file than the published one, or an array that is
        missing or does not fit.
    """
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    if digest != inception.SOURCE_SHA256:
        raise CheckpointError(
            f"SHA-256 {digest}, not {inception.SOURCE_SHA256}",
            str(source),
            "download the file of pytorch-fid's release fid_weights again",
        )
    import torch

    state = torch.load(source, map_location="cpu", weights_only=True)
    known = inception.parameter_shapes()
    arrays = {name: state[name].numpy() for name in known if name in state}
    features.check(arrays, str(source))
    others = [k for k in state if k not in known and "num_batches_tracked" not in k]
    if others:
        raise CheckpointError(
            f"unknown array '{others[0]}'", str(source), "give the file for the FID"
        )
    np.savez(target, **arrays, **{features.SOURCE_KEY: np.array(digest)})
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main(source: str, target: str) -> None:
    """Converts, and says what to put into a configuration."""
    if not pathlib.Path(source).is_file() or not target.endswith(".npz"):
        sys.exit(f"error: no file {source}, or {target} is no .npz")
    try:
        digest = convert(pathlib.Path(source), pathlib.Path(target))
    except ImportError:
        sys.exit("error: reading the source needs PyTorch; pip install torch")
    except UserError as error:
        sys.exit(error.line())
    print(f"wrote {target}\nevaluation.inception_sha256={digest}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} SOURCE.pth TARGET.npz")
    main(*sys.argv[1:])
