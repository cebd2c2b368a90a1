"""The architecture: imports point one way, and nothing heavy is imported."""

import ast
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "infovae_jax"

# From the bottom up; a module may import from its own layer and those before it.
LAYERS = [
    ["errors", "types", "schedules", "config", "model_state"],
    ["data"],
    ["networks", "distributions", "likelihoods", "priors", "terms"],
    [
        "information",
        "gaussian_model",
        "invariance",
        "fitted_gaussian",
        "cluster_sums",
        "shifted_gaussians",
    ],
    ["objectives"],
    ["optimizer", "train_step"],
    [
        "sharding",
        "checkpoint",
        "metrics",
        "distributed",
        "streaming",
        "population",
        "progress",
        "signals",
    ],
    ["run", "blocks"],
    ["bound"],
    ["loop"],
    ["population_run"],
    ["evaluation"],
    ["report"],
    [
        "modes",
        "summary",
        "benchmark",
        "robustness",
    ],
    ["main"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports(path):
    """Modules that a file imports, with `from a import b` as both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_imports_point_downwards():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        own = part_of(path)
        if own == "__init__":
            continue
        for name in imports(path):
            parts = name.split(".")
            if parts[0] != "infovae_jax" or len(parts) < 2 or parts[1] not in LEVEL:
                continue
            if LEVEL[parts[1]] > LEVEL[own]:
                wrong.append(f"{path.name} imports {name}")
    assert not wrong


def test_every_module_has_its_layer():
    found = {part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert found <= set(LEVEL)


def test_flax_linen_is_in_networks_only_and_pickle_nowhere():
    for path in PACKAGE.rglob("*.py"):
        names = set(imports(path))
        assert "pickle" not in names, path
        if part_of(path) != "networks":
            assert not any(name.startswith("flax") for name in names), path


def test_objectives_do_not_know_one_another():
    for path in (PACKAGE / "objectives").glob("*.py"):
        others = {
            n.split(".")[-1]
            for n in imports(path)
            if n.startswith("infovae_jax.objectives.")
        }
        allowed = {"catvae"} if path.stem == "infocatvae" else set()
        assert others - {"default_hparams"} <= allowed, path


def test_import_is_light_and_touches_no_device():
    """No TensorFlow, no torch, nothing a first step can spare, and no JAX backend."""
    code = (
        "import sys, infovae_jax.commands, infovae_jax.main\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, xla_bridge._backends\n"
        "heavy = {'tensorflow', 'torch', 'tensorflow_datasets', 'sklearn',"
        " 'matplotlib', 'orbax.checkpoint', 'scipy.optimize'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_main_is_short():
    assert len((PACKAGE / "main.py").read_text().splitlines()) <= 80
