"""Of the site: pip install -e '.[docs]' && sphinx-build -W docs docs/_build"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import infovae_jax  # noqa: E402

project = "infovae_jax"
version = release = infovae_jax.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Pages also point at files of the repository, which are no pages of the site.
suppress_warnings = ["myst.xref_missing"]
napoleon_use_ivar = True


def _escape_bars(app, what, name, obj, options, lines):
    """Docstrings write |u| for a magnitude; docutils would substitute it."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", _escape_bars)
