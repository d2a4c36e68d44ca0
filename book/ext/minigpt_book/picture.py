"""The `architecture` directive: one SVG whose parts link to their chapters."""

import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.osutil import relative_uri

PICTURE = Path(__file__).parents[2] / "theme" / "architecture.svg"
PART = re.compile(r'<a data-chapter="(\w+)">(.*?)</a>', re.DOTALL)


class architecture(nodes.General, nodes.Element):
    """Stands for the picture until the page's address is known."""


class Architecture(Directive):
    """`{architecture}`: no content, no options."""

    def run(self):
        env = self.state.document.settings.env
        env.note_dependency(str(PICTURE))
        return [architecture()]


def visit(translator, node):
    """Link the parts whose chapter is in the book; leave the others plain."""
    builder = translator.builder
    here = builder.get_target_uri(builder.current_docname)

    def link(match):
        docname = f"notebooks/{match[1]}"
        if docname not in builder.env.all_docs:
            return f"<g>{match[2]}</g>"
        uri = relative_uri(here, builder.get_target_uri(docname))
        return f'<a href="{uri}">{match[2]}</a>'

    svg = PICTURE.read_text(encoding="utf-8")
    translator.body.append(
        f'<div class="mg-architecture">{PART.sub(link, svg)}</div>\n'
    )
    raise nodes.SkipNode


def setup(app):
    app.add_node(architecture, html=(visit, None))
    app.add_directive("architecture", Architecture)
