"""The blocks of the pages run, in order, as a reader would run them."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.process


@pytest.mark.parametrize("page", ["docs/estimators.md", "docs/export.md", "README.md"])
def test_python_blocks_run(page, tmp_path, monkeypatch):
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_shell_blocks_run(tmp_path):
    """Of the page on the command, which this environment may not have installed."""
    text = (ROOT / "docs" / "command.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert blocks
    command = f'infovae() {{ "{sys.executable}" -m infovae_jax "$@"; }}\n'
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command + "\n".join(blocks)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "model" / "manifest.json").is_file()
