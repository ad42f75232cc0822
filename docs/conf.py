"""Sphinx configuration of the documentation: `make docs`."""

import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parent
SCHEMA = DOCS.parent / "workflow" / "schemas" / "config.schema.yaml"
sys.path[:0] = [str(DOCS), str(DOCS.parent / "src")]

from configuration_page import configuration_page  # noqa: E402

import agf  # noqa: E402
from agf.config import read_schema  # noqa: E402

project = "agf"
author = "the authors of agf"
version = release = agf.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build"]
templates_path = ["templates"]

# GitHub's anchors, so that [a link](statistics.md#comparisons) leads to the heading there and here.
myst_heading_anchors = 4

# One page for every module, by templates/autosummary/module.rst. Those of modules that are gone
# would stay.
autosummary_generate = True
shutil.rmtree(DOCS / "generated", ignore_errors=True)
autodoc_default_options = {"members": True, "member-order": "bysource", "no-value": True}
autodoc_typehints = "none"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"agf {version}"
html_copy_source = False
html_show_copyright = False


def insert_configuration(app, docname, source):
    """Put the keys of the schema behind the introduction of their page, whenever it is read."""
    if docname == "configuration":
        app.env.note_dependency(SCHEMA)
        source[0] += configuration_page(read_schema(SCHEMA))


def skip_field(app, what, name, member, skip, options):
    """Leave out fields of named tuples: the docstring of the class says what they are."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app):
    app.connect("source-read", insert_configuration)
    app.connect("autodoc-skip-member", skip_field)
