"""The command `infovae`, also `python -m infovae_jax`: short words for what main does.

    infovae train --config=infocatvae:mnist    is
    python -m infovae_jax.main --mode=train --config=infocatvae:mnist

Help and version are printed before anything is imported.
"""

import sys

import infovae_jax
from infovae_jax.errors import (
    SIGNAL_ENDING,
    ConfigError,
    ending_in_one_line,
    silence_alarms,
    unknown,
)

HELP = """\
infovae COMMAND [--flag=value ...]       information-maximising VAEs in JAX

  train      --config=NAME[:preset] [--workdir=DIR] [--config.key=value ...]
             then evaluate and report; the same command goes on with its run
  evaluate   --workdir=DIR [--metrics=core|all|GROUP,...]   evaluation.json, report
  report     --workdir=DIR                   report.html and figures/ again
  encode     --workdir=DIR                   codes.npz of its data
  predict    --workdir=DIR --input=FILE_OR_FOLDER [--output=FILE.csv]   new data
  reconstruct  --workdir=DIR --input=IMAGES [--output=FILE.png|.npz]   of your own
  interpolate  likewise, from each image to the next
  traverse     likewise, with one dim of the code after the other moved
  sample     --workdir=DIR [--num_samples=64] [--cluster=3]   samples.npz and .png
  export     --workdir=DIR --output=FOLDER [--formats=stablehlo,onnx]
  summary    DIR ... [--output=FOLDER]       tables and figures over runs
  robustness DIR ...                         over seeds of one config
  benchmark                                  speed on this machine
  doctor                                     versions, devices, folders, and fixes

NAME is vae, infocatvae, ... (those that come with the package) or FILE.py; presets
are digits, mnist, fashion_mnist, shapes, ...; keys are in docs/reference.md.
Data of one's own: --config.data.source=FILE.npz, .npy, .csv, .tsv, .parquet, or FOLDER

  infovae train --config=infocatvae --workdir=run        40 seconds on two cores
  infovae COMMAND --help                    all flags of it; infovae --version
"""
# Those that are modules with a command line of their own.
MODULES = {
    "summary": "infovae_jax.report.summary",
    "robustness": "infovae_jax.report.robustness",
    "benchmark": "infovae_jax.benchmark",
}


def main() -> None:
    """Runs the command; exit codes are those of `infovae_jax.main`."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("help", "-h", "--help"):
        print(HELP, end="")
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        print(f"infovae_jax {infovae_jax.__version__}")
        return
    command, rest = arguments[0], arguments[1:]
    if command in MODULES or command == "doctor":
        from infovae_jax.training import output

        output.keep_harmless()
    if command in MODULES:
        import runpy

        sys.argv = [f"infovae {command}", *rest]
        runpy.run_module(MODULES[command], run_name="__main__", alter_sys=True)
        return
    if command == "doctor":
        from infovae_jax import doctor

        sys.exit(doctor.main())
    SIGNAL_ENDING.install()  # before the imports, which take seconds
    silence_alarms()
    from infovae_jax import commands
    from infovae_jax import main as main_lib
    from infovae_jax.training import output

    with ending_in_one_line():
        if command.startswith("-"):
            what = f"'{command}' stands where a command belongs"
            fix = "infovae train --config=NAME; see infovae --help"
            raise ConfigError(what, "command line", fix)
        if any(word.lstrip("-").startswith("mode=") for word in rest):
            what = f"--mode beside the command {command}"
            raise ConfigError(what, "command line", "leave --mode out")
        if command not in commands.NAMES:
            known = (*commands.NAMES, *MODULES, "doctor")
            raise unknown("command", command, known, "command line")
    sys.argv = ["infovae", f"--mode={command}", *rest]
    output.keep_harmless()
    main_lib.main()


if __name__ == "__main__":
    main()
