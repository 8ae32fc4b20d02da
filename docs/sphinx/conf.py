"""Settings of the documentation site. `python docs/make_site.py` stages the pages and calls Sphinx with them.

Sphinx with Furo, and not Material for MkDocs: MkDocs 1 has had no release since 2024, and Material has announced the end of
its maintenance. Sphinx, Furo and MyST are released regularly, and bench needs nothing that only Material has.
"""

import importlib.metadata

project = "bench"
author = "the authors of bench"
release = importlib.metadata.version("adversarial-bench")
version = release

extensions = ["myst_parser"]
myst_heading_anchors = 4
# links to anchors that are written as HTML, and to the API reference, which Sphinx does not know; make_site.py checks them
suppress_warnings = ["myst.xref_missing", "myst.header"]
exclude_patterns: list[str] = []

html_theme = "furo"
html_title = "bench"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
