"""How Sphinx builds these pages: `make docs`. Every warning is an error."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Loopwright"
author = "The Loopwright authors"
project_copyright = "the Loopwright authors"
release = version_of("loopwright")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Loopwright {release}"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_class_signature = "separated"

CODE = re.compile(r"(``?[^`]+``?)")
MARKUP = re.compile(r"(?<!\w)\*(?=[\w*]+\b(?!\*))|_(?!\w)|[|\\]")


def as_written(*given: Any) -> None:
    """Our docstrings are prose with `names` in backquotes, as in Markdown; reStructuredText differs.

    Code becomes a literal, also where a letter follows it (`ServiceSpec`s), and nothing else in the prose has
    a meaning but *emphasis* and lists. `given` is what autodoc-process-docstring passes; the lines come last.
    """
    lines: list[str] = given[-1]
    pieces = CODE.split("\n".join(lines))
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            pieces[number] = MARKUP.sub(r"\\\g<0>", piece)
        else:
            glue = "\\ " if pieces[number + 1][:1].isalnum() else ""
            pieces[number] = f"``{piece.strip('`')}``{glue}"
    lines[:] = "".join(pieces).split("\n")


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", as_written)
