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


def test_the_notebook_leaves_the_accelerator_alone_until_training_has_ended():
    """The training process needs it, and one process can hold it."""
    texts = ["".join(cell["source"]) for cell in code_cells()]
    trains = next(i for i, text in enumerate(texts) if "infovae_jax.main" in text)
    for text in texts[: trains + 1]:
        assert "import jax" not in text
        assert "from jax" not in text
        assert "from infovae_jax" not in text


def test_the_notebook_installs_from_the_index_by_default(monkeypatch):
    """Where the package is not there; the versions of JAX and NumPy stay."""
    monkeypatch.delenv("INFOVAE_PACKAGE", raising=False)
    cells = ["".join(cell["source"]) for cell in code_cells()]
    names, commands = {}, []
    exec(cells[0], names)
    found = {"jax": "1", "numpy": "2"}
    stub = cells[1].replace("versions(*KEPT)", "FOUND")
    stub = stub.replace('versions("infovae_jax")', "{}").replace("    run(", "    RUN(")
    exec(stub, names | {"FOUND": found, "RUN": lambda *words: commands.append(words)})
    assert [words[-1] for words in commands] == ["infovae_jax"]


def test_all_cells_run_and_show_every_figure(monkeypatch, tmp_path, capsys):
    workdir = tmp_path / "run"
    monkeypatch.setenv("INFOVAE_SMALL", "1")
    monkeypatch.setenv("INFOVAE_WORKDIR", str(workdir))
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
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
    printed = capsys.readouterr().out
    assert "report.html" in printed
    assert "clusters of the run:" in printed
    assert (tmp_path / "run_model").is_dir()
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        kept = set(archive.namelist())
    assert {"config.json", "metrics.jsonl", "report.html"} <= kept
