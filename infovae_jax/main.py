"""Command line: flags -> resolved config -> one mode.

python -m infovae_jax.main --config=configs/infocatvae.py[:preset]
    [--config.key=value ...] [--workdir=DIR]
python -m infovae_jax.main --mode=evaluate|report|sample|encode --workdir=DIR
    [--metrics=core|all|representation,disentanglement,generation]
"""

import sys

from absl import flags

from infovae_jax import config as config_lib
from infovae_jax import modes
from infovae_jax.errors import UserError, from_os_error

CONFIG = config_lib.define_config_flag()
MODE = flags.DEFINE_enum("mode", "train", modes.NAMES, "what to do with the run")
WORKDIR = flags.DEFINE_string("workdir", None, "the run's folder (default: runs/...)")
NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples", 64, "--mode=sample: how many images", lower_bound=1
)
METRICS = flags.DEFINE_string(
    "metrics", "core", "--mode=evaluate: core, all, or groups with commas between"
)
INCEPTION = flags.DEFINE_string(
    "inception", None, "--mode=evaluate: evaluation.inception of this evaluation"
)
CLUSTER = flags.DEFINE_integer(
    "cluster", None, "--mode=sample: draw from this cluster only", lower_bound=0
)


def run_mode(argv: list[str]) -> None:
    """Runs the mode that the flags name."""
    if len(argv) > 1:
        raise config_lib.ConfigError(
            f"unexpected argument '{argv[1]}'", "command line", "flags start with --"
        )
    if MODE.value == "train":
        modes.train(CONFIG.value, WORKDIR.value)
    elif MODE.value == "sample":
        modes.sample(WORKDIR.value, NUM_SAMPLES.value, CLUSTER.value)
    elif MODE.value == "evaluate":
        modes.evaluate(WORKDIR.value, METRICS.value, INCEPTION.value)
    else:
        modes.BY_NAME[MODE.value](WORKDIR.value)


def main() -> None:
    """Runs the command; the only place that turns errors into exit codes."""
    try:
        run_mode(config_lib.parse_flags(sys.argv))
    except UserError as error:
        print(error.line(), file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        storage_error = from_os_error(error)
        if storage_error is None:
            raise
        print(storage_error.line(), file=sys.stderr)
        sys.exit(storage_error.exit_code)


if __name__ == "__main__":
    main()
