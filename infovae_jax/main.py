"""Command line: flags -> resolved config -> one mode.

python -m infovae_jax.main --config=configs/NAME.py[:preset] [--config.KEY=VALUE ...]
python -m infovae_jax.main --mode=evaluate|report|sample|encode|predict|reconstruct|
    interpolate|traverse|export --workdir=DIR [--input=FILE_OR_FOLDER] [--member=0]
    [--output=FILE_OR_FOLDER] [--metrics=core|all|GROUP,...] [--formats=stablehlo,onnx]

One of several processes: --distributed on a TPU pod, under SLURM or Open MPI; elsewhere
--coordinator=HOST:PORT --num_processes=N --process_id=I.
"""

import sys
import traceback

from infovae_jax.errors import SIGNAL_ENDING, ConfigError, Stopped, silence_alarms

if __name__ == "__main__":
    SIGNAL_ENDING.install()  # before the imports, which take seconds
    silence_alarms()

from absl import flags  # noqa: E402

from infovae_jax import commands, objectives  # noqa: E402
from infovae_jax.config import command_line  # noqa: E402
from infovae_jax.training import opening, output, processes  # noqa: E402

FLAGS = flags.FLAGS
CONFIG = command_line.define_config_flag()
command_line.define_mode_flags(commands.NAMES)
opening.define_flags()
processes.define_flags()


def run_mode(argv: list[str], evaluation: dict, places: dict) -> None:
    """Runs the flags' mode; `evaluation` and `places` change keys of a saved run."""
    if len(argv) > 1:
        raise command_line.unexpected(argv[1])
    mode, workdir, member = FLAGS.mode, FLAGS.workdir, FLAGS.member
    how = opening.from_flags(places)
    if mode == "train" and member is not None:
        raise ConfigError("all members are trained", "--member", "leave it out")
    if mode == "train":
        processes.start_from_flags()
        commands.train(CONFIG.value, workdir, how, command_line.may_fit_batch())
    elif mode == "sample":
        commands.sample(workdir, FLAGS.num_samples, FLAGS.cluster, member, how)
    elif mode == "export":
        commands.export(workdir, FLAGS.output, FLAGS.formats, member, how)
    elif FLAGS.input is not None or mode in ("predict", *command_line.OF_IMAGES):
        new = FLAGS.input, FLAGS.output, FLAGS.num_samples
        commands.new_data(mode, workdir, *new, member, how)
    elif mode == "encode":
        commands.encode(workdir, member, how, FLAGS.output)
    elif mode == "evaluate":
        commands.evaluate(workdir, FLAGS.metrics, member, evaluation, how)
    else:
        commands.BY_NAME[mode](workdir, member, how)


def main() -> None:
    """Runs the command; the only place that turns errors into exit codes."""
    try:
        if not command_line.answer(sys.argv, __doc__):
            run_mode(*command_line.parse_flags(sys.argv, objectives.recast))
    except Stopped as stopped:
        processes.leave(SIGNAL_ENDING.say(stopped.number), at_once=True)
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
    output.keep_harmless()
    main()
