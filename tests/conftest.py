"""Shared set-up: strict numerics, shape checks, quick compilation, small configs.

Array shapes in signatures are checked while testing (jaxtyping with beartype) and
are free in production. Nearly all of the time would go into compiling: XLA does not
optimise here, emits its loops by the older way, which compiles twice as quickly, and
keeps its programs under .pytest_cache. With INFOVAE_TESTS_OPTIMIZED=1 it optimises as
in production.
"""

import os
import pathlib
import signal
import sys

import jaxtyping
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPTIMIZED = os.environ.get("INFOVAE_TESTS_OPTIMIZED") == "1"
# Before jax is imported; processes that a test starts inherit them.
if not OPTIMIZED:
    QUICK = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    os.environ.setdefault("XLA_FLAGS", QUICK)
_CACHE = ROOT / ".pytest_cache" / ("xla-optimized" if OPTIMIZED else "xla")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("XDG_STATE_HOME", str(ROOT / ".pytest_cache" / "state"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

jaxtyping.install_import_hook(
    [
        "infovae_jax.distributions",
        "infovae_jax.evaluation.assignments",
        "infovae_jax.information",
        "infovae_jax.objectives",
        "infovae_jax.priors",
    ],
    "beartype.beartype",
)

import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")

from infovae_jax import config as config_lib  # noqa: E402
from infovae_jax import objectives  # noqa: E402
from infovae_jax.types import DataSpec  # noqa: E402


def load_config(name: str, preset: str = "digits"):
    """The config of `configs/<name>.py`, as main would resolve it."""
    config = config_lib.load_config_file(f"{ROOT / 'configs' / name}.py:{preset}")
    return config_lib.from_json(config_lib.to_json(config))


@pytest.fixture(scope="session", autouse=True)
def _hangups_are_heard():
    """Under nohup, too, which has this process and all that it starts ignore SIGHUP."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def make_config():
    """`make_config(objective, **model)`: a shipped config with tiny networks."""

    def make(name: str, **model):
        if "." in name:  # of another package
            config = load_config("vae")
            objectives.recast(config, name, {})
        else:
            config = load_config(name)
        config.network.encoder_hidden = config.network.decoder_hidden = (16,)
        for key, value in model.items():
            config.model[key] = value
        for key, value in config.weights.items():
            if isinstance(value, str):
                config.weights[key] = 1.0
        return config

    return make


@pytest.fixture
def spec():
    """Small grey images with a Bernoulli likelihood."""
    return DataSpec((4, 4, 1), "float32", "bernoulli", 64, 10, False)


# Files whose tests inject faults; docs/promises.md tells what each promises.
FAULTS = {
    *("faults", "signals", "power_cut", "output", "identity", "opening", "rewind"),
    *("checkpoint", "metrics", "interruption", "leftovers", "sealed", "resume"),
    *("kills", "storage", "origin", "parts", "fuzz", "soak"),
}


# Long ones first, so that at the end no worker waits for another.
LONG = ("docs", "contributing", "systems", "resume", "conformance", "golden")


def pytest_collection_modifyitems(items):
    """Tests that start processes are marked, and long files come first."""
    for item in items:
        starts = {"subprocess", "forked"} & {*item.function.__code__.co_names}
        if starts or "run_main" in item.fixturenames:
            item.add_marker(pytest.mark.process)
        if item.path.stem.removesuffix("_test") in FAULTS:
            item.add_marker(pytest.mark.faults)
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda i: places.get(i.path.stem.removesuffix("_test"), len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file's tests share a worker, and with it fixtures and compiled programs.

    Those of each objective by themselves, if the file is about several. The mark
    `xdist_group` is not used: pytest 9.2 and xdist 3.8 ignore it.
    """
    from xdist.scheduler import LoadScopeScheduling

    # As parameters write them: `n_vae`, `NVAE`.
    names = {name.replace("_", "") for name in objectives.names()}

    class ByFileAndObjective(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path, _, test = nodeid.partition("::")
            parameters = test.partition("[")[2].rstrip("]").split("-")
            plain = {text.lower().replace("_", "") for text in parameters}
            return " ".join([path, *sorted(names & plain)])

    if config.option.dist != "loadscope":
        return None
    return ByFileAndObjective(config, log)


@pytest.fixture(scope="module")
def compiled_init():
    """Parameters come of one program; eagerly they are most of a quick test's time."""
    import functools

    def compiled(make, config, spec, *own):
        objective = make(config, spec, *own)
        return objective._replace(init=jax.jit(objective.init))

    with pytest.MonkeyPatch.context() as patch:
        for name in objectives.names():
            module = objectives.load(name)
            patch.setattr(module, "make", functools.partial(compiled, module.make))
        yield


@pytest.fixture
def run_main():
    """Runs the command line in a process of its own; returns the completed process."""
    import forked

    def run(*arguments, cwd=ROOT, timeout=300, env=None):
        command = [sys.executable, "-m", "infovae_jax.main", *arguments]
        return forked.run(command, cwd, {**os.environ, **(env or {})}, timeout)

    return run


@pytest.fixture
def run_main_inprocess(monkeypatch, capfd):
    """Runs the command line in this process; returns what `run_main` returns."""
    import subprocess
    import warnings

    from absl import flags

    from infovae_jax import main

    def run(*arguments, cwd=ROOT):
        argv = ["infovae_jax.main", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        monkeypatch.chdir(cwd)
        capfd.readouterr()
        code = 0
        try:
            with warnings.catch_warnings():
                # ml_collections loads config files in a way that Python 3.12 drops.
                warnings.simplefilter("ignore", DeprecationWarning)
                main.main()
        except SystemExit as stop:
            code = stop.code
        finally:
            for name in list(flags.FLAGS):
                if name.startswith("config."):
                    delattr(flags.FLAGS, name)
            flags.FLAGS.unparse_flags()
            for name in flags.FLAGS:
                flags.FLAGS[name].unparse()
        return subprocess.CompletedProcess(argv, code, *capfd.readouterr())

    return run
