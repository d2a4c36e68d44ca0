"""What the book needs beyond Jupyter Book, as one local Sphinx extension.

foot.py       a page's notebook, a way to report, a link to the repository
head.py       description, address and picture, for search and messengers
hero.py       the front page, whose model writes before your eyes
lines.py      where a line of text may end
machine.py    the whole computation of one sentence
mathml.py     LaTeX -> MathML while the book is built (no engine in a page)
modules.py    the reference of the package, from its docstrings
notebooks.py  what a notebook shows on its page, without changing the file
outputs.py    figures get their alt text and size, widgets their container
picture.py    the picture of the architecture, its parts linked to chapters
playground.py the course's model running in a page
policy.py     what a page may load: the Content-Security-Policy
search.py     what search results quote
site.py       which scripts and styles a page loads, kept small
size.py       the size of the built site, and the recorded speed of its pages
"""

from . import (
    foot,
    head,
    hero,
    lines,
    machine,
    mathfont,
    mathml,
    modules,
    notebooks,
    outputs,
    picture,
    playground,
    policy,
    search,
    site,
    size,
)


def setup(app):
    """Register every part with Sphinx."""
    for part in (
        foot,
        head,
        hero,
        lines,
        machine,
        mathfont,
        mathml,
        modules,
        notebooks,
        outputs,
        picture,
        playground,
        policy,
        search,
        site,
        size,
    ):
        part.setup(app)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
