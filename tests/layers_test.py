"""The architecture: imports point one way, in no circle, and nothing heavy is there."""

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "infovae_jax"

# From the bottom up; a part may import from its own layer and those before it.
LAYERS = [
    ["errors", "types"],
    ["distributions", "networks"],
    ["config"],
    ["data"],
    ["priors", "information"],
    ["objectives"],
    ["training"],
    ["evaluation"],
    ["report", "export"],
    ["estimators", "commands", "benchmark", "doctor"],
    ["main"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LONGEST = {"objectives": 60}
LOOP = ("loop.py", "train")


def imports(path):
    """Modules that a file imports anywhere, with `from a import b` as a and a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def modules():
    """Dotted name -> path of every module of the package."""
    names = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        names[".".join(parts)] = path
    return names


@functools.cache
def graph():
    """Module -> the modules of the package that it imports, by their own names.

    `from package import name` is an import of the module `package.name` where there is
    one, and of the package else.
    """
    edges = {}
    for name, path in modules().items():
        edges[name] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or node.module not in modules():
                continue
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                edges[name].add(full if full in modules() else node.module)
        edges[name].discard(name)
    return edges


def circles(edges):
    """Sets of modules that import one another (strongly connected components)."""
    reach = {}

    def reachable(start):
        seen, left = set(), [start]
        while left:
            for following in edges[left.pop()]:
                if following not in seen:
                    seen.add(following)
                    left.append(following)
        return seen

    for name in edges:
        reach[name] = reachable(name)
    return {
        frozenset(b for b in reach[a] if a in reach[b]) for a in edges if a in reach[a]
    }


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
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_there_are_no_circles():
    assert circles(graph()) == set()


def test_circles_are_found_where_there_are_some():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circles(edges) == {frozenset("abc")}


def test_rooms_are_few_and_stand_in_at_most_ten_levels():
    """A room is an entry of the root; its level is the longest way down from it."""
    rooms = {part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms == set(LEVEL)
    assert len(rooms) + 1 <= 20  # with __init__
    below = {room: set() for room in rooms}
    for name, targets in graph().items():
        own = name.split(".")[1] if "." in name else None
        for target in targets:
            other = target.split(".")[1] if "." in target else None
            if own and other and own != other:
                below[own].add(other)
    assert circles(below) == set()

    @functools.cache
    def level(room):
        return 1 + max(map(level, below[room]), default=0)

    assert max(map(level, rooms)) <= 10


def test_flax_linen_is_in_networks_only_and_pickle_nowhere():
    for path in PACKAGE.rglob("*.py"):
        names = set(imports(path))
        assert "pickle" not in names, path
        if part_of(path) != "networks":
            assert not any(name.startswith("flax") for name in names), path


def test_objectives_do_not_know_one_another():
    """Save for their helpers, and InfoCatVAE, which is CatVAE plus terms."""
    for path in (PACKAGE / "objectives").glob("*.py"):
        others = {
            n.split(".")[2]
            for n in imports(path)
            if n.startswith("infovae_jax.objectives.")
        }
        allowed = {"catvae"} if path.stem == "infocatvae" else set()
        assert {n for n in others if not n.startswith("_")} <= allowed, path


def test_functions_are_short():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef):
                continue
            lines = node.end_lineno - node.lineno + 1
            limit = LONGEST.get(part_of(path), 80)
            if (path.name, node.name) == LOOP:
                limit = 120
            if lines > limit:
                wrong.append(f"{path.relative_to(PACKAGE)}: {node.name}, {lines}")
    assert not wrong


@pytest.mark.parametrize(
    ("name", "limit"), [("catvae", 220), ("n_vae", 210), ("infomax_vae", 120)]
)
def test_objectives_are_pages(name, limit):
    text = (PACKAGE / "objectives" / f"{name}.py").read_text()
    assert len(text.splitlines()) <= limit


def assert_runs(code):
    """In a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.process
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
    assert_runs(code)


@pytest.mark.process
def test_the_package_itself_imports_nothing_and_the_estimators_no_device():
    code = (
        "import sys, infovae_jax\n"
        "heavy = {'jax', 'numpy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy and 'VAE' in dir(infovae_jax), heavy\n"
        "from infovae_jax import VAE, load\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, xla_bridge._backends\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)\n"
    )
    assert_runs(code)


@pytest.mark.process
def test_importing_every_module_touches_no_device():
    """Of those that need no peer to measure."""
    names = [n for n in modules() if "torch" not in n and "pythae" not in n]
    names = [n for n in names if not n.endswith("__main__")]
    code = (
        f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, xla_bridge._backends\n"
    )
    assert_runs(code)


def test_main_is_short():
    assert len((PACKAGE / "main.py").read_text().splitlines()) <= 80
