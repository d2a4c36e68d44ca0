"""The `ladder` directive: the recorded ladder as a table with bars."""

import json
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.osutil import relative_uri

RECORD = Path(__file__).parents[3] / "notebooks/results/ladder_sotu.json"


class ladder(nodes.General, nodes.Element):
    """Stands for the table until the page's address is known."""


class Ladder(Directive):
    """`{ladder}`: no content, no options."""

    def run(self):
        env = self.state.document.settings.env
        env.note_dependency(str(RECORD))
        return [ladder()]


def rows(record):
    """[(name, chapter or None, bits per character)], counting first."""
    counted = [(name, None, bits) for name, bits in record["baselines"].items()]
    models = [
        (rung["stage"], rung["chapter"], rung["bits_per_char"])
        for rung in record["stages"]
    ]
    return counted, models


def table(record, link):
    """The record as HTML; `link(chapter, name)` gives a name its address."""
    groups = zip(
        ("by counting", "by this course's models"), rows(record), strict=True
    )
    widest = max(record["baselines"].values())
    out = [
        '<table class="mg-rungs"><caption>Bits per character on held-out '
        "text, less is better.</caption>"
    ]
    for title, entries in groups:
        out.append(
            f'<tbody><tr><th colspan="3" scope="rowgroup">{title}</th></tr>'
        )
        for name, chapter, bits in entries:
            label = escape(name) if chapter is None else link(chapter, name)
            kind = "count" if chapter is None else "model"
            out.append(
                f'<tr><th scope="row">{label}</th><td>{bits:.2f}</td>'
                f'<td class="mg-rung"><svg viewBox="0 0 100 10" '
                f'preserveAspectRatio="none" aria-hidden="true"><rect '
                f'class="mg-rung-{kind}" width="{100 * bits / widest:.1f}" '
                f'height="10"></rect></svg></td></tr>'
            )
        out.append("</tbody>")
    return "".join(out) + "</table>\n"


def visit(translator, node):
    """Link each rung to the chapter that builds it, if the book has it."""
    builder = translator.builder
    here = builder.get_target_uri(builder.current_docname)
    chapters = {
        int(name.split("/")[1][:2]): name
        for name in builder.env.all_docs
        if name.startswith("notebooks/")
    }

    def link(chapter, name):
        if chapter not in chapters:
            return escape(name)
        uri = relative_uri(here, builder.get_target_uri(chapters[chapter]))
        return f'<a href="{uri}">{escape(name)}</a>'

    record = json.loads(RECORD.read_text(encoding="utf-8"))
    translator.body.append(table(record, link))
    raise nodes.SkipNode


def setup(app):
    app.add_node(ladder, html=(visit, None))
    app.add_directive("ladder", Ladder)
