"""The `hero` directive: the front page, whose model writes before your eyes.

`{hero} stage` is the recorded writing, live when the reader types, and the
ways to go on; `{hero} figures` are six small figures, each with a question and
a link to its chapter; `{hero} ladder` is what the models of the chapters write
after the same words. benchmarks/hero.py recorded what is shown; a model that
is not built leaves the recording.
"""

import json
import re
import textwrap
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.util.osutil import relative_uri

from minigpt.run.bundle import PLAYGROUND, VIZ

from . import playground
from .policy import META

BOOK = Path(__file__).parents[2]
HERE = BOOK / "hero"
RESULTS = BOOK.parent / "notebooks" / "results"
RECORD, LADDER = RESULTS / "hero.json", RESULTS / "ladder_sotu.json"
FOLDER = "_static/hero"
SCRIPTS = [
    VIZ / "common.js",
    PLAYGROUND / "tokenizer.js",
    PLAYGROUND / "start.js",
    *(HERE / f"{name}.js" for name in ("stage", "live", "figures", "hero")),
]
STYLES = [VIZ / "common.css", HERE / "hero.css"]
MACHINE, WELCOME = "book/machine", "notebooks/00_welcome"
FIGURES = [  # name, chapter, question
    ("merge", 1, "How do letters become tokens?"),
    ("attention", 4, "Which words does a word look back at?"),
    ("learning", 9, "What does learning look like?"),
    ("sampling", 10, "What does temperature change?"),
    ("lens", 12, "When does the model know the next word?"),
    ("scale", 17, "How much larger is GPT-3?"),
]
LONGEST = 150  # characters of a rung's text
COMMENT = re.compile(r"^ *//.*\n", re.MULTILINE)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def script():
    """All of it in one file: from disk, a page may load nothing else."""
    record = json.dumps(read(RECORD), separators=(",", ":"))
    text = "\n".join(path.read_text(encoding="utf-8") for path in SCRIPTS)
    return (
        f'(() => {{\n"use strict";\nconst heroRecord = {record};\n'
        f"{COMMENT.sub('', text)}\n}})();\n"
    )


def style():
    return "\n".join(path.read_text(encoding="utf-8") for path in STYLES)


def write(site):
    """Script and style, into a folder of the site."""
    site.mkdir(parents=True, exist_ok=True)
    (site / "hero.js").write_text(script(), encoding="utf-8")
    (site / "hero.css").write_text(style(), encoding="utf-8")


def stage(link, static, folders):
    """The writing, then three ways to go on.

    `link(docname)` is an address, or None where the book has no such page.
    """
    record = read(RECORD)
    first = record["takes"][0]
    given, new = ("".join(part) for part in split(first))
    models = playground.models(folders)[:1]
    known = playground.data(static, models) if models else ""
    ways = [
        ('class="mg-hero-take" ', "book/playground", "Take the keyboard"),
        ("", WELCOME, "Start building"),
    ]
    if link(MACHINE):
        ways.append(("", MACHINE, "See the machine"))
    else:
        ways.append(("", "book/playground", "Look inside"))
    buttons = "".join(
        f'<a {kind}href="{link(page)}">{words}</a>\n'
        for kind, page, words in ways
        if link(page)
    )
    return (
        f'<div class="mg-hero"{known}><p><b>{escape(given)}</b>'
        f"{escape(new)}</p></div>\n"
        f'<p class="mg-hero-ways">{buttons}</p>\n'
        f'<p class="mg-hero-facts">{escape(facts(record))}</p>\n'
    )


def split(take):
    given = take["given"]
    return take["tokens"][:given], take["tokens"][given:]


def facts(record):
    """What writes there, in the numbers of the record."""
    _, about = playground.MODELS[record["model"]]
    millions = record["parameters"] / 1e6
    heads = record["n_layer"] * record["n_head"]
    return (
        "The model that writes here was trained by the code of this course, "
        f"without a GPU. {about} It has {millions:.1f} million parameters and "
        f"{heads} attention heads, {record['n_head']} in each of "
        f"{record['n_layer']} blocks. Orange is where they look: the arcs show "
        f"the {len(record['arcs'])} framed heads, from the last word to the "
        "words that it reads. The bars are the probabilities of the next token."
        f" One of them is drawn at temperature {record['temperature']} and "
        f"top-p {record['top_p']}."
    )


