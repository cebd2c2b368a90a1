"""What every config does on `digits`, to the bit: run before and after a change.

    python tests/golden/record.py --out=before.json
    python tests/golden/record.py --against=before.json

Records, for every config, the loss and the SHA-256 of the parameters after 25 steps,
and the rows of one short evaluation. A change that moves code and leaves the
mathematics alone leaves all of it equal; bits are comparable on one machine and one
version of JAX only.
"""

import argparse
import hashlib
import json
import pathlib
import sys

import jax
import numpy as np

from infovae_jax import config as config_lib
from infovae_jax import evaluation
from infovae_jax.training import loop, train_step
from infovae_jax.training.run import open_run

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 25
# Beside the defaults: what moves through code of its own.
VARIANTS = {
    "catvae:topk": ("catvae", {"model.reconstruction": "topk"}),
    "catvae:soft": ("catvae", {"model.reconstruction": "soft"}),
    "catvae:gumbel": ("catvae", {"model.reconstruction": "gumbel"}),
    "catvae:mlp_head": ("catvae", {"model.head": "mlp"}),
    "catvae:many": (
        "catvae",
        {"model.num_clusters": 40, "model.latent_dim": 80, "evaluation.plane": False},
    ),
    "infocatvae:shared": (
        "infocatvae",
        {
            "model.trunk": "shared",
            "model.reconstruction": "exact",
            "model.detached": False,
            "model.stop_gradient": "none",
            "model.affine": False,
            "model.logits_scale": 1.0,
        },
    ),
    "n_vae:unlabelled": (
        "n_vae",
        {"data.labels_per_class": 10, "model.invariance": True},
    ),
    "n_vae:active": ("n_vae", {"model.kl_blocks": "active"}),
    "infomax_vae:batch": ("infomax_vae", {"network.normalization": "batch"}),
    "infomax_vae:no_code": ("infomax_vae", {"model.code_dim": 0}),
    "mi_vae:relaxed": ("mi_vae", {"model.generated": "relaxed"}),
    "vimae:logistic": ("vimae", {"model.prior": "logistic"}),
    "vae:conv": ("vae", {"network.kind": "conv", "network.conv_channels": (8, 16)}),
    "vae:learned": ("vae", {"data.likelihood": "learned_gaussian"}),
    "vae:levels": ("vae", {"data.likelihood": "discretized_logistic"}),
    "vae:target": ("vae", {"weights.kl_z": "target(8)"}),
}


def cases() -> dict[str, tuple[str, dict]]:
    """Name -> config and changes: every config file, and the variants."""
    names = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
    return {name: (name, {}) for name in names if name != "base"} | VARIANTS


def make_config(name: str, changes: dict):
    """A case's config: small networks, a short evaluation."""
    config = config_lib.load_config_file(str(ROOT / "configs" / f"{name}.py"))
    config.network.encoder_hidden = config.network.decoder_hidden = (32, 32)
    config.evaluation.nll_samples, config.evaluation.nll_examples = 5, 40
    config.evaluation.samples_per_cluster = 10
    for key, value in changes.items():
        group, _, last = key.partition(".")
        config[group][last] = value
    return config_lib.from_json(config_lib.to_json(config))


def train(config) -> tuple:
    """Loss, parameters and mean metrics after 25 steps, and the run."""
    run = open_run(config, say=lambda text: None)
    state = train_step.init_train_state(run.objective, run.transform, config.seed)
    step = jax.jit(loop.make_multi_step(run))
    state, metrics = step(state, run.training_data(), run.batch_indices(0, STEPS))
    loss = float(metrics["loss_last"])
    return loss, train_step.variables(state), metrics, run


def record(config) -> dict:
    """The figures of one case."""
    loss, params, metrics, run = train(config)
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(params):
        digest.update(np.asarray(leaf).tobytes())
    result = evaluation.evaluate(run, params, STEPS)
    return {
        "loss": loss,
        "params": digest.hexdigest(),
        "metrics": {k: float(v) for k, v in sorted(metrics.items())},
        "rows": [[row[0], row[1]] for row in result["table"]],
        "values": result["metrics"],
    }


def differences(old: dict, new: dict) -> list[str]:
    """One line for every case that is not the same to the bit."""
    lines = []
    for case in sorted(old.keys() | new.keys()):
        before, after = old.get(case), new.get(case)
        if before is None or after is None:
            lines.append(f"{case}: only {'after' if before is None else 'before'}")
            continue
        for part in before:
            if json.dumps(before[part]) != json.dumps(after[part]):
                lines.append(f"{case}: {part} differ")
                lines += [
                    f"    {a} -> {b}"
                    for a, b in zip(before["rows"], after["rows"], strict=False)
                    if part == "rows" and a != b
                ]
    return lines


def main() -> int:
    """Records, writes and compares; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--losses", type=pathlib.Path, help="the losses alone")
    parser.add_argument("--only", default="", help="names of cases, with commas")
    options = parser.parse_args()
    chosen = {
        case: how
        for case, how in cases().items()
        if not options.only or case in options.only.split(",")
    }
    found = {}
    for case, (name, changes) in chosen.items():
        found[case] = record(make_config(name, changes))
        print(f"{case}: loss {found[case]['loss']:.6g}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    if options.losses:
        losses = {case: figures["loss"] for case, figures in found.items()}
        options.losses.write_text(json.dumps(losses, indent=1) + "\n")
    if not options.against:
        return 0
    old = json.loads(options.against.read_text())
    lines = differences({case: old[case] for case in chosen if case in old}, found)
    print("\n".join(lines) or f"all {len(found)} equal")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
