"""The examples of CONTRIBUTING.md, executed in a copy of the project."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A section's title -> files of the package that its example touches, configs included.
FILES = {
    "An objective: two files": 2,
    "A network: two files": 2,
    "A likelihood: one file": 1,
    "A data source: two files": 2,
    "A metric: two files": 2,
}
BLOCK = re.compile(r"<!-- (?P<what>[^\n]*) -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)

pytestmark = pytest.mark.process


def sections():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for part in text.split("\n### ")[1:]:
        title, _, body = part.partition("\n")
        yield title, body.split("\n## ")[0]


def insert(path, after, lines):
    """Puts lines after the first line that begins with `after`."""
    text = path.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(text) if line.startswith(after))
    path.write_text("".join([*text[: at + 1], lines, *text[at + 1 :]]))


def execute(title, body, folder):
    """Writes what a section says and runs its commands; the files it touched."""
    touched, outputs = set(), []
    for block in BLOCK.finditer(body):
        what, text = block["what"], block["text"]
        if what == "run":
            command = text.replace("python ", f"{sys.executable} ")
            done = subprocess.run(
                ["bash", "-ec", command],
                cwd=folder,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(folder)},
            )
            assert done.returncode == 0, done.stderr[-2000:]
            outputs.append(done.stdout)
            continue
        kind, _, rest = what.partition(": ")
        name, _, after = rest.partition(", after: ")
        touched.add(name)
        if kind == "file":
            (folder / name).write_text(text)
        else:
            insert(folder / name, after, text)
    return touched, outputs


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project after all examples, with what each touched and printed."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("infovae_jax", "configs", "tests", "pyproject.toml"):
        source = ROOT / name
        ignore = shutil.ignore_patterns("__pycache__", ".pytest_cache")
        copier = shutil.copytree if source.is_dir() else shutil.copy
        copier(source, folder / name, **({"ignore": ignore} if source.is_dir() else {}))
    done = {title: execute(title, body, folder) for title, body in sections()}
    return folder, done


def test_every_example_works_and_touches_as_many_files_as_it_says(copy):
    _, done = copy
    assert {title: len(touched) for title, (touched, _) in done.items()} == FILES
    for title, (_, outputs) in done.items():
        assert outputs, title
        assert "elbo" in outputs[-1], title
    assert "code/sparsity" in done["A metric: two files"][1][-1]
    assert "stripes, 1,000" in done["A data source: two files"][1][-1]
    assert "log-density" in done["A likelihood: one file"][1][-1]


def test_the_objective_is_short_and_the_conformance_suite_finds_it(copy):
    folder, _ = copy
    text = (folder / "infovae_jax/objectives/free_bits.py").read_text()
    code = text.split('"""', 2)[2]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 30
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "tests/conformance_test.py"]
        + ["-k", "free_bits", "-p", "no:cacheprovider"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert re.search(r"1\d passed", done.stdout)
