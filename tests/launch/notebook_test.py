"""The notebook is clean, and its cells run in order from top to bottom."""

import json
import os
import pathlib
import sys
import types
import zipfile

import pytest

pytestmark = pytest.mark.process

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "launch" / "colab_tpu.ipynb"


def code_cells():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_is_valid_and_holds_no_outputs():
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert all(isinstance(line, str) for line in cell["source"])
    for cell in code_cells():
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        # Plain Python, so that what runs here is what runs in a notebook.
        compile("".join(cell["source"]), cell["id"], "exec")


def test_the_notebook_never_imports_jax_itself():
    """The training process needs the accelerator, which one process can hold."""
    text = "".join("".join(cell["source"]) for cell in code_cells())
    assert "import jax" not in text
    assert "from jax" not in text


def test_all_cells_run_and_show_every_figure(monkeypatch, tmp_path, capsys):
    workdir = tmp_path / "run"
    monkeypatch.setenv("INFOVAE_SMALL", "1")
    monkeypatch.setenv("INFOVAE_WORKDIR", str(workdir))
    monkeypatch.chdir(ROOT)
    shown = []
    display = types.ModuleType("IPython.display")
    display.display = shown.append
    display.Image = lambda filename: pathlib.Path(filename)
    display.Markdown = str
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    before = os.getcwd()
    names = {"__name__": "__main__"}
    for cell in code_cells():
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    assert os.getcwd() == before
    figures = {item for item in shown if isinstance(item, pathlib.Path)}
    assert figures == set((workdir / "figures").glob("*.png"))
    assert len(figures) > 5
    assert "report.html" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        kept = set(archive.namelist())
    assert {"config.json", "metrics.jsonl", "report.html"} <= kept
