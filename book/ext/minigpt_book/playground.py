"""The `playground` directive: the course's models running in a page.

Its scripts are two files, one for the page and one for its worker
(minigpt/run/bundle.py). The weights and the tokenizer of each model are copied
into a folder beside them. From the disk a page may load only scripts, so each
of these files is there a second time, as text in a script. Where no model is
built, the page says so.
"""

import base64
import hashlib
import html
import json
import shutil
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.osutil import relative_uri

from minigpt.run.bundle import PACKAGE, PARTS, facts, on_disk, script

from .policy import META

ASSETS = PACKAGE / "assets"
FOLDER = "_static/playground"
FILES = ("tokenizer.json", "model.safetensors")
MODELS = {  # what the page says about the models in minigpt/assets
    "second_term": (
        "The presidents",
        "It has read messages of U.S. presidents and writes in their style.",
    ),
    "world": (
        "A little world",
        "It has read made-up stories of who is where and who has what.",
    ),
}
NOTHING = (
    "<p>The model is not built into this copy of the book. "
    "<code>minigpt/assets/README.md</code> says how to train it; build the "
    "book again when it is there.</p>"
)
NO_SCRIPT = "<p>This part of the page needs JavaScript.</p>"


def shipped():
    """The folders of the models that the page offers."""
    return [ASSETS / name for name in MODELS]


def built(folder):
    return all((folder / name).is_file() for name in FILES)


def models(folders):
    """What the page must know about each model that is built."""
    return [about(folder) for folder in folders if built(folder)]


def about(folder):
    label, text = MODELS.get(folder.name, (folder.name, ""))
    return {
        "name": folder.name,
        "label": label,
        "about": text,
        "files": [facts(x, (folder / x).read_bytes()) for x in FILES],
    }


def version():
    """What changes in the worker's address when its script changes."""
    return hashlib.sha256(script("worker.js").encode()).hexdigest()[:16]


def box(static, folders):
    """The HTML of the playground; `static` leads to the folder of scripts."""
    known = models(folders)
    if not known:
        return f'<div class="mg-playground">{NOTHING}</div>\n'
    return (
        f'<div class="mg-playground"{data(static, known)}>{NO_SCRIPT}</div>\n'
    )


def data(static, known):
    """Attributes of a box whose script starts one of the `known` models."""
    return (
        f' data-static="{html.escape(static)}" data-version="{version()}"'
        f' data-models="{html.escape(json.dumps(known))}"'
    )


def write(site, folders):
    """Scripts, style and models, into a folder of the site."""
    site.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        (site / name).write_text(script(name), encoding="utf-8")
    for folder in filter(built, folders):
        (site / folder.name).mkdir(exist_ok=True)
        for name in FILES:
            shutil.copy(folder / name, site / folder.name)
            text = base64.b64encode((folder / name).read_bytes()).decode()
            write_disk(site, f"{folder.name}/{name}", text)
    write_disk(site, "worker.js", script("worker.js"))


def write_disk(site, name, text):
    (site / f"{name}.js").write_text(on_disk(name, text), encoding="utf-8")


def page_html(folders):
    """A page with nothing but the playground, for testing it.

    It has the policy of the book's pages: what they forbid, it forbids.
    """
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8">{META}'
        '<meta name="viewport" content="width=device-width">'
        "<title>playground</title>"
        '<link rel="stylesheet" href="minigpt.css">'
        '<link rel="stylesheet" href="page.css">'
        f"<main>{box('', folders)}</main>"
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
        for path in [ASSETS / m / name for m in MODELS for name in FILES]:
            env.note_dependency(str(path))
        return [playground()]


def visit(translator, node):
    builder = translator.builder
    here = builder.get_target_uri(builder.current_docname)
    static = relative_uri(here, FOLDER + "/")
    translator.body.append(box(static, shipped()))
    raise nodes.SkipNode


def on_page(app, pagename, templatename, context, doctree):
    """Load script and style only where they are needed."""
    if "data-models=" in (context.get("body") or ""):
        app.add_js_file("playground/page.js", loading_method="defer")
        app.add_css_file("playground/page.css")


def on_start(app):
    """Put scripts and model into the site first: pages name their checksum."""
    if app.builder.format == "html":
        write(Path(app.outdir) / FOLDER, shipped())


def setup(app):
    app.add_node(playground, html=(visit, None))
    app.add_directive("playground", Playground)
    app.connect("html-page-context", on_page)
    app.connect("builder-inited", on_start)
