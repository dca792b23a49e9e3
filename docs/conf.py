"""The documentation site: `make docs` builds it in docs/_build/html, and fails at a link that leads nowhere."""

from __future__ import annotations

from importlib.metadata import version as version_of

import django
from django.conf import settings

# The API's reference is read from the docstrings, so the models' modules must be importable; no database is asked.
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "ninja", "pubsubpull"],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

project = "pubsubpull"
author = "the pubsubpull authors"
copyright = author  # noqa: A001  Sphinx's own name for it
release = version = version_of("pubsubpull")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False
intersphinx_mapping: dict[str, tuple[str, None]] = {}  # a build needs no network

myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"

default_role = "code"  # the docstrings mark code as Markdown does
html_theme = "furo"
html_title = f"pubsubpull {version}"
html_static_path: list[str] = []
