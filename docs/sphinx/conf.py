"""Settings of the documentation site. `python docs/make_site.py` stages the pages and calls Sphinx with them.

Sphinx with Furo, and not Material for MkDocs: Material has announced its end of life
(github.com/squidfunk/mkdocs-material, issue 8523), and its successor has no stable release yet. Sphinx, Furo and MyST
are released regularly, and bench needs nothing that only Material has.
"""

import importlib.metadata

project = "bench"
author = "the authors of bench"
release = importlib.metadata.version("adversarial-bench")
version = release

extensions = ["myst_parser"]
myst_heading_anchors = 4
# links to anchors in HTML and to the API reference, which Sphinx does not know; make_site.py checks them
suppress_warnings = ["myst.xref_missing", "myst.header"]
exclude_patterns: list[str] = []

html_theme = "furo"
html_title = "bench"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
