"""What the book needs beyond Jupyter Book, as one local Sphinx extension.

lines.py      where a line of text may end
mathml.py     LaTeX -> MathML while the book is built (no engine in a page)
modules.py    the reference of the package, from its docstrings
notebooks.py  what a notebook shows on its page, without changing the file
outputs.py    figures get their alt text and size, widgets their container
picture.py    the picture of the architecture, its parts linked to chapters
playground.py the course's model running in a page
rungs.py      the recorded ladder as a table with bars
site.py       which scripts and styles a page loads, kept small
"""

from . import (
    lines,
    mathfont,
    mathml,
    modules,
    notebooks,
    outputs,
    picture,
    playground,
    rungs,
    site,
)


def setup(app):
    """Register every part with Sphinx."""
    for part in (
        lines,
        mathfont,
        mathml,
        modules,
        notebooks,
        outputs,
        picture,
        playground,
        rungs,
        site,
    ):
        part.setup(app)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
