"""The `playground` directive: the course's model running in a page.

The scripts in book/playground become two files, one for the page and one for
its worker, together with the widgets' own scripts that they use. The weights
and the tokenizer are copied beside them. Where the course's model is not
there, the page says so.
"""

import hashlib
import html
import json
import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.osutil import relative_uri

from .policy import META

BOOK = Path(__file__).parents[2]
HERE = BOOK / "playground"
PACKAGE = Path(__file__).parents[3] / "minigpt"
VIZ, ASSETS = PACKAGE / "viz", PACKAGE / "assets" / "presidents"
FOLDER = "_static/playground"
FILES = ("tokenizer.json", "model.safetensors")
PARTS = {
    "worker.js": [
        VIZ / "common.js",
        VIZ / "sampling_dial.js",
        *(HERE / f"{n}.js" for n in ("tokenizer", "model", "load", "worker")),
    ],
    "page.js": [
        VIZ / "common.js",
        VIZ / "sampling_dial.js",
        VIZ / "attention_map.js",
        *(HERE / f"{n}.js" for n in ("tokenizer", "views", "page")),
    ],
    "page.css": [
        VIZ / "common.css",
        VIZ / "attention_map.css",
        HERE / "page.css",
    ],
}
EXPORT = "export default {"  # how a widget's own part begins
NOTHING = (
    "<p>The model is not built into this copy of the book. "
    "<code>minigpt/assets/README.md</code> says how to train it; build the "
    "book again when it is there.</p>"
)
NO_SCRIPT = "<p>This part of the page needs JavaScript.</p>"


def script(name):
    """The text of one of PARTS, from its parts."""
    text = "\n".join(plain(path) for path in PARTS[name])
    if name.endswith(".css"):
        return text
    return f'(() => {{\n"use strict";\n{text}\n}})();\n'


def plain(path):
    """A part without its export, which only a module may have."""
    text = path.read_text(encoding="utf-8")
    if path.name == "attention_map.js":
        before, found, after = text.partition(EXPORT)
        assert found, f"{path} exports nothing"
        return f"{before}const mgAttentionMap = {{{after}"
    return text.partition(EXPORT)[0]  # of the dial only its sums


def files(assets):
    """What the page must know about the files that it loads; [] if none."""
    if not all((assets / name).is_file() for name in FILES):
        return []
    return [
        {
            "name": name,
            "bytes": (assets / name).stat().st_size,
            "sha256": hashlib.sha256((assets / name).read_bytes()).hexdigest(),
        }
        for name in FILES
    ]


def box(static, assets=ASSETS):
    """The HTML of the playground; `static` leads to the folder of scripts."""
    known = files(assets)
    if not known:
        return f'<div class="mg-playground">{NOTHING}</div>\n'
    version = hashlib.sha256(script("worker.js").encode()).hexdigest()[:16]
    return (
        f'<div class="mg-playground" data-static="{html.escape(static)}"'
        f' data-version="{version}"'
        f' data-files="{html.escape(json.dumps(known))}">{NO_SCRIPT}</div>\n'
    )


def write(folder, assets=ASSETS):
    """Scripts, style, weights and tokenizer, into a folder of the site."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        (folder / name).write_text(script(name), encoding="utf-8")
    for file in files(assets):
        shutil.copy(assets / file["name"], folder)


def page_html(assets=ASSETS):
    """A page with nothing but the playground, for testing it.

    It has the policy of the book's pages: what they forbid, it forbids.
    """
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8">{META}'
        '<meta name="viewport" content="width=device-width">'
        "<title>playground</title>"
        '<link rel="stylesheet" href="minigpt.css">'
        '<link rel="stylesheet" href="page.css">'
        f"<main>{box('', assets)}</main>"
        '<script src="page.js"></script>'
    )


class playground(nodes.General, nodes.Element):
    """Stands for the box until the page's address is known."""


class Playground(Directive):
    """`{playground}`: no content, no options."""

    def run(self):
        env = self.state.document.settings.env
        for path in [p for parts in PARTS.values() for p in parts]:
            env.note_dependency(str(path))
        for name in FILES:
            env.note_dependency(str(ASSETS / name))
        return [playground()]


def visit(translator, node):
    builder = translator.builder
    here = builder.get_target_uri(builder.current_docname)
    translator.body.append(box(relative_uri(here, FOLDER + "/")))
    raise nodes.SkipNode


def on_page(app, pagename, templatename, context, doctree):
    """Load script and style only where they are needed."""
    if "data-files=" in (context.get("body") or ""):
        app.add_js_file("playground/page.js", loading_method="defer")
        app.add_css_file("playground/page.css")


def on_start(app):
    """Put scripts and model into the site first: pages name their checksum."""
    if app.builder.format == "html":
        write(Path(app.outdir) / FOLDER)


def setup(app):
    app.add_node(playground, html=(visit, None))
    app.add_directive("playground", Playground)
    app.connect("html-page-context", on_page)
    app.connect("builder-inited", on_start)