def figures(link):
    """Six tiles; the script draws into them what was recorded."""
    rows = []
    for name, chapter, question in FIGURES:
        inside = (
            f'<span data-figure="{name}" aria-hidden="true"></span>'
            f"<b>{question}</b><span>Chapter {chapter}</span>"
        )
        uri = link(chapter)
        rows.append(
            f'<li><a class="mg-hero-tile" href="{uri}">{inside}</a></li>\n'
            if uri
            else f'<li><div class="mg-hero-tile">{inside}</div></li>\n'
        )
    return f'<ul class="mg-hero-tiles">{"".join(rows)}</ul>\n'


def ladder(link):
    """The last rung of each chapter, and the text that its model writes."""
    record = read(LADDER)
    last = {rung["chapter"]: rung for rung in record["stages"]}
    prompt = f"<b>{escape(record['prompt'].strip())}</b>"
    rows = []
    for chapter, rung in sorted(last.items()):
        text = textwrap.shorten(rung["writes"], LONGEST, placeholder=" …")
        name = f"Chapter {chapter}"
        uri = link(chapter)
        rows.append(
            "<li><div>"
            + (f'<a href="{uri}">{name}</a>' if uri else name)
            + f"<span>{escape(rung['stage'])}</span>"
            + f"<span>{rung['bits_per_char']:.2f} bits per character</span>"
            + f"</div><q>{prompt} {escape(text)}</q></li>\n"
        )
    return f'<ol class="mg-hero-ladder">{"".join(rows)}</ol>\n'


def page_html(folders):
    """A page with nothing but the parts of the front page, for testing."""
    return (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
        f'{META}<meta name="viewport" content="width=device-width">'
        "<title>hero</title>"
        '<link rel="stylesheet" href="minigpt.css">'
        '<link rel="stylesheet" href="hero.css">'
        '<main class="bd-article"><h1>The model writes</h1>'
        f"{stage(lambda page: '#', '', folders)}"
        f"{figures(lambda chapter: '#')}{ladder(lambda chapter: '#')}</main>"
        '<script src="hero.js"></script>'
    )


class hero(nodes.General, nodes.Element):
    """Stands for a part of the page until its address is known."""


class Hero(Directive):
    """`{hero} stage`, `{hero} figures`, `{hero} ladder`."""

    required_arguments = 1

    def run(self):
        env = self.state.document.settings.env
        for path in (*SCRIPTS, *STYLES, RECORD, LADDER):
            env.note_dependency(str(path))
        return [hero(part=self.arguments[0])]


def visit(translator, node):
    builder = translator.builder
    here = builder.get_target_uri(builder.current_docname)
    pages = builder.env.all_docs
    chapters = {
        int(page.split("/")[1][:2]): page
        for page in pages
        if page.startswith("notebooks/")
    }

    def link(page):
        page = chapters.get(page, page)
        if page not in pages:
            return None
        return relative_uri(here, builder.get_target_uri(page))

    static = relative_uri(here, f"{playground.FOLDER}/")
    parts = {
        "stage": lambda: stage(link, static, playground.shipped()),
        "figures": lambda: figures(link),
        "ladder": lambda: ladder(link),
    }
    translator.body.append(parts[node["part"]]())
    raise nodes.SkipNode


def on_page(app, pagename, templatename, context, doctree):
    """Load script and style only where they are needed."""
    if 'class="mg-hero' in (context.get("body") or ""):
        app.add_js_file("hero/hero.js", loading_method="defer")
        app.add_css_file("hero/hero.css")


def on_start(app):
    if app.builder.format == "html":
        write(Path(app.outdir) / FOLDER)


def setup(app):
    app.add_node(hero, html=(visit, None))
    app.add_directive("hero", Hero)
    app.connect("html-page-context", on_page)
    app.connect("builder-inited", on_start)
