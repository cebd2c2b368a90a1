"""Command line: flags -> resolved config -> one mode.

python -m infovae_jax.main --config=configs/infocatvae.py[:preset]
    [--config.key=value ...] [--workdir=DIR]
python -m infovae_jax.main --mode=evaluate|report|sample|encode --workdir=DIR
    [--metrics=core|all|representation,disentanglement,generation] [--member=0]

One of several processes: --distributed on a TPU pod, under SLURM or Open MPI; elsewhere
--coordinator=HOST:PORT --num_processes=N --process_id=I.
"""

import sys
import traceback

from absl import flags

from infovae_jax import commands
from infovae_jax.config import command_line
from infovae_jax.errors import ConfigError
from infovae_jax.training import opening, processes

CONFIG = command_line.define_config_flag()
MODE = flags.DEFINE_enum("mode", "train", commands.NAMES, "what to do with the run")
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
    "cluster", None, "--mode=sample: draw from this one only", lower_bound=0
)
opening.define_flags()
processes.define_flags()


def run_mode(argv: list[str], evaluation: dict[str, object]) -> None:
    """Runs the mode that the flags name; `evaluation` changes keys of a saved run."""
    if len(argv) > 1:
        what = f"unexpected argument '{argv[1]}'"
        raise ConfigError(what, "command line", "flags start with --")
    member, how = flags.FLAGS.member, opening.from_flags()
    if MODE.value == "train" and member is not None:
        what = "training is of all members"
        raise ConfigError(what, "--member", "give it to another --mode")
    if MODE.value == "train":
        processes.start_from_flags()
        commands.train(CONFIG.value, WORKDIR.value, how)
    elif MODE.value == "sample":
        what = NUM_SAMPLES.value, CLUSTER.value
        commands.sample(WORKDIR.value, *what, member, how)
    elif MODE.value == "evaluate":
        if INCEPTION.value is not None:
            evaluation["inception"] = INCEPTION.value
        commands.evaluate(WORKDIR.value, METRICS.value, member, evaluation, how)
    else:
        commands.BY_NAME[MODE.value](WORKDIR.value, member, how)


def main() -> None:
    """Runs the command; the only place that turns errors into exit codes."""
    try:
        run_mode(*command_line.parse_flags(sys.argv))
    except Exception as error:
        found = processes.as_user_error(error)
        if found is not None:
            print(found.line(), file=sys.stderr)
        elif processes.several():
            traceback.print_exception(error)
        else:
            raise
        processes.leave(found.exit_code if found else 1)


if __name__ == "__main__":
    main()
